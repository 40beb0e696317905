package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// Files of a rotation, beside log.key: the key that is to take over, the one that
// was taken over from and still signs beside it, and the public halves of all former ones.
func (c *Config) nextKeyFile() string { return c.logKeyFile() + ".next" }
func (c *Config) oldKeyFile() string  { return c.logKeyFile() + ".old" }
func (c *Config) retiredFile() string { return c.logKeyFile() + ".retired" }

// retiredKey is a line of the file of former keys.
type retiredKey struct {
	until time.Time // it signs beside the next one until then
	vkey  string
}

func (c *Config) retiredKeys() ([]retiredKey, error) {
	b, err := os.ReadFile(c.retiredFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading former log keys: %w", err)
	}
	var out []retiredKey
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		at, vkey, ok := strings.Cut(lines.Text(), " ")
		until, err := time.Parse(time.RFC3339, at)
		if !ok || err != nil {
			return nil, fmt.Errorf("reading former log keys: %s does not hold a time and a key on each line: restore it from a backup", c.retiredFile())
		}
		out = append(out, retiredKey{until, vkey})
	}
	return out, nil
}

// logKeys are the keys that sign the log now, and the public halves of those that did.
func (s *Server) logKeys(now time.Time) (keys []*audit.Key, retired []string, err error) {
	c := s.cfg
	former, err := c.retiredKeys()
	if err != nil {
		return nil, nil, err
	}
	for _, f := range former {
		retired = append(retired, f.vkey)
	}
	if g := c.Audit.Signer; g != nil {
		key, signer, err := audit.ExternalKey(g.Key, g.Command...)
		if err != nil {
			return nil, nil, err
		}
		s.signer = signer
		return []*audit.Key{key}, retired, nil
	}
	if _, err := os.Stat(c.nextKeyFile()); err == nil {
		return nil, nil, errors.New("a rotation of the log's key was begun and did not end: assent keys rotate ends it")
	}
	key, err := audit.LoadOrCreateKey(c.logKeyFile(), c.logName())
	if err != nil {
		return nil, nil, err
	}
	keys = []*audit.Key{key}
	if _, err := os.Stat(c.oldKeyFile()); err != nil || len(former) == 0 {
		return keys, retired, nil
	}
	if last := former[len(former)-1]; now.After(last.until) {
		if err := os.Remove(c.oldKeyFile()); err != nil { // what signs no more need not be there to be stolen
			return nil, nil, fmt.Errorf("removing the log's former key: %w", err)
		}
		return keys, retired, nil
	}
	old, err := audit.LoadOrCreateKey(c.oldKeyFile(), c.logName())
	if err != nil {
		return nil, nil, err
	}
	return append(keys, old), retired, nil
}

// A Rotated says which key follows which.
type Rotated struct {
	From  string    `json:"from"`
	To    string    `json:"to"`
	Until time.Time `json:"until"` // both sign until then
}

// RotateLogKey makes a new key for the log of a deployment that isn't running and
// records it, signed by both. One that was cut off is ended by the next.
func RotateLogKey(ctx context.Context, c *Config, overlap time.Duration) (*Rotated, error) {
	switch {
	case c.Store != nil:
		return nil, errors.New("rotating the log's key: with a store that replicas share, every node holds the key: this edition rotates it only where the store is the data directory's own")
	case c.Audit.Signer != nil:
		return nil, errors.New("rotating the log's key: it lies with the signer in the configuration, and is rotated there")
	case overlap < 0:
		return nil, errors.New("rotating the log's key: a negative overlap")
	}
	data := c.DataDir()
	old, err := loadKeyOf(c)
	if err != nil {
		return nil, err
	}
	st, err := sqlite.Open(ctx, data)
	if err != nil {
		return nil, err
	}
	defer func() { _ = st.Close() }() // what counts was committed before
	former, err := c.retiredKeys()
	if err != nil {
		return nil, err
	}
	o := audit.Options{Origin: old.Name(), Keys: []*audit.Key{old}, HeadFile: headFile(data)}
	for _, f := range former {
		o.Retired = append(o.Retired, f.vkey)
	}
	log, err := audit.New(o)
	if err != nil {
		return nil, err
	}
	if err := log.Open(ctx, st); err != nil {
		return nil, err
	}
	next, err := audit.LoadOrCreateKey(c.nextKeyFile(), old.Name())
	if err != nil {
		return nil, err
	}
	out := &Rotated{From: old.Verifier(), To: next.Verifier(), Until: time.Now().Add(overlap).UTC().Truncate(time.Second)}
	if err := recordRotation(ctx, st, log, old, next, out); err != nil {
		return nil, err
	}
	head, err := st.Head(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := log.Sign(ctx, head); err != nil {
		return nil, err
	}
	return out, c.swapKeys(former, out)
}

// recordRotation writes the record, unless a rotation that was cut off has.
func recordRotation(ctx context.Context, st *sqlite.Store, log *audit.Log, old, next *audit.Key, out *Rotated) error {
	recs, err := st.Search(ctx, audit.Query{Types: []string{audit.TypeKey}, Limit: 1})
	if err != nil {
		return err
	}
	if len(recs) == 1 && recs[0].Detail["from"] == out.From && recs[0].Detail["to"] == out.To {
		if out.Until, err = time.Parse(time.RFC3339, recs[0].Detail["until"]); err != nil {
			return fmt.Errorf("reading the rotation on record: %w", err)
		}
		return nil
	}
	rec, err := audit.Rotation(old, next, out.Until)
	if err != nil {
		return err
	}
	return st.Update(ctx, func(tx approval.Tx) error { return log.Append(ctx, tx, rec) })
}

// swapKeys puts the next key in the place of the log's; at no moment is there none.
func (c *Config) swapKeys(former []retiredKey, r *Rotated) error {
	var b strings.Builder
	for _, f := range former {
		if f.vkey != r.From {
			fmt.Fprintf(&b, "%s %s\n", f.until.Format(time.RFC3339), f.vkey)
		}
	}
	fmt.Fprintf(&b, "%s %s\n", r.Until.Format(time.RFC3339), r.From)
	if err := audit.WriteFile(c.retiredFile(), []byte(b.String())); err != nil {
		return fmt.Errorf("keeping the former key's public half: %w", err)
	}
	key, err := os.ReadFile(c.logKeyFile())
	if err != nil {
		return err
	}
	if err := audit.WriteFile(c.oldKeyFile(), key); err != nil {
		return fmt.Errorf("keeping the former key: %w", err)
	}
	if err := os.Rename(c.nextKeyFile(), c.logKeyFile()); err != nil {
		return fmt.Errorf("putting the new key in place: %w", err)
	}
	return nil
}

// loadKeyOf reads the log's key under the name that its checkpoint bears.
func loadKeyOf(c *Config) (*audit.Key, error) {
	cp, err := os.ReadFile(headFile(c.DataDir()))
	if err != nil {
		return nil, fmt.Errorf("reading the checkpoint: %w", err)
	}
	name, _, _ := strings.Cut(string(cp), "\n")
	return loadLogKey(c, name)
}

// LogKey is the key that signs a deployment's log, where it lies here or a program signs.
// done ends that program.
func LogKey(c *Config) (key *audit.Key, done func(), err error) {
	if g := c.Audit.Signer; g != nil {
		key, signer, err := audit.ExternalKey(g.Key, g.Command...)
		if err != nil {
			return nil, nil, err
		}
		return key, signer.Close, nil
	}
	key, err = loadKeyOf(c)
	return key, func() {}, err
}
