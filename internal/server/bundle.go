package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/sealed"
)

// A bundle is the policy in force, with where it came from. There is one row,
// and its number only rises.
type bundle struct {
	Number int64 `json:"number"`
	// Files are packs that were applied under approval; none: those on disk.
	Files map[string]string `json:"files,omitempty"`
	// Disk is the digest of the files on disk when it was put in force, and Past
	// those before: a node that comes back with older files doesn't bring them back.
	Disk string   `json:"disk"`
	Past []string `json:"past,omitempty"`
	// Locked are the packs in force that say they are, with their digests.
	Locked map[string]string `json:"locked,omitempty"`
	Change string            `json:"change,omitempty"` // under which it was approved; "": it was found on disk
	At     time.Time         `json:"at"`
}

const (
	bundles   = sealed.Kind[bundle]("policy")
	bundleID  = "bundle"
	applying  = "policy"
	mostPast  = 200
	packsKept = 2 << 20 // bytes of packs that may be applied
)

// errNotApproved refuses files on disk where only an approved policy may be in force.
var errNotApproved = errors.New("policy_locked: the policy files on disk were not approved\n  put back those that were, or start without policy_locked, and then: assent policy apply FILE...")

// filesDigest names the files on disk whatever version of Assent reads them.
func filesDigest(c *Config, files map[string][]byte) string {
	h := sha256.New()
	for _, env := range slices.Sorted(maps.Keys(c.Default)) {
		_, _ = fmt.Fprintf(h, "default %q %q\n", env, c.Default[env])
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text := files[name]
		if strings.HasPrefix(name, "assent:") { // it comes with the program
			text = nil
		}
		sum := sha256.Sum256(text)
		_, _ = fmt.Fprintf(h, "file %q %x\n", name, sum)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// stored reads the bundle in force; nil when there is none yet.
func (s *Server) stored(ctx context.Context, r *sealed.Reader) (*sealed.Entry[bundle], error) {
	e, err := bundles.Get(ctx, r, bundleID)
	if errors.Is(err, sealed.ErrNotFound) {
		return nil, nil
	}
	return e, err
}

// setOf loads what a bundle holds, given what lies on disk.
func (s *Server) setOf(b *bundle, disk map[string][]byte) (*policy.Set, error) {
	if len(b.Files) == 0 {
		return policy.LoadFiles(disk, s.namedOptions())
	}
	return policy.LoadFiles(asBytes(b.Files), s.policyOptions())
}

func asBytes(texts map[string]string) map[string][]byte {
	files := map[string][]byte{}
	for name, text := range texts {
		files[name] = []byte(text)
	}
	return files
}

// adoptPolicy puts in force at a start what was in force before, unless the files
// on disk have changed: whoever may change them may change anything, so that is
// recorded, and refused only where the configuration says so.
func (s *Server) adoptPolicy(ctx context.Context) error {
	disk, err := s.diskPolicy()
	if err != nil {
		return err
	}
	digest := filesDigest(s.cfg, disk)
	return s.box.Update(ctx, func(w *sealed.Writer) error {
		e, err := s.stored(ctx, &w.Reader)
		switch {
		case err != nil:
			return fmt.Errorf("reading the policy in force: %w", err)
		case e == nil:
			return s.fromDisk(ctx, w, &sealed.Entry[bundle]{ID: bundleID}, digest, "first")
		case e.Value.Disk == digest:
			return s.enforceBundle(&e.Value, disk)
		case s.cfg.PolicyLocked:
			return errNotApproved
		case slices.Contains(e.Value.Past, digest) && len(e.Value.Files) > 0:
			return errors.Join(s.enforceBundle(&e.Value, disk), w.Record(ctx, s.oldFiles(digest)))
		case slices.Contains(e.Value.Past, digest):
			if err := w.Record(ctx, s.oldFiles(digest)); err != nil {
				return err
			}
		}
		return s.fromDisk(ctx, w, e, digest, "changed on disk")
	})
}

func (s *Server) oldFiles(digest string) *audit.Record {
	s.log.Error("the policy files on disk are older than what is in force; assent policy apply goes back", "files", digest)
	return &audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": "older policy files came back to the disk", "files": digest}}
}

// fromDisk notes that the files on disk are in force now.
func (s *Server) fromDisk(ctx context.Context, w *sealed.Writer, e *sealed.Entry[bundle], digest, why string) error {
	before := e.Value.Disk
	if before != "" {
		e.Value.Past = append(e.Value.Past, before)
		e.Value.Past = e.Value.Past[max(0, len(e.Value.Past)-mostPast):]
	}
	locked := s.policy.Current().Locked()
	if changed := policy.LockedChanged(e.Value.Locked, locked); len(changed) > 0 {
		s.log.Error("locked packs changed on disk, which nobody approved", "packs", changed)
		alarm := &audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": "a locked pack changed on disk", "packs": strings.Join(changed, ", "), "files": digest}}
		if err := w.Record(ctx, alarm); err != nil {
			return err
		}
	}
	e.Value = bundle{Number: e.Value.Number + 1, Disk: digest, Locked: locked, Past: slices.DeleteFunc(e.Value.Past, func(d string) bool { return d == digest }), At: time.Now().UTC()}
	r := &audit.Record{Type: audit.TypeConfig, Policy: s.policy.Current().Bundle(), Detail: map[string]string{
		"what": "policy", "why": why, "files": digest, "before": before, "number": fmt.Sprint(e.Value.Number), "approved": "no",
	}}
	return bundles.Put(ctx, w, e, r)
}

// reloadDisk puts the files on disk in force, when they have changed since they
// last were and nothing locks the policy. What was applied stays otherwise.
func (s *Server) reloadDisk(ctx context.Context) error {
	disk, err := s.diskPolicy()
	if err != nil {
		return s.policy.Reload(func() (*policy.Set, error) { return nil, err })
	}
	digest := filesDigest(s.cfg, disk)
	return s.box.Update(ctx, func(w *sealed.Writer) error {
		e, err := s.stored(ctx, &w.Reader)
		switch {
		case err != nil:
			return err
		case e == nil:
			e = &sealed.Entry[bundle]{ID: bundleID}
		case e.Value.Disk == digest:
			return s.enforceBundle(&e.Value, disk)
		case s.cfg.PolicyLocked:
			return errNotApproved
		}
		if err := s.enforceBundle(&bundle{}, disk); err != nil {
			return err
		}
		return s.fromDisk(ctx, w, e, digest, "reloaded")
	})
}

// refusedPacks says for the record why packs did not come into force.
func refusedPacks(err error) string {
	if errors.Is(err, errNotApproved) {
		return "they were not approved"
	}
	return "the new packs do not load"
}

func (s *Server) enforceBundle(b *bundle, disk map[string][]byte) error {
	return s.policy.Reload(func() (*policy.Set, error) { return s.setOf(b, disk) })
}

// reloadBundle puts in force what the store has, after somebody changed it.
func (s *Server) reloadBundle(ctx context.Context) {
	disk, err := s.diskPolicy()
	if err == nil {
		err = s.box.View(ctx, func(r *sealed.Reader) error {
			e, err := s.stored(ctx, r)
			if err != nil || e == nil || len(e.Value.Files) == 0 {
				return err
			}
			return s.enforceBundle(&e.Value, disk)
		})
	}
	if err != nil {
		s.log.Error("the policy that was applied could not be loaded; the last good one stays", "err", err)
	}
}

// watchPolicy keeps this node at what was applied here or elsewhere.
func (s *Server) watchPolicy(ctx context.Context) {
	tick := time.NewTicker(policyEvery)
	defer tick.Stop()
	var seen int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.newBundle:
		case <-tick.C:
		}
		var revision int64
		if err := s.box.View(ctx, func(r *sealed.Reader) (err error) {
			revision, err = r.Tx.RevisionOf(ctx, string(bundles), bundleID)
			return err
		}); err == nil && revision != seen {
			s.reloadBundle(ctx)
			seen = revision
		}
	}
}

