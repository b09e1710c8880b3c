package register

import (
	"context"

	"github.com/propolis-im/propolis/internal/dataform"
	"github.com/propolis-im/propolis/mux"
)

// The nodes of the commands (XEP-0401 §3).
const (
	NodeInvite        = NSInvite + "#invite"
	NodeCreateAccount = NSInvite + "#create-account"
	formInvitation    = NSInvite + "#invitation"
)

// MayInvite reports whether the user whose request e is may run the command
// [NodeInvite].
func (x *Extension) MayInvite(e *mux.Event) bool { return x.may(e, ForContact) }

// MayCreateAccount is MayInvite for [NodeCreateAccount].
func (x *Extension) MayCreateAccount(e *mux.Event) bool { return x.may(e, ForAccount) }

func (x *Extension) may(e *mux.Event, kind InviteKind) bool {
	switch {
	case e == nil || e.Session == nil:
		return false
	case x.opt.MayInvite != nil:
		return x.opt.MayInvite(e, kind)
	}
	return x.opt.Policy != Closed
}

// RunInvite is the command [NodeInvite]: an invitation to become a contact, and to
// make an account for it if the user may give those away (XEP-0401 §5.1). It runs in a
// turn of the account that may wait. A nil answer means that the command has just been
// called.
func (x *Extension) RunInvite(ctx context.Context, e *mux.Event, _ map[string][]string) (form mux.Raw, completed bool, err error) {
	if !x.MayInvite(e) {
		return "", false, errForbidden
	}
	form, err = x.handOut(ctx, e, Invite{Kind: ForContact, MayRegister: x.MayCreateAccount(e)})
	return form, err == nil, err
}

// RunCreateAccount is the command [NodeCreateAccount]: an invitation to make an account
// (XEP-0401 §5.4). It is like RunInvite.
func (x *Extension) RunCreateAccount(ctx context.Context, e *mux.Event, answer map[string][]string) (form mux.Raw, completed bool, err error) {
	if !x.MayCreateAccount(e) {
		return "", false, errForbidden
	}
	if answer == nil {
		f := dataform.Form{Type: "form", Title: "New account", Fields: []dataform.Field{
			{Var: "username", Type: "text-single", Label: "Username; empty to let the guest choose"},
			{Var: "roster-subscription", Type: "boolean", Label: "Add to my contacts", Values: []string{"1"}},
		}}
		return mux.Raw(f.Append(nil)), false, nil
	}
	i := Invite{Kind: ForAccount}
	switch names := answer["username"]; len(names) {
	case 0:
	case 1:
		i.Name = names[0]
	default:
		return "", false, errBadRequest
	}
	if v := answer["roster-subscription"]; len(v) == 1 {
		i.Befriend = v[0] == "1" || v[0] == "true"
	}
	form, err = x.handOut(ctx, e, i)
	return form, err == nil, err
}

// handOut makes an invitation of the account of the turn.
func (x *Extension) handOut(ctx context.Context, e *mux.Event, i Invite) (mux.Raw, error) {
	i.Inviter, i.Domain = e.Account, e.Account.Domain()
	made, err := x.newInvite(ctx, i)
	if err != nil {
		return "", x.answer(ctx, err, "invite")
	}
	e.Work.Write(x.opt.Store.AddInvite(made.Invite))
	f := dataform.Form{Type: "result", FormType: formInvitation, Fields: []dataform.Field{
		{Var: "uri", Type: "text-single", Label: "Invitation", Values: []string{made.URI}},
	}}
	if made.Landing != "" {
		f.Fields = append(f.Fields, dataform.Field{Var: "landing-url", Type: "text-single", Label: "Page", Values: []string{made.Landing}})
	}
	f.Fields = append(f.Fields, dataform.Field{Var: "expire", Type: "text-single", Label: "Valid until", Values: []string{stamp(made.Expires)}})
	return mux.Raw(f.Append(nil)), nil
}
