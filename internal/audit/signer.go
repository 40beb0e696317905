package audit

import (
	"bufio"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// signTime is how long a signer may take for one signature.
const signTime = 5 * time.Second

// A Signer is a program that holds the log's key elsewhere: in a PKCS#11 token, a
// KMS, another user's process. It is started once and asked a line at a time: the
// message in base64 in, the Ed25519 signature of it in base64 out. Nothing that
// it answers is believed before it verifies under the log's public key.
type Signer struct {
	name    string
	hash    uint32
	public  ed25519.PublicKey
	command []string

	mu  sync.Mutex // held through one signature
	run *running   // nil: it is started when it is needed
}

type running struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// ExternalKey is a key that a program signs with. vkey is its public half.
func ExternalKey(vkey string, command ...string) (*Key, *Signer, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil || len(command) == 0 {
		return nil, nil, errors.New("signer: want the log's vkey (name+id+key) and a command")
	}
	raw, err := base64.StdEncoding.DecodeString(vkey[strings.LastIndex(vkey[:len(v.Name())+10], "+")+1:])
	if err != nil || len(raw) != 1+ed25519.PublicKeySize {
		return nil, nil, errors.New("signer: not an Ed25519 vkey")
	}
	s := &Signer{name: v.Name(), hash: v.KeyHash(), public: raw[1:], command: command}
	return &Key{signer: s, vkey: vkey}, s, nil
}

// Name is the log's name.
func (s *Signer) Name() string { return s.name }

// KeyHash is the key's id (C2SP signed-note).
func (s *Signer) KeyHash() uint32 { return s.hash }

// Sign asks the program. One that fails, is late or answers something else is
// ended; the next signature starts it anew.
func (s *Signer) Sign(msg []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sig, err := s.ask(msg)
	if err == nil && !ed25519.Verify(s.public, msg, sig) {
		err = errors.New("its signature doesn't verify under the log's key")
	}
	if err != nil {
		s.end()
		return nil, fmt.Errorf("signer %s: %w", s.command[0], err)
	}
	return sig, nil
}

func (s *Signer) ask(msg []byte) ([]byte, error) {
	if err := s.start(); err != nil {
		return nil, err
	}
	type answer struct {
		line string
		err  error
	}
	got, r := make(chan answer, 1), s.run
	go func() {
		_, err := io.WriteString(r.in, base64.StdEncoding.EncodeToString(msg)+"\n")
		if err != nil {
			got <- answer{err: err}
			return
		}
		line, err := r.out.ReadSlice('\n') // a line longer than the reader's room is an error
		got <- answer{string(line), err}
	}()
	select {
	case a := <-got:
		if a.err != nil {
			return nil, fmt.Errorf("no answer: %w", a.err)
		}
		return base64.StdEncoding.DecodeString(strings.TrimSuffix(a.line, "\n"))
	case <-time.After(signTime):
		return nil, fmt.Errorf("no answer within %s", signTime)
	}
}

func (s *Signer) start() error {
	if s.run != nil {
		return nil
	}
	cmd := exec.Command(s.command[0], s.command[1:]...) // #nosec G204 -- the administrator's own, from the configuration
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.run = &running{cmd: cmd, in: in, out: bufio.NewReader(out)}
	return nil
}

// end stops the program. The caller holds mu.
func (s *Signer) end() {
	if s.run == nil {
		return
	}
	_ = s.run.in.Close()
	_ = s.run.cmd.Process.Kill()
	_ = s.run.cmd.Wait() // it was killed: what it says of that is no news
	s.run = nil
}

// Close ends the program.
func (s *Signer) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
}