const policyEvery = 2 * time.Second

// An applied is the body of a change of policy: packs by name, and the number it
// takes. So an approval of an older state of things applies nothing.
type applied struct {
	Number int64             `json:"number"`
	Files  map[string]string `json:"files"`
}

func (s *Server) readApplied(body []byte) (*applied, error) {
	var a applied
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil {
		return nil, errors.Join(err, change.ErrStale)
	}
	b := bundle{Files: a.Files}
	if len(a.Files) == 0 {
		return nil, errors.Join(errors.New("no packs"), change.ErrStale)
	}
	if _, err := s.setOf(&b, nil); err != nil {
		return nil, err
	}
	return &a, nil
}

// handlePolicy teaches the changes to apply packs.
func (s *Server) handlePolicy() {
	s.changes.Handle(applying, change.Applier{
		Check: func(_ context.Context, body []byte) error { _, err := s.readApplied(body); return err },
		Apply: func(ctx context.Context, w *sealed.Writer, id string, c *change.Change) error {
			a, err := s.readApplied(c.Body)
			if err != nil {
				return errors.Join(err, change.ErrStale)
			}
			e, err := s.stored(ctx, &w.Reader)
			if err != nil {
				return err
			}
			if e == nil || a.Number != e.Value.Number+1 {
				return fmt.Errorf("another policy came into force since: %w", change.ErrStale)
			}
			e.Value.Number, e.Value.Files, e.Value.Change, e.Value.At = a.Number, a.Files, id, time.Now().UTC()
			set, err := s.setOf(&e.Value, nil)
			if err != nil {
				return errors.Join(err, change.ErrStale)
			}
			e.Value.Locked = set.Locked()
			return bundles.Put(ctx, w, e, &audit.Record{Type: audit.TypePolicy, Person: c.Author, Policy: set.Bundle(), Approval: c.Approval, Detail: map[string]string{
				"before": s.policy.Current().Bundle(), "change": id, "number": fmt.Sprint(a.Number), "approved": map[bool]string{true: "no, there is no other administrator", false: "yes"}[c.Alone],
			}})
		},
		Done: s.reloadBundle,
	})
	s.box.Watch(string(bundles), func(string) {
		select {
		case s.newBundle <- struct{}{}:
		default:
		}
	})
}

