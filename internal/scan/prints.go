package scan

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/assenthq/assent/internal/detect"
)

// Prints makes fingerprints of findings, and knows those of a baseline. A fingerprint is an
// HMAC under a key that does not stand beside it, since who has both can try every card number there
// is. It is safe for concurrent use.
type Prints struct {
	key    []byte
	folder string // that paths are told from
	known  map[string]bool

	mu    sync.Mutex
	taken map[string]entry // guarded by mu
}

// A baseline is the file: what was found once, and is put up with.
type baseline struct {
	Format   int     `json:"assent_baseline"`
	Key      string  `json:"key"` // which one, not what it is
	Findings []entry `json:"findings"`
}

type entry struct {
	File  string       `json:"file"`
	Class detect.Class `json:"class"`
	Print string       `json:"fingerprint"`
}

// ErrNoKey says that the key of a baseline is not there.
var ErrNoKey = errors.New("no key for the baseline")

// NewPrints returns the fingerprints of a deployment's key, for a baseline in a file that need not be there yet.
func NewPrints(key []byte, file string) (*Prints, error) {
	if len(key) < 16 {
		return nil, errors.New("the key of a baseline has 16 bytes or more")
	}
	folder, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("finding the baseline's folder: %w", err)
	}
	return &Prints{key: key, folder: folder, known: map[string]bool{}, taken: map[string]entry{}}, nil
}

// ReadKey reads the key in a file, or makes one there if missing ones are to be made.
func ReadKey(file string, create bool) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err == nil {
		return []byte(strings.TrimSpace(string(b))), nil
	}
	if !errors.Is(err, fs.ErrNotExist) || !create {
		return nil, fmt.Errorf("%w: %w", ErrNoKey, err)
	}
	key := []byte(rand.Text())
	if err := os.WriteFile(file, append(slices.Clone(key), '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return key, nil
}

func (p *Prints) keyName() string { return p.mac("key", "", nil)[:16] }

func (p *Prints) mac(what, class string, v []byte) string {
	h := hmac.New(sha256.New, p.key)
	fmt.Fprintf(h, "assent baseline v1\x00%s\x00%s\x00", what, class)
	h.Write(v)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// place is the path of a file as the baseline tells it.
func (p *Prints) place(file string) string {
	if abs, err := filepath.Abs(file); err == nil {
		if rel, err := filepath.Rel(p.folder, abs); err == nil {
			file = rel
		}
	}
	return filepath.ToSlash(file)
}

// of is the fingerprint of a value in a file.
func (p *Prints) of(file string, class detect.Class, v []byte) string {
	return p.mac(p.place(file), string(class), v)
}

func (p *Prints) knows(print string) bool { return p.known[print] }

// Load reads a baseline that was written under the same key.
func (p *Prints) Load(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the baseline: %w", err)
	}
	var in baseline
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("reading the baseline %s: it is none: write it with --write-baseline", file)
	}
	if in.Format != 1 {
		return fmt.Errorf("reading the baseline %s: format %d, and 1 is known here", file, in.Format)
	}
	if in.Key != p.keyName() {
		return fmt.Errorf("reading the baseline %s: it was written under another key", file)
	}
	for _, e := range in.Findings {
		p.known[e.Print] = true
	}
	return nil
}

// Take notes a finding, to be saved.
func (p *Prints) Take(f *Finding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken[f.Print] = entry{p.place(f.File), f.Class, f.Print}
}

// Save writes a baseline of what was taken, and returns how many that are.
func (p *Prints) Save(file string) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := baseline{Format: 1, Key: p.keyName(), Findings: []entry{}}
	for _, e := range p.taken {
		out.Findings = append(out.Findings, e)
	}
	slices.SortFunc(out.Findings, func(a, b entry) int {
		return strings.Compare(a.File+"\x00"+string(a.Class)+"\x00"+a.Print, b.File+"\x00"+string(b.Class)+"\x00"+b.Print)
	})
	b, err := json.MarshalIndent(out, "", " ")
	if err == nil {
		err = os.WriteFile(file, append(b, '\n'), 0o644) //nolint:gosec // it holds no values, and is committed
	}
	if err != nil {
		return 0, fmt.Errorf("writing the baseline: %w", err)
	}
	return len(out.Findings), nil
}
