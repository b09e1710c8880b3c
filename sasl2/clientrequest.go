package sasl2

import (
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/propolis-im/propolis/internal/xmlwrite"
)

// clientTry is one attempt to authenticate.
type clientTry struct {
	run      Run
	first    []byte
	token    *ClientToken // that is used, nil for none
	wish     string       // mechanism of the token that is asked for
	bind     bool
	resume   bool
	upgrades []string
	verified bool
	upgraded []string // tasks completed
}

// try fills in what goes with a run, by an offer.
func (x *clientLogin) try(run Run, o *Offer, token *ClientToken) (*clientTry, error) {
	first, err := run.First()
	if err != nil {
		return nil, err
	}
	t := &clientTry{run: run, first: first, token: token, wish: x.tokenWish(o)}
	if token != nil && t.wish == token.Mechanism {
		t.wish = "" // the server renews it by itself when it is old (XEP-0484 §3.5)
	}
	t.bind = !x.o.NoBind && o.inlines(NSBind)
	t.resume = x.o.Resume != "" && o.inlines(x.resumes.Name.Space)
	// What would be as good as the password goes to nobody in between
	// (auth-register UG-4).
	safe := x.o.UpgradeUnbound || strings.HasSuffix(run.Mechanism(), "-PLUS")
	if x.o.Upgrade != nil && token == nil && safe && !x.noUpgrades {
		t.upgrades = common(x.o.Upgrades, o.Upgrades)
	}
	return t, nil
}

// appendAuthenticate writes the request (XEP-0388 §2.3), without white space. With
// pipelined it says which offer it goes by.
func (x *clientLogin) appendAuthenticate(b []byte, t *clientTry, o *Offer, pipelined bool) []byte {
	b = append(b, "<authenticate xmlns='"+NS+"' mechanism='"...)
	b = append(xmlwrite.AppendAttrValue(b, t.run.Mechanism()), "'><initial-response>"...)
	b = append(base64.StdEncoding.AppendEncode(b, t.first), "</initial-response>"...)
	b = x.appendAgent(b)
	if t.resume {
		b = append(b, x.o.Resume...)
	}
	if t.bind {
		b = x.appendBind(b, o)
	}
	if t.token != nil {
		b = append(b, "<fast xmlns='"+NSFast+"' count='"...)
		b = append(strconv.AppendInt(b, t.token.Count, 10), "'/>"...)
	}
	if t.wish != "" {
		b = append(b, "<request-token xmlns='"+NSFast+"' mechanism='"+t.wish+"'/>"...)
	}
	for _, u := range t.upgrades {
		b = append(b, "<upgrade xmlns='"+NSUpgrade+"'>"...)
		b = append(xmlwrite.AppendText(b, u), "</upgrade>"...)
	}
	if pipelined {
		b = append(b, "<config-version xmlns='"+NSPipeline+"' scheme='"...)
		b = append(xmlwrite.AppendAttrValue(b, o.Scheme), "' value='"...)
		b = append(xmlwrite.AppendAttrValue(b, o.Version), "'/>"...)
	}
	return append(b, "</authenticate>"...)
}

func (x *clientLogin) appendAgent(b []byte) []byte {
	identifies := x.o.Save != nil && x.state.Agent != ""
	if !identifies && x.o.Software == "" && x.o.Device == "" {
		return b
	}
	b = append(b, "<user-agent"...)
	if identifies {
		b = append(xmlwrite.AppendAttrValue(append(b, " id='"...), x.state.Agent), '\'')
	}
	b = append(b, '>')
	b = appendLabel(b, "software", x.o.Software)
	b = appendLabel(b, "device", x.o.Device)
	return append(b, "</user-agent>"...)
}

func appendLabel(b []byte, name, text string) []byte {
	if text = label(text); text == "" || !xmlwrite.ValidText(text) {
		return b
	}
	b = append(append(append(b, '<'), name...), '>')
	b = xmlwrite.AppendText(b, text)
	return append(append(append(b, "</"...), name...), '>')
}

// appendBind writes Bind 2 with what the server has of the elements that are wanted
// (XEP-0386 §3.2).
func (x *clientLogin) appendBind(b []byte, o *Offer) []byte {
	b = append(b, "<bind xmlns='"+NSBind+"'>"...)
	if tag := x.o.Tag; tag != "" && len(tag) <= maxTag && utf8.ValidString(tag) && xmlwrite.ValidText(tag) {
		b = append(b, "<tag>"...)
		b = append(xmlwrite.AppendText(b, tag), "</tag>"...)
	}
	for i, e := range x.enable {
		if len(common([]string{e.Name.Space}, o.Bind)) > 0 {
			b = append(b, x.o.Enable[i]...)
		}
	}
	return append(b, "</bind>"...)
}
