package launch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"github.com/charmbracelet/x/term"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/gates/command"
)

// Bounds on standard input that is read before the command is asked for.
const (
	quiet    = 500 * time.Millisecond // after so long without a byte it is taken for live
	maxInput = 4 << 30
)

// input is standard input: nothing, a terminal, or what was read of it into a file that
// nobody else can open.
type input struct {
	terminal *os.File
	spool    *os.File
	sum      hash.Hash
	bytes    int64
	head     []byte
	rest     <-chan []byte // live: what still comes; nil: all is in spool
}

// readInput reads what is there, so that the command can be asked for with it. What
// doesn't end, and is quiet, comes while the command runs: nobody knows it before.
func readInput(ctx context.Context, in *os.File) (*input, error) {
	i := &input{}
	if in == nil {
		return i, nil
	}
	info, err := in.Stat()
	if err != nil {
		return i, nil // it is closed
	}
	if term.IsTerminal(in.Fd()) {
		i.terminal = in
		return i, nil
	}
	if null, err := os.Stat(os.DevNull); err == nil && os.SameFile(info, null) {
		return i, nil
	}
	if i.spool, err = os.CreateTemp("", "assent-stdin-*"); err != nil {
		return nil, fmt.Errorf("keeping standard input: %w", err)
	}
	_ = os.Remove(i.spool.Name()) // it lives as long as we hold it
	i.sum = sha256.New()
	pieces := make(chan []byte)
	failed := make(chan error, 1)
	go func() {
		defer close(pieces)
		for {
			b := make([]byte, 256<<10)
			n, err := in.Read(b)
			if n > 0 {
				pieces <- b[:n]
			}
			if err != nil {
				if err != io.EOF {
					failed <- err
				}
				return
			}
		}
	}()
	for {
		idle := time.NewTimer(quiet)
		select {
		case b, ok := <-pieces:
			idle.Stop()
			if !ok {
				select {
				case err := <-failed:
					return nil, fmt.Errorf("reading standard input: %w", err)
				default:
				}
				_, err := i.spool.Seek(0, io.SeekStart)
				return i, err
			}
			if err := i.add(b); err != nil {
				return nil, err
			}
		case <-idle.C:
			i.rest = pieces
			_, err := i.spool.Seek(0, io.SeekStart)
			return i, err
		case <-ctx.Done():
			idle.Stop()
			return nil, ctx.Err()
		}
	}
}

func (i *input) add(b []byte) error {
	i.bytes += int64(len(b))
	if i.bytes > maxInput {
		return fmt.Errorf("standard input is larger than %d GiB", maxInput>>30)
	}
	i.sum.Write(b)
	if room := command.MaxContent + 1 - len(i.head); room > 0 {
		i.head = append(i.head, b[:min(room, len(b))]...)
	}
	if _, err := i.spool.Write(b); err != nil {
		return fmt.Errorf("keeping standard input: %w", err)
	}
	return nil
}

// describe says what of it is known.
func (i *input) describe() *client.CommandStdin {
	switch {
	case i.terminal != nil || i.rest != nil:
		return &client.CommandStdin{Live: true}
	case i.spool == nil || i.bytes == 0:
		return nil
	}
	d := &client.CommandStdin{SHA256: hex.EncodeToString(i.sum.Sum(nil)), Bytes: i.bytes}
	if s, ok := text(i.head); ok && i.bytes <= command.MaxContent {
		d.Content = &s
	}
	return d
}

// reader is standard input for a command that isn't on a terminal of its own.
func (i *input) reader() io.Reader {
	switch {
	case i.terminal != nil:
		return i.terminal
	case i.rest != nil:
		return io.MultiReader(i.spool, &pieces{from: i.rest})
	case i.spool != nil:
		return i.spool
	}
	return nil
}

func (i *input) close() {
	if i != nil && i.spool != nil {
		_ = i.spool.Close()
	}
}

// pieces reads what comes through a channel.
type pieces struct {
	from <-chan []byte
	left []byte
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		next, ok := <-p.from
		if !ok {
			return 0, io.EOF
		}
		p.left = next
	}
	n := copy(b, p.left)
	p.left = p.left[n:]
	return n, nil
}
