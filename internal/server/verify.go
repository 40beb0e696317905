package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/console"
)

const (
	verifyEvery = 10 * time.Minute
	verifyAgain = time.Minute // after it couldn't be looked at
	// verifyLate is how long the log may go without having been verified.
	verifyLate = 30 * time.Minute
)

// verifyLoop checks the whole log at start and from time to time.
func (s *Server) verifyLoop(ctx context.Context) {
	since := time.Now()
	for {
		next := verifyEvery
		ok, looked := s.verifyNow(ctx, since)
		if ctx.Err() != nil {
			return
		}
		if ok {
			since = time.Now()
		} else if !looked {
			next = verifyAgain
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(next):
		}
	}
}

// verifyNow checks the log, keeps what came of it, and freezes everything when it
// doesn't verify, or could not be verified for too long: what became of approvals,
// credentials and rows is asked of it. since is when it held last.
func (s *Server) verifyNow(ctx context.Context, since time.Time) (ok, looked bool) {
	r, err := s.verify(ctx)
	if ctx.Err() != nil {
		return false, false
	}
	v := console.Verified{At: time.Now()}
	if r != nil {
		v.Size = r.Records
	}
	finding, reason := "", ""
	switch late := since.UTC().Format(time.RFC3339); {
	case err == nil && r.OK():
		ok = true
	case err == nil:
		finding, reason = findingOf(r), "the log does not verify: "+about(r.Problems[0])
	case errors.Is(err, audit.ErrRolledBack):
		finding, reason = "rolled back", "the log does not verify: "+err.Error()
	case time.Since(since) > verifyLate:
		finding, reason = "not verified since "+late, fmt.Sprintf("the log could not be verified since %s: %v", late, err)
	}
	switch {
	case finding != "":
		v.Err = errors.New(reason + "; assent verify lists all that is wrong")
	case err != nil:
		v.Err = fmt.Errorf("verifying the log: %w", err)
	}
	s.mu.Lock()
	s.verified = v
	s.mu.Unlock()
	if v.Err != nil {
		s.log.Error("the log is not verified", "err", v.Err)
	}
	if finding != "" {
		s.halt(ctx, finding, reason)
	}
	return ok, err == nil
}

// halt freezes everything for what was found.
func (s *Server) halt(ctx context.Context, finding, reason string) {
	const most = 1500 // bytes of a reason
	halted, err := s.freezes.Halt(ctx, finding, reason[:min(len(reason), most)])
	switch {
	case err != nil:
		s.log.Error("alarm: everything is frozen", "why", reason, "err", err)
	case halted:
		s.log.Error("alarm: everything is frozen until an administrator has looked", "why", reason)
	default:
		s.log.Warn("found again what an administrator has looked at and let go", "finding", reason)
	}
}

// findingOf tells one set of problems from another, whatever the log's size is by now.
func findingOf(r *audit.Report) string {
	h := sha256.New()
	for _, p := range r.Problems {
		words := slices.DeleteFunc(strings.Fields(p.What), func(w string) bool {
			return len(w) > 20 || strings.ContainsAny(w, "0123456789") // sizes and roots
		})
		_, _ = fmt.Fprintf(h, "%d %q\n", p.Index, words)
	}
	return fmt.Sprintf("problems %x", h.Sum(nil)[:8])
}

// verify checks the stored log against its newest checkpoint. An error means that it couldn't look.
func (s *Server) verify(ctx context.Context) (*audit.Report, error) {
	head, err := s.store.Head(ctx)
	if err != nil {
		return nil, err
	}
	_, unsigned := s.auditLog.Sign(ctx, head)
	if s.auditLog.Signed().Size >= head.Size {
		unsigned = nil
	}
	o := s.cfg.VerifyOptions(s.logVerifiers()...)
	o.Listed = s.cfg.remoteArchive()
	r, err := audit.Verify(ctx, s.store, o)
	if err == nil && r.OK() {
		err = unsigned
	}
	return r, err
}
