package register

import (
	"context"
	"fmt"
	"time"

	"github.com/propolis-im/propolis/internal/dataform"
	"github.com/propolis-im/propolis/mux"
)

// The nodes of the commands for what users have handed out. XEP-0401 names none.
const (
	NodeListInvites   = "propolis:invites#list"
	NodeRevokeInvites = "propolis:invites#revoke"
)

// MayListInvites reports whether the user whose request e is may run the commands
// [NodeListInvites] and [NodeRevokeInvites]: everybody may, also who cannot invite any
// more.
func (x *Extension) MayListInvites(e *mux.Event) bool { return e != nil && e.Session != nil }

// columns are those of the list.
var columns = []dataform.Field{
	{Var: "id", Type: "text-single", Label: "Name"}, {Var: "kind", Type: "text-single", Label: "Kind"},
	{Var: "username", Type: "text-single", Label: "For"}, {Var: "status", Type: "text-single", Label: "Status"},
	{Var: "created", Type: "text-single", Label: "Made"}, {Var: "expire", Type: "text-single", Label: "Valid until"},
	{Var: "used", Type: "text-single", Label: "Used"},
}

// RunListInvites is the command [NodeListInvites]: the invitations of the account, those
// that were used to make an account too, without the tokens, which nobody can ask for
// again. Who a guest is, is his to tell. It is like RunInvite.
func (x *Extension) RunListInvites(ctx context.Context, e *mux.Event, _ map[string][]string) (form mux.Raw, completed bool, err error) {
	all, err := x.opt.Store.Invites(ctx, e.Account)
	if err != nil {
		return "", false, x.answer(ctx, err, "list")
	}
	guests, err := x.opt.Store.Guests(ctx, e.Account)
	if err != nil {
		return "", false, x.answer(ctx, err, "list")
	}
	f := dataform.Form{Type: "result", Title: "My invitations", Reported: columns}
	for _, g := range guests {
		f.Items = append(f.Items, []string{"", "", "", "used", "", "", stamp(g.At)})
	}
	now := time.Now()
	for i := range all {
		v, status := &all[i], "open"
		if !v.Valid(now) {
			status = "expired"
		}
		f.Items = append(f.Items, []string{v.ID.String(), v.Kind.String(), v.Name, status, stamp(v.Created), stamp(v.Expires), ""})
	}
	return mux.Raw(f.Append(nil)), true, nil
}

// RunRevokeInvites is the command [NodeRevokeInvites]: a choice among the open
// invitations of the account, and those that were chosen are void. It is like RunInvite.
func (x *Extension) RunRevokeInvites(ctx context.Context, e *mux.Event, answer map[string][]string) (form mux.Raw, completed bool, err error) {
	open, err := x.Invites(ctx, e.Account)
	if err != nil {
		return "", false, x.answer(ctx, err, "revoke")
	}
	if answer == nil {
		return choice(open)
	}
	chosen := answer["invites"]
	ids := make(map[string]InviteID, len(open))
	for i := range open {
		ids[open[i].ID.String()] = open[i].ID
	}
	for _, name := range chosen {
		if _, ok := ids[name]; !ok {
			return "", false, errNoInvite // used, expired or revoked meanwhile, or not his
		}
	}
	for _, name := range chosen {
		e.Work.Write(x.opt.Store.RemoveInvite(ids[name]))
	}
	f := dataform.Form{Type: "result", Title: "Revoked", Fields: []dataform.Field{{Var: "revoked", Type: "text-multi", Label: "Revoked", Values: chosen}}}
	return mux.Raw(f.Append(nil)), true, nil
}

// choice is the form; there is none if there is nothing to choose.
func choice(open []Invite) (form mux.Raw, completed bool, err error) {
	if len(open) == 0 {
		f := dataform.Form{Type: "result", Fields: []dataform.Field{{Type: "fixed", Values: []string{"You have no open invitations."}}}}
		return mux.Raw(f.Append(nil)), true, nil
	}
	which := dataform.Field{Var: "invites", Type: "list-multi", Label: "Invitations"}
	for i := range open {
		v := &open[i]
		label := fmt.Sprintf("%s, made %s, valid until %s", v.Kind, stamp(v.Created), stamp(v.Expires))
		if v.Name != "" {
			label = v.Name + ", " + label
		}
		which.Options = append(which.Options, dataform.Option{Label: label, Value: v.ID.String()})
	}
	f := dataform.Form{Type: "form", Title: "Revoke invitations", Instructions: "Nobody can use those that are revoked.", Fields: []dataform.Field{which}}
	return mux.Raw(f.Append(nil)), false, nil
}

// stamp is a moment as XEP-0082 writes it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
