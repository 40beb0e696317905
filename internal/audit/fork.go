package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/assenthq/assent/evidence"
)

const (
	// forkDetail is the detail of a log.fork record that holds the signed fork.
	forkDetail = "fork"
	// forked stands between a log's own name and when it was forked.
	forked = "/fork-"
)

// ForkName is what a log is called after a fork at a time.
func ForkName(name string, at time.Time) string {
	own, _, _ := strings.Cut(name, forked)
	return own + forked + at.UTC().Format("20060102T150405Z")
}

// IsForkOf reports whether name is log's own, or that of a fork of it.
func IsForkOf(name, log string) bool { return name == log || strings.HasPrefix(name, log+forked) }

// IsFork reports whether a name is one after a fork.
func IsFork(name string) bool { return strings.Contains(name, forked) }

// Fork appends to a log, which nobody else has open, that it goes on from here under to's
// name and key, without what followed once: the old key signs that, and nothing that a
// witness of the old name could take for a second history. The head file is signed by
// the new key. The caller has verified the log.
func Fork(ctx context.Context, store Reader, update func(fn func(Tx) error) error, from, to *Key, headFile string, why *Record) error {
	head, err := store.Head(ctx)
	if err != nil {
		return err
	}
	if head.Size < 1 {
		return errors.New("forking the log: it is empty, and a new one loses nothing")
	}
	f := evidence.Fork{From: from.Verifier(), To: to.Verifier(), Size: head.Size, Root: evidence.Hash(head.Root), At: time.Now().UTC().Truncate(time.Second)}
	signed, err := note.Sign(&note.Note{Text: f.Text()}, from.signer, to.signer)
	if err != nil {
		return fmt.Errorf("forking the log: %w", err)
	}
	if _, err := evidence.VerifyFork(signed); err != nil {
		return err
	}
	rec := *why
	rec.Type, rec.Detail = TypeFork, map[string]string{"from": f.From, "to": f.To, forkDetail: string(signed)}
	for k, v := range why.Detail {
		rec.Detail[k] = v
	}
	if err := os.Remove(headFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forking the log: %w", err)
	}
	l, err := New(Options{Origin: to.Name(), Keys: []*Key{to}, HeadFile: headFile, Join: true})
	if err != nil {
		return err
	}
	if _, err := l.openUnsigned(ctx, store); err != nil {
		return err
	}
	if err := update(func(tx Tx) error { return l.Append(ctx, tx, &rec) }); err != nil {
		return fmt.Errorf("forking the log: %w", err)
	}
	if head, err = store.Head(ctx); err != nil {
		return err
	}
	_, err = l.Sign(ctx, head)
	return err
}
