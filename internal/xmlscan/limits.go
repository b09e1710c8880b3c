package xmlscan

// Defaults of [Limits], for an authenticated client (core-im LIM-2, LIM-4, LIM-5).
const (
	DefaultBytes      = 256 << 10
	DefaultDepth      = 64
	DefaultAttrs      = 64
	DefaultNamespaces = 64
	DefaultElements   = 10_000
	DefaultNameBytes  = 256
)

// Bytes and depth before authentication (core-im LIM-1; RFC 6120 §13.12 wants
// at least 10 000 bytes).
const (
	PreAuthBytes = 32 << 10
	PreAuthDepth = 16
)

// MaxBytes is the most that Limits.Bytes can allow; more is cut down to it.
const MaxBytes = 1 << 30

// Limits bounds one first-level element, and the stream header. A field that
// is zero or negative stands for its default. Excess is reported with the
// condition policy-violation and the reason in brackets, as soon as the byte
// is there that is too much.
type Limits struct {
	Bytes      int // from < of the start tag to > of the end tag, default 256 KiB (LimitBytes)
	Depth      int // nested elements, the first-level one counted, default 64 (LimitDepth)
	Attrs      int // of one element, declarations not counted, default 64 (LimitAttrs)
	Namespaces int // declarations in scope, those of the stream header counted, default 64 (LimitNamespaces)
	Elements   int // the first-level one counted, default 10 000 (LimitElements)
	NameBytes  int // one name with its prefix, default 256 bytes (LimitName)
}

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{
		{&l.Bytes, DefaultBytes},
		{&l.Depth, DefaultDepth},
		{&l.Attrs, DefaultAttrs},
		{&l.Namespaces, DefaultNamespaces},
		{&l.Elements, DefaultElements},
		{&l.NameBytes, DefaultNameBytes},
	} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	l.Bytes = min(l.Bytes, MaxBytes)
	return l
}
