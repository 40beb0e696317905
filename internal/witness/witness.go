// Package witness is both sides of C2SP tlog-witness: a witness that cosigns what
// it has seen of logs, and what a log asks witnesses with.
//
// A witness promises never to cosign a tree that is not a continuation of the
// last one it cosigned, whatever becomes of its process in between: what it has
// seen is on disk before its answer leaves. It refuses to begin anew beside a
// key that has cosigned before. What a log asks with believes no cosignature
// that it hasn't verified, and takes a witness that has seen more, or other
// records, for the sign that the log went back in time.
package witness

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
)

const (
	maxRequest = 64 << 10 // bytes of an add-checkpoint request
	maxProof   = 63       // hashes of a consistency proof
	sizeType   = "text/x.tlog.size"

	keyFile   = "witness.key"
	stateFile = "seen.json"
)

// Options of a Witness.
type Options struct {
	Dir    string           // of its key and of what it has seen; one process at a time
	Name   string           // of its key: a URL without scheme
	Logs   []string         // vkeys of the logs that it cosigns; several of one name while a key is being rotated
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: slog.Default
}

// A Witness cosigns checkpoints. It is an http.Handler of POST …/add-checkpoint.
type Witness struct {
	o      Options
	signer *audit.Cosigner
	logs   map[string][]string // vkeys by origin
	lock   *os.File

	mu   sync.Mutex        // held through one request, its write to disk included
	seen map[string]string // by origin: the newest note cosigned, with its own cosignature at the end
	last time.Time         // of the newest cosignature: time never runs back
}

// Open reads what a witness has seen, or begins anew in an empty directory.
func Open(o Options) (*Witness, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	w := &Witness{o: o, logs: map[string][]string{}, seen: map[string]string{}}
	for _, vkey := range o.Logs {
		v, err := note.NewVerifier(vkey)
		if err != nil {
			return nil, fmt.Errorf("witness: a log's key is not a vkey: name+id+key, as assent keys prints it")
		}
		w.logs[v.Name()] = append(w.logs[v.Name()], vkey)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	if err := w.open(); err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("witness: %w", err)
	}
	return w, nil
}

