package caps

import (
	"slices"
	"sync"

	"github.com/propolis-im/propolis/internal/xmlwrite"
	"github.com/propolis-im/propolis/mux"
)

// Append115 appends the element that announces a hash of XEP-0115 in presence.
func Append115(b []byte, node, algo, ver string) []byte {
	b = append(b, "<c xmlns='"+NS115+"' hash='"...)
	b = xmlwrite.AppendAttrValue(b, algo)
	b = append(b, "' node='"...)
	b = xmlwrite.AppendAttrValue(b, node)
	b = append(b, "' ver='"...)
	b = xmlwrite.AppendAttrValue(b, ver)
	return append(b, "'/>"...)
}

// Append390 appends the element that announces a set of hashes of XEP-0390 in presence;
// hashes of XEP-0115 are left out.
func Append390(b []byte, set ...Hash) []byte {
	b = append(b, "<c xmlns='"+NS+"'>"...)
	for _, h := range set {
		if h.Proto != XEP0390 {
			continue
		}
		b = append(b, "<hash xmlns='"+nsHash+"' algo='"...)
		b = xmlwrite.AppendAttrValue(b, h.Algo)
		b = append(b, "'>"...)
		b = xmlwrite.AppendText(b, h.Value)
		b = append(b, "</hash>"...)
	}
	return append(b, "</c>"...)
}

// AppendInfo appends the answer to disco#info that an Info is. The node is that of the
// request, which is repeated (XEP-0030 §3.2).
func AppendInfo(b []byte, node string, i *Info) []byte {
	b = append(b, "<query xmlns='"+NSInfo+"'"...)
	b = appendAttr(b, "node", node)
	b = appendAttr(b, "xml:lang", i.Lang)
	b = append(b, '>')
	for _, id := range i.Identities {
		b = appendAttr(append(b, "<identity"...), "xml:lang", id.Lang)
		b = appendAttr(b, "category", id.Category)
		b = appendAttr(b, "type", id.Type)
		b = append(appendAttr(b, "name", id.Name), "/>"...)
	}
	for _, f := range i.Features {
		b = append(b, "<feature var='"...)
		b = append(xmlwrite.AppendAttrValue(b, f), "'/>"...)
	}
	for k := range i.Forms {
		b = i.Forms[k].append(b)
	}
	return append(b, "</query>"...)
}

func (f *Form) append(b []byte) []byte {
	b = append(b, "<x xmlns='"+nsForm+"' type='result'>"...)
	for _, x := range f.Fields {
		b = appendAttr(append(b, "<field"...), "var", x.Var)
		b = append(appendAttr(b, "type", x.Type), '>')
		for _, v := range x.Values {
			b = append(xmlwrite.AppendText(append(b, "<value>"...), v), "</value>"...)
		}
		b = append(b, "</field>"...)
	}
	return append(b, "</x>"...)
}

func appendAttr(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, " "+name+"='"...)
	b = xmlwrite.AppendAttrValue(b, value)
	return append(b, '\'')
}

// remembered is how many earlier versions of itself an entity answers for (pep CAPS-17;
// XEP-0390 §6.1 demands three in all).
const remembered = 3

// Announcer is the side of those who announce: it makes the elements for presence and
// knows the answers to what they make others ask. The zero value announces nothing. It
// may be used by several goroutines.
type Announcer struct {
	// Node names the software, a URI (XEP-0115 §4). It must be set before use.
	Node string

	mu   sync.Mutex // guards what follows
	past []version  // the newest is the last
}

// version is one state of an entity.
type version struct {
	info   *Info
	hashes []Hash
}

// Set makes an info the one that is announced, and reports whether the announcement is
// another one now, so that presence should be sent (XEP-0115 §6.1, XEP-0390 §6.1). The
// info must not be changed afterwards; an error says that it cannot be announced.
func (a *Announcer) Set(i *Info) (changed bool, err error) {
	v := version{info: i}
	ver, err := Hash115(i, "sha-1")
	if err != nil {
		return false, err
	}
	v.hashes = append(v.hashes, Hash{Proto: XEP0115, Algo: "sha-1", Value: ver, Node: a.Node})
	for _, algo := range []string{"sha-256", "sha3-256"} {
		value, err := Hash390(i, algo)
		if err != nil {
			return false, err
		}
		v.hashes = append(v.hashes, Hash{Proto: XEP0390, Algo: algo, Value: value})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.past); n > 0 && slices.Equal(a.past[n-1].hashes, v.hashes) {
		return false, nil
	}
	if len(a.past) > remembered {
		a.past = slices.Delete(a.past, 0, 1)
	}
	a.past = append(a.past, v)
	return true, nil
}

// Presence are the elements for every available presence, the directed included; empty
// before the first Set.
func (a *Announcer) Presence() mux.Raw {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.past) == 0 {
		return ""
	}
	h := a.past[len(a.past)-1].hashes
	return mux.Raw(Append390(Append115(nil, h[0].Node, h[0].Algo, h[0].Value), h...))
}

// Answer is the answer to disco#info for a node: for none what holds now, for that of
// an announcement what held then; ok is false if the node is somebody else's.
func (a *Announcer) Answer(node string) (query mux.Raw, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k := len(a.past) - 1; k >= 0; k-- {
		v := a.past[k]
		if node == "" || slices.ContainsFunc(v.hashes, func(h Hash) bool { return h.QueryNode() == node }) {
			return mux.Raw(AppendInfo(nil, node, v.info)), true
		}
	}
	return "", false
}
