package signup

import (
	"strconv"

	"rsc.io/qr"
)

// quiet is the white margin of a code, in modules.
const quiet = 4

// code is a QR code as a picture in the page.
type code struct {
	Size int
	Path string // of an SVG
}

// qrOf returns the code for a text; nil if it is too long for one.
func qrOf(text string) *code {
	c, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil
	}
	var b []byte
	for y := range c.Size {
		for x := 0; x < c.Size; x++ {
			if !c.Black(x, y) {
				continue
			}
			from := x
			for x < c.Size && c.Black(x, y) {
				x++
			}
			b = append(strconv.AppendInt(append(b, 'M'), int64(from+quiet), 10), ' ')
			b = append(strconv.AppendInt(b, int64(y+quiet), 10), 'h')
			b = append(strconv.AppendInt(b, int64(x-from), 10), "v1h-"...)
			b = append(strconv.AppendInt(b, int64(x-from), 10), 'z')
		}
	}
	return &code{c.Size + 2*quiet, string(b)}
}