func (w *Witness) open() error {
	var err error
	if w.lock, err = os.OpenFile(filepath.Join(w.o.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := syscall.Flock(int(w.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another process has %s", w.o.Dir)
	}
	_, err = os.Stat(w.path(keyFile))
	fresh := errors.Is(err, fs.ErrNotExist)
	b, err := os.ReadFile(w.path(stateFile))
	switch {
	case errors.Is(err, fs.ErrNotExist) && fresh:
		// What was seen first, then the key: a key without it has always lost something.
		if err := w.store(w.seen); err != nil {
			return err
		}
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is gone, and the key beside it has cosigned before: put it back, or begin with another name and key in another directory", w.path(stateFile))
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(b, &w.seen); err != nil {
			return fmt.Errorf("%s is not what was written: put it back from its copy", w.path(stateFile))
		}
	}
	if fresh && len(w.seen) > 0 {
		return fmt.Errorf("%s is gone, and what it cosigned is not: put it back from its copy", w.path(keyFile))
	}
	key, err := audit.LoadOrCreateKey(w.path(keyFile), w.o.Name)
	if err != nil {
		return err
	}
	if w.signer, err = key.Cosigner(); err != nil {
		return err
	}
	return w.check()
}

// check holds what was read against this witness's own cosignatures.
func (w *Witness) check() error {
	for origin, signed := range w.seen {
		_, own, err := verifyOwn(signed, w.signer.Verifier())
		if err != nil || !strings.HasPrefix(signed, origin+"\n") {
			return fmt.Errorf("%s: what was seen of %q bears no cosignature of this witness: put it back from its copy", w.path(stateFile), origin)
		}
		if own.After(w.last) {
			w.last = own
		}
	}
	return nil
}

func (w *Witness) path(name string) string { return filepath.Join(w.o.Dir, name) }

// Verifier is the witness's key as logs and verifiers take it, a vkey of type 4.
func (w *Witness) Verifier() string { return w.signer.Verifier() }

// Close lets another process have the directory.
func (w *Witness) Close() error {
	if w.lock == nil {
		return nil
	}
	return w.lock.Close()
}

// Seen is the size of the newest tree cosigned of a log; 0 when there is none.
func (w *Witness) Seen(origin string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.newest(origin).Size
}

// newest is what was cosigned last of a log. The caller holds mu.
func (w *Witness) newest(origin string) evidence.Checkpoint {
	signed, ok := w.seen[origin]
	if !ok {
		return evidence.Checkpoint{Origin: origin}
	}
	cp, _, err := verifyOwn(signed, w.signer.Verifier())
	if err != nil {
		panic("a note that was checked no longer verifies")
	}
	return *cp
}

// refusal is an answer that is not a cosignature.
type refusal struct {
	status int
	why    string
	size   int64 // with 409: of the newest tree cosigned
}

func (r *refusal) Error() string { return r.why }

func (w *Witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Cache-Control", "no-store")
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodPost {
		rw.Header().Set("Allow", http.MethodPost)
		http.Error(rw, "POST a checkpoint here (C2SP tlog-witness)", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxRequest))
	if err != nil {
		http.Error(rw, "the request is longer than 64 KiB, or ended early", http.StatusBadRequest)
		return
	}
	line, err := w.add(body)
	var no *refusal
	switch {
	case errors.As(err, &no) && no.status == http.StatusConflict:
		rw.Header().Set("Content-Type", sizeType)
		rw.WriteHeader(no.status)
		_, _ = fmt.Fprintf(rw, "%d\n", no.size)
	case errors.As(err, &no):
		http.Error(rw, no.why, no.status)
	case err != nil:
		w.o.Logger.Error("cosigning", "err", err)
		http.Error(rw, "what was seen could not be written down, so nothing is cosigned", http.StatusInternalServerError)
	default:
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(rw, line)
	}
}

// add is add-checkpoint: the checks in the specification's order, then the write, then the cosignature.
func (w *Witness) add(body []byte) (string, error) {
	q, err := parseRequest(body)
	if err != nil {
		return "", &refusal{status: http.StatusBadRequest, why: err.Error()}
	}
	origin, _, _ := strings.Cut(string(q.checkpoint), "\n")
	vkeys, known := w.logs[origin]
	if !known {
		return "", &refusal{status: http.StatusNotFound, why: "this witness does not know that log"}
	}
	cp, err := evidence.VerifyCheckpoint(q.checkpoint, vkeys...)
	if err != nil {
		return "", &refusal{status: http.StatusForbidden, why: "no signature of the log's key on that checkpoint"}
	}
	if q.old > cp.Size {
		return "", &refusal{status: http.StatusBadRequest, why: "the old size is larger than the checkpoint's"}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	newest := w.newest(origin)
	if q.old != newest.Size {
		return "", &refusal{status: http.StatusConflict, why: "another size was cosigned last", size: newest.Size}
	}
	_, before := w.seen[origin]
	switch {
	case cp.Size == 0 && cp.Root != emptyRoot():
		return "", &refusal{status: http.StatusUnprocessableEntity, why: "an empty tree has another root"}
	case before && cp.Size == newest.Size && cp.Root != newest.Root:
		w.o.Logger.Error("a log shows two trees of one size", "log", origin, "size", cp.Size)
		return "", &refusal{status: http.StatusConflict, why: "another tree of that size was cosigned", size: newest.Size}
	case (q.old == 0 || q.old == cp.Size) && len(q.proof) > 0:
		return "", &refusal{status: http.StatusUnprocessableEntity, why: "a proof where there is nothing to prove"}
	case q.old > 0 && q.old < cp.Size:
		if err := evidence.VerifyConsistency(&newest, cp, q.proof); err != nil {
			w.o.Logger.Error("a log's tree is no continuation of what was seen of it", "log", origin, "seen", newest.Size, "size", cp.Size)
			return "", &refusal{status: http.StatusUnprocessableEntity, why: "the tree is no continuation of the one cosigned last"}
		}
	}
	now := w.o.Now()
	if now.Before(w.last) {
		now = w.last
	}
	line := w.signer.Line(cp.Body(), now)
	next := make(map[string]string, len(w.seen)+1)
	for k, v := range w.seen {
		next[k] = v
	}
	next[origin] = cp.Body() + "\n" + line
	if err := w.store(next); err != nil {
		return "", err
	}
	w.seen, w.last = next, now
	return line, nil
}

// store writes what was seen so that after a crash either all of it is there or
// what was there before; it returns once that is on disk.
func (w *Witness) store(seen map[string]string) error {
	b, err := json.MarshalIndent(seen, "", "  ")
	if err != nil {
		return err
	}
	return audit.WriteFile(w.path(stateFile), append(b, '\n'))
}

func emptyRoot() evidence.Hash { return sha256.Sum256(nil) }

// request is the body of add-checkpoint.
type request struct {
	old        int64
	proof      []evidence.Hash
	checkpoint []byte
}

// text is the request as it is sent.
func (q *request) text() []byte {
	b := fmt.Appendf(nil, "old %d\n", q.old)
	for _, h := range q.proof {
		b = append(b, base64.StdEncoding.EncodeToString(h[:])+"\n"...)
	}
	return append(append(b, '\n'), q.checkpoint...)
}

// parseRequest reads what text writes, in its one spelling.
func parseRequest(b []byte) (*request, error) {
	head, checkpoint, ok := bytes.Cut(b, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	old, isOld := strings.CutPrefix(lines[0], "old ")
	if !ok || !isOld || len(lines)-1 > maxProof {
		return nil, errors.New("want an old size, at most 63 hashes, an empty line and a checkpoint")
	}
	q := &request{checkpoint: checkpoint}
	n, err := strconv.ParseInt(old, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != old {
		return nil, errors.New("the old size is not a plain decimal number")
	}
	q.old = n
	for _, l := range lines[1:] {
		h, err := base64.StdEncoding.Strict().DecodeString(l)
		if err != nil || len(h) != len(evidence.Hash{}) || len(l) != base64.StdEncoding.EncodedLen(len(h)) {
			return nil, errors.New("a line of the proof is not 32 bytes in base64")
		}
		q.proof = append(q.proof, evidence.Hash(h))
	}
	return q, nil
}

// verifyOwn reads a note that bears a witness's cosignature as its only signature.
func verifyOwn(signed, vkey string) (*evidence.Checkpoint, time.Time, error) {
	cp, sigs, err := evidence.VerifyWitnessed([]byte(signed), vkey)
	if err != nil {
		return nil, time.Time{}, err
	}
	return cp, sigs.Time, nil
}