// ApplyPolicy asks to put packs in force, in the place of all that are now. Locked packs
// stay as they are, but for those that unlock names.
func (s *Server) ApplyPolicy(ctx context.Context, files map[string]string, unlock []string, p change.Proposal) (change.Entry, error) {
	size := 0
	for name, text := range files {
		size += len(name) + len(text)
	}
	if len(files) == 0 || size > packsKept {
		return change.Entry{}, &change.BodyError{Problem: fmt.Sprintf("between one pack and %d bytes of them", packsKept)}
	}
	disk, err := s.diskPolicy()
	if err != nil {
		return change.Entry{}, err
	}
	var e *sealed.Entry[bundle]
	if err := s.box.View(ctx, func(r *sealed.Reader) (err error) { e, err = s.stored(ctx, r); return err }); err != nil {
		return change.Entry{}, err
	}
	if e == nil {
		return change.Entry{}, errors.New("no policy is in force")
	}
	set, err := s.setOf(&bundle{}, asBytes(files)) // names are checked here: what is in force stays so when a channel goes
	if err != nil {
		return change.Entry{}, &change.BodyError{Problem: err.Error()}
	}
	changed := policy.LockedChanged(s.policy.Current().Locked(), set.Locked())
	for _, name := range changed {
		if !slices.Contains(unlock, name) {
			return change.Entry{}, &change.BodyError{Problem: fmt.Sprintf("the pack %s is locked and would change or go: whoever means it says so with --unlock %s", name, name)}
		}
	}
	for _, name := range unlock {
		if !slices.Contains(changed, name) {
			return change.Entry{}, &change.BodyError{Problem: fmt.Sprintf("no locked pack %q would change", name)}
		}
	}
	now := e.Value.Files
	if len(now) == 0 {
		now = map[string]string{}
		for name, text := range disk {
			now[name] = string(text)
		}
	}
	p.What, p.Title = applying, fmt.Sprintf("Policy %d in the place of %d", e.Value.Number+1, e.Value.Number)
	p.Text = fmt.Sprintf("%s\n\n%s", set.Bundle(), packsDiff(now, files))
	if len(changed) > 0 {
		p.Title += ", with locked packs changed: " + strings.Join(changed, ", ")
	}
	if p.Body, err = json.Marshal(applied{e.Value.Number + 1, files}); err != nil {
		return change.Entry{}, err
	}
	return s.changes.Propose(ctx, p)
}
