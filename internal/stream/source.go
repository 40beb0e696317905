package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/assenthq/assent/internal/audit"
)

// decisions reads the log.
type decisions struct{ log audit.Reader }

// FromLog is the lane of decisions.
func FromLog(log audit.Reader) Source { return decisions{log} }

func (decisions) Lane() string { return Decisions }

func (d decisions) End(ctx context.Context) (int64, error) {
	h, err := d.log.Head(ctx)
	return h.Size, err
}

var errStop = errors.New("enough")

func (d decisions) Read(ctx context.Context, from int64, fn func(int64, []byte) bool) error {
	to, err := d.End(ctx)
	if err != nil || from >= to {
		return err
	}
	next := from
	err = d.log.Leaves(ctx, from, min(to, from+batchMost), func(index int64, leaf []byte) error {
		if index != next {
			return fmt.Errorf("record %d of the log is followed by record %d: run assent verify", next-1, index)
		}
		next++
		if !fn(index, leaf) {
			return errStop
		}
		return nil
	})
	if errors.Is(err, errStop) {
		return nil
	}
	if err == nil && next == from {
		return fmt.Errorf("record %d of the log is gone: run assent verify", from)
	}
	return err
}

// traffic reads this node's spool.
type traffic struct {
	spool *audit.Spool
	at    *audit.Follow
	next  int64 // that at reads
}

// FromSpool is the lane of traffic. It belongs to one Follower.
func FromSpool(spool *audit.Spool) Source { return &traffic{spool: spool} }

func (*traffic) Lane() string { return Traffic }

func (t *traffic) End(context.Context) (int64, error) { return t.spool.Next(), nil }

func (t *traffic) Read(_ context.Context, from int64, fn func(int64, []byte) bool) error {
	if t.at == nil || t.next != from {
		if t.at != nil {
			t.at.Close()
		}
		t.at, t.next = t.spool.Follow(from), from
	}
	for {
		seq, leaf, ok, err := t.at.Read()
		switch {
		case err != nil:
			t.at.Close()
			t.at = nil
			return err
		case !ok:
			return nil
		case seq != t.next:
			gap := &Gap{t.next, seq}
			t.at.Close()
			t.at = nil
			return gap
		}
		t.next = seq + 1
		if !fn(seq, leaf) {
			return nil
		}
	}
}

// A FileCursor is a cursor of this node's own, in a file.
type FileCursor string

type place struct {
	Next int64 `json:"next"`
}

// Load implements Cursor.
func (c FileCursor) Load(context.Context) (int64, bool, error) {
	b, err := os.ReadFile(string(c))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	var p place
	if err := json.Unmarshal(b, &p); err != nil || p.Next < 0 {
		return 0, false, fmt.Errorf("%s doesn't say how far the stream came: remove it, and the stream begins anew", string(c))
	}
	return p.Next, true, nil
}

// Store implements Cursor. After a power cut it may be behind: records are sent again then.
func (c FileCursor) Store(_ context.Context, next int64) error {
	b, err := json.Marshal(place{next})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(string(c)), 0o700); err != nil {
		return err
	}
	tmp := string(c) + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, string(c))
}

// Mine implements Cursor: nobody else sends this node's traffic.
func (FileCursor) Mine(context.Context) (bool, error) { return true, nil }
