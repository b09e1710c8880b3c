// Package omemo keeps the lists of devices and the bundles of keys of XEP-0384: OMEMO
// Encryption, version 0.9.1, in an account's nodes (§5.3), and those of its older form with
// the namespace eu.siacs.conversations.axolotl. It is for clients, and it does no
// cryptography: it keeps what a library for that gives it.
//
//	s, err := omemo.New(client, device, nil)
//	…
//	stop, err := s.Watch() // before presence
//	err = s.PublishBundle(ctx, bundle)
//	err = s.Announce(ctx)
//
// A list is one for all devices of an account, which write it in turn: so what is there is
// read and merged before, nothing is written if it could not be read, and a device that
// finds itself taken out puts itself back, though not for ever. Nodes are opened to
// everybody, as the document demands, whatever they were before.
//
// # Security
//
// What is read is what others' servers say. Whether a key belongs to somebody is decided
// by whoever uses it, as is whether the signature of a label holds.
package omemo

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/propolis-im/propolis/pep"
)

// Namespaces.
const (
	NS       = "urn:xmpp:omemo:2"
	NSLegacy = "eu.siacs.conversations.axolotl"
)

const (
	current   = "current"
	maxDevice = 1<<31 - 1
)

// Errors.
var (
	// ErrDevice: a device has a number from 1 to 2^31-1.
	ErrDevice = errors.New("omemo: not the number of a device")
	// ErrTakenOut: another program takes this device out of the list again and again;
	// it has been left at that.
	ErrTakenOut = errors.New("omemo: another program takes the device out of the list")
)

// Options refine a Store. The zero value of each field is its default.
type Options struct {
	// Legacy is the older form.
	Legacy bool
	// Label names the own device to people, with its signature (XEP-0384 §5.3.1); the
	// older form has none. One without the other is left out.
	Label, LabelSig string
	// Changed is told of lists that are others than before, of the own account and of
	// contacts, as [pep.Watch] tells of events; empty for those that are gone, not for those
	// that cannot be read. nil for nobody.
	Changed func(ctx context.Context, of jid.JID, devices []Device)
	// Failed is told when the own device could not be put back into the list, with
	// [ErrTakenOut] or an error of [pep.Client]; nil for nobody.
	Failed func(ctx context.Context, err error)
}

// Store keeps lists and bundles. Make one with New.
type Store struct {
	c      *pep.Client
	device uint32
	opt    Options
	lists  *pep.Typed[*list]

	write sync.Mutex // held while the list is read and written

	mu        sync.Mutex // guards what follows
	announced bool
	times     int       // that the device was put back
	last      time.Time // when it was
	told      map[string][]Device
}

// New returns a store for a device of the client's account. o may be nil and is copied.
func New(c *pep.Client, device uint32, o *Options) (*Store, error) {
	if device == 0 || device > maxDevice {
		return nil, ErrDevice
	}
	s := &Store{c: c, device: device, told: make(map[string][]Device)}
	if o != nil {
		s.opt = *o
	}
	s.lists = pep.NewTyped(c, s.listNode(), s.listName(), &pep.TypedOptions[*list]{
		Node: open(0), From: pep.FromContacts, Fetch: true, Encode: encodeList, Decode: decodeList,
	})
	return s, nil
}

// open are the options of nodes that everybody may read (XEP-0384 §5.3). No more is said
// than has to be: other programs may want the rest otherwise.
func open(maxItems int) *pep.NodeOptions {
	return &pep.NodeOptions{Access: pep.AccessOpen, Persist: pep.Yes, MaxItems: maxItems, Repair: pep.RepairOpening}
}

func (s *Store) listNode() string {
	if s.opt.Legacy {
		return NSLegacy + ".devicelist"
	}
	return NS + ":devices"
}

func (s *Store) listName() xml.Name {
	if s.opt.Legacy {
		return xml.Name{Space: NSLegacy, Local: "list"}
	}
	return xml.Name{Space: NS, Local: "devices"}
}

// Devices are those of an account, the zero JID being the own one; none if it has no list.
// Errors are those of [pep.Client], and [pep.ErrPayload] for what is no list.
func (s *Store) Devices(ctx context.Context, of jid.JID) ([]Device, error) {
	v, err := s.lists.Newest(ctx, of)
	switch {
	case errors.Is(err, pep.ErrNoItem):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return v.Value.devices(), nil
}

// Announce puts the own device into the list, unless it is there (XEP-0384 §5.3.1), and
// from then on sees to it that it stays there, if Watch was called. Nothing is written if
// the list could not be read. Errors are those of Devices.
func (s *Store) Announce(ctx context.Context) error {
	s.mu.Lock()
	s.announced = true
	s.mu.Unlock()
	_, err := s.announce(ctx)
	return err
}

// announce reports whether it has written.
func (s *Store) announce(ctx context.Context) (wrote bool, err error) {
	own := Device{ID: s.device}
	if !s.opt.Legacy && s.opt.Label != "" && s.opt.LabelSig != "" {
		own.Label, own.LabelSig = s.opt.Label, s.opt.LabelSig
	}
	return s.change(ctx, func(l *list) (bool, error) {
		if d := l.devices(); slices.Contains(d, own) || !s.wanted() {
			return false, nil
		}
		return true, l.put(s.listName(), own)
	})
}

// wanted reports whether the own device is to be in the list.
func (s *Store) wanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.announced
}

