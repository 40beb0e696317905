package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/store"
)

const (
	keyChecks   = "keys" // the setting that tells whether a node's keys are the deployment's
	watchEvery  = time.Second
	settleEvery = 30 * time.Second
)

// checkKeys refuses a node whose keys are not those of the deployment: it would
// take everything for forged, and others would take its own for forged. What is
// kept is a value under each key that tells nothing of it. The database could at
// worst have a node refused.
func (s *Server) checkKeys(ctx context.Context, k *keys) error {
	if s.shared == nil {
		return nil
	}
	mine := map[string]string{"log": check([]byte(strings.Join(s.auditLog.Verifiers(), "\n")), "log"), "grant": check(s.minter.JWKS(), "grant")}
	for name, key := range map[string][]byte{"seal": k.seal, "match": k.match, "mask": k.mask, "api": k.api} {
		mine[name] = check(key, name)
	}
	b, err := json.Marshal(mine)
	if err != nil {
		return err
	}
	kept, err := s.shared.FirstSetting(ctx, keyChecks, b)
	if err != nil {
		return err
	}
	var theirs map[string]string
	if err := json.Unmarshal(kept, &theirs); err != nil {
		return errors.New("the deployment's check of its keys can't be read: the database was changed outside Assent")
	}
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(mine)) {
		if mine[name] != theirs[name] {
			wrong = append(wrong, name)
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("the keys in %s are not this deployment's (%s): every node needs the same key directory and public_url; copy the keys of a node that serves, or name another store", s.cfg.keysDir(), strings.Join(wrong, ", "))
	}
	return nil
}

func check(key []byte, name string) string {
	h := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(h, "assent-key-check/1\x00%s", name)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// keysAreThere reports whether the deployment has keys already, so that none are made up beside them.
func (s *Server) keysAreThere(ctx context.Context) (bool, error) {
	if s.shared == nil {
		return false, nil
	}
	b, err := s.shared.Setting(ctx, keyChecks)
	if err != nil || b == nil {
		return false, err
	}
	for _, file := range []string{s.cfg.logKeyFile(), s.cfg.grantFile()} {
		if file == s.cfg.logKeyFile() && s.cfg.Audit.Signer != nil {
			continue
		}
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return true, fmt.Errorf("reading a key: %s is not there, and the deployment has its keys already: copy the key directory of a node that serves", file)
		}
	}
	return true, nil
}

// node names this process where it executes; "" in a deployment that has only one.
func (s *Server) node() string {
	if s.shared == nil {
		return ""
	}
	return s.shared.Node()
}

// serving errs while this node is cut off from the others: it would not hear of
// a freeze or of a credential that was revoked.
// It also errs while the log is not witnessed as it must be.
func (s *Server) serving() error {
	if s.shared != nil {
		if err := s.shared.Err(); err != nil {
			return err
		}
	}
	return s.witnessing()
}

// recover settles what dead processes left.
func (s *Server) recover(ctx context.Context) error {
	if s.shared == nil {
		return s.engine.Recover(ctx)
	}
	gone, err := s.shared.Gone(ctx)
	if err != nil {
		return err
	}
	return s.engine.RecoverFrom(ctx, gone)
}

// follow takes in what other nodes wrote: whoever waits here for an approval is
// woken, whoever keeps something in memory is told, and the sessions of a
// credential that was revoked end.
func (s *Server) follow(ctx context.Context) {
	s.shared.OnForeign(func(recs []audit.Record) {
		var approvals, about []string
		for i := range recs {
			r := &recs[i]
			if r.Approval != "" && !slices.Contains(approvals, r.Approval) {
				approvals = append(approvals, r.Approval)
			}
			if r.About != "" {
				about = append(about, r.About)
			}
			if r.Type == audit.TypeToken && r.Detail["what"] == "revoked" {
				s.enforcer.CutCredential(r.Detail["token"])
				s.lookAgain() // at what was made from it
			}
		}
		if err := s.engine.Changed(ctx, approvals...); err != nil && ctx.Err() == nil {
			s.log.Error("taking in what other nodes wrote", "err", err) // waiters look again when their time is over
		}
		s.box.Told(about...)
	})
}

// watchNodes settles what nodes that are gone left running, and stops serving
// when this one was taken for gone itself.
func (s *Server) watchNodes(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var settled time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.store.Err(); errors.Is(err, store.ErrDead) {
			s.fail("store", err)
			s.stopServing(err)
			return
		}
		n, err := s.shared.Fence(ctx)
		if err == nil && (n > 0 || time.Since(settled) > settleEvery) {
			if n > 0 {
				s.log.Warn("nodes are gone; what they ran is settled as unknown", "nodes", n)
			}
			if err = s.settle(ctx); err == nil {
				settled = time.Now()
			}
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn("looking after the other nodes", "err", err)
		}
	}
}

func (s *Server) settle(ctx context.Context) error {
	gone, err := s.shared.Gone(ctx)
	if err != nil {
		return err
	}
	return s.engine.Settle(ctx, gone)
}

// stopServing closes the gates for good. Console and API stay, to say so: the store refuses whatever they would do.
func (s *Server) stopServing(why error) {
	s.log.Error("this node stops serving", "err", why)
	s.closeGates()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost == nil {
		s.lost = why
		close(s.stopped)
	}
}

// Stopped is closed when this node has stopped serving by itself; Lost then says why.
func (s *Server) Stopped() <-chan struct{} { return s.stopped }

// Lost says why this node stopped serving; nil while it serves.
func (s *Server) Lost() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}