// Remove takes devices out of the list and their bundles away, such as those that are
// used no more. Errors are those of Devices.
func (s *Store) Remove(ctx context.Context, devices ...uint32) error {
	if slices.Contains(devices, s.device) {
		s.mu.Lock()
		s.announced = false
		s.mu.Unlock()
	}
	if _, err := s.change(ctx, func(l *list) (bool, error) { return l.remove(devices), nil }); err != nil {
		return err // whoever is in the list must have a bundle
	}
	var err error
	for _, d := range devices {
		err = errors.Join(err, s.removeBundle(ctx, d))
	}
	return err
}

// change reads the list, and writes it if f says that it has changed it.
func (s *Store) change(ctx context.Context, f func(l *list) (bool, error)) (wrote bool, err error) {
	s.write.Lock()
	defer s.write.Unlock()
	l := new(list)
	switch v, err := s.lists.Newest(ctx, jid.JID{}); {
	case err == nil:
		l = v.Value
	case !errors.Is(err, pep.ErrNoItem):
		return false, err // never from an empty list that may not be empty (pep OMEMO-4)
	}
	l.doc.Name = s.listName()
	if changed, err := f(l); !changed || err != nil {
		return false, err
	}
	_, err = s.lists.Put(ctx, current, l) // one name, so that there is one list (OMEMO-5)
	return err == nil, err
}

// Watch has lists told, see Options.Changed, and the own device put back where another has
// taken it out. It is to be called before presence is sent, and [pep.Client.Begin] after.
func (s *Store) Watch() (stop func(), err error) {
	watching, end := context.WithCancel(context.Background())
	stopEvents, err := s.lists.Watch(func(ctx context.Context, c pep.Changed[*list]) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(watching, cancel)()
		var devices []Device
		switch c.Kind {
		case pep.ItemPublished:
			devices = c.Value.devices()
		case pep.ItemRetracted, pep.Missed: // an older one may be gone, of which the list is none the less there
			var err error
			if devices, err = s.Devices(ctx, c.From); err != nil {
				return // what is not known is not empty
			}
		case pep.NodePurged, pep.NodeDeleted:
		case pep.NodeRead:
			if c.Own {
				s.check(ctx)
			}
			return
		default:
			return
		}
		if s.opt.Changed != nil && s.news(c.From, devices) {
			s.opt.Changed(ctx, c.From, devices)
		}
		if c.Own && !slices.ContainsFunc(devices, func(d Device) bool { return d.ID == s.device }) {
			s.check(ctx)
		}
	})
	return func() { end(); stopEvents() }, err
}

// news reports whether a list is another than the one that was told last.
func (s *Store) news(of jid.JID, devices []Device) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, had := s.told[of.String()]
	s.told[of.String()] = devices
	return !had || !slices.Equal(was, devices)
}

// How often a device is put back: after a pause that doubles, and no more than maxTimes
// until it was left in peace for a while.
const (
	firstPause = time.Second
	maxTimes   = 6
	peace      = 10 * time.Minute
)

// check puts the own device back into the list if it is not there, after a while in which
// another may have done what it wants to.
func (s *Store) check(ctx context.Context) {
	s.mu.Lock()
	if time.Since(s.last) > peace {
		s.times = 0
	}
	announced, times := s.announced, s.times
	s.mu.Unlock()
	switch {
	case !announced, times > maxTimes:
		return
	case times > 0:
		pause := time.NewTimer(firstPause << (times - 1))
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		if !s.wanted() {
			return // the user has removed it meanwhile
		}
	}
	var err error
	wrote := true
	if times == maxTimes {
		err = ErrTakenOut
	} else if wrote, err = s.announce(ctx); err != nil {
		err = fmt.Errorf("omemo: putting the device back: %w", err)
	}
	if wrote {
		s.mu.Lock()
		s.times, s.last = times+1, time.Now()
		s.mu.Unlock()
	}
	if err != nil && ctx.Err() == nil && s.opt.Failed != nil {
		s.opt.Failed(ctx, err)
	}
}

func itoa(device uint32) string { return strconv.FormatUint(uint64(device), 10) }
