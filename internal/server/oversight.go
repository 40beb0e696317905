package server

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"
)

// An Oversight is what a configuration forgot: it loads, and something in it will not do what it says.
type Oversight struct{ What, Remedy string }

// Oversights looks at secrets that aren't there, at certificates that have ended or will within two weeks, at the room
// that the traffic spool may still need, and at owners whom nobody would know
// when they sign in. It reads files and the environment, runs no command, and tells no secret.
func Oversights(cfg *Config) []Oversight {
	var out []Oversight
	cfg.missing("", reflect.ValueOf(cfg).Elem(), &out)
	return append(append(out, cfg.littleRoom()...), cfg.unknownOwners()...)
}

// endsSoon is how long before its end a certificate is told of, time for who renews it by hand; of one that lives
// for days or hours, and is renewed by itself, the last fifth.
const endsSoon = 14 * 24 * time.Hour

// ending tells of a certificate that can't be read, or whose time is over or soon will be.
func (c *Config) ending(at string, pair *KeyPair) []Oversight {
	const renew = "renew it, and start the server anew where the documentation doesn't say that changed files are taken over"
	text, err := os.ReadFile(c.path(pair.Cert)) //nolint:gosec // the operator's configuration names it
	if err != nil {
		return []Oversight{{at + ".cert: " + err.Error(), "name a file that the server's user may read"}}
	}
	end, from, err := lifeOf(text)
	now := time.Now()
	switch {
	case err != nil:
		return []Oversight{{fmt.Sprintf("%s.cert: %s: %v", at, pair.Cert, err), "write the certificate, and those that signed it, in PEM form"}}
	case now.After(end):
		return []Oversight{{fmt.Sprintf("%s.cert: %s ended on %s: clients refuse it", at, pair.Cert, end.UTC().Format(time.DateTime)), renew}}
	case now.Before(from):
		return []Oversight{{fmt.Sprintf("%s.cert: %s begins on %s: until then clients refuse it", at, pair.Cert, from.UTC().Format(time.DateTime)), "see that this machine's clock is right"}}
	case end.Sub(now) < min(endsSoon, end.Sub(from)/5):
		return []Oversight{{fmt.Sprintf("%s.cert: %s ends in %d days, on %s", at, pair.Cert, int(end.Sub(now).Hours()/24), end.UTC().Format(time.DateTime)), renew}}
	}
	return nil
}

// lifeOf is when the first of a file's certificates to end does so, and when the last to begin does.
func lifeOf(text []byte) (end, from time.Time, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return end, from, err
		}
		if end.IsZero() || cert.NotAfter.Before(end) {
			end = cert.NotAfter
		}
		if cert.NotBefore.After(from) {
			from = cert.NotBefore
		}
	}
	if end.IsZero() {
		return end, from, errors.New("holds no certificate")
	}
	return end, from, nil
}

// littleRoom tells of a disk that is full before the traffic spool has its size: what runs then ends before
// limits.spool_bytes would have said so.
func (c *Config) littleRoom() []Oversight {
	data := c.path(c.Data)
	free, err := roomOf(data)
	if err != nil { // it is made at the first start
		return nil
	}
	used := int64(0)
	files, _ := filepath.Glob(filepath.Join(data, "spool", "*"))
	for _, f := range files {
		if i, err := os.Stat(f); err == nil { //nolint:gosec // a file of the data directory
			used += i.Size()
		}
	}
	if need := c.Limits.SpoolBytes - used; free < need {
		return []Oversight{{
			fmt.Sprintf("the disk of %s has %d MiB left, and the traffic spool may still take %d: nothing runs once it is full", c.Data, free>>20, need>>20),
			"make room, name an archive (audit.archive, docs/retention.md), or lower limits.spool_bytes",
		}}
	}
	return nil
}

func (c *Config) missing(at string, v reflect.Value, out *[]Oversight) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			c.missing(at, v.Elem(), out)
		}
	case reflect.Slice:
		for i := range v.Len() {
			c.missing(fmt.Sprintf("%s[%d]", at, i), v.Index(i), out)
		}
	case reflect.Struct:
		if s, ok := v.Interface().(Secret); ok {
			if s.sources() == 1 && len(s.Command) == 0 {
				if _, err := s.Read(context.Background(), c); err != nil {
					*out = append(*out, Oversight{at + ": " + err.Error(), s.remedy(c)})
				}
			}
			return
		}
		if pair, ok := v.Interface().(KeyPair); ok {
			*out = append(*out, c.ending(at, &pair)...)
			return
		}
		for i := range v.NumField() {
			if key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ","); key != "" {
				c.missing(strings.TrimPrefix(at+"."+key, "."), v.Field(i), out)
			}
		}
	}
}

func (s *Secret) remedy(c *Config) string {
	if s.Env != "" {
		return "set " + s.Env + " where the server is started"
	}
	if _, err := os.Stat(c.path(s.File)); err == nil { //nolint:gosec // the operator's configuration names it
		return "see that it is not empty, and that the server's user may read it"
	}
	return "write it, for the server's user alone: (umask 077; cat > " + s.File + ")"
}

// unknownOwners are those whom no issuer's account leads to: signing in they would be
// somebody else, whom nothing keeps from reviewing what their own actors ask.
func (c *Config) unknownOwners() (out []Oversight) {
	for _, p := range c.People {
		known := len(c.Issuers) == 0 || slices.ContainsFunc(p.Accounts, func(a string) bool {
			name, _, _ := strings.Cut(a, "|")
			return slices.ContainsFunc(c.Issuers, func(i IssuerConfig) bool { return i.Name == name })
		})
		i := slices.IndexFunc(c.Actors, func(a ActorConfig) bool { return a.Owner == p.ID || slices.Contains(a.Related, p.ID) })
		if !known && i >= 0 {
			out = append(out, Oversight{
				fmt.Sprintf("%s is behind %s, and no account of an issuer leads to %s: whoever that is signs in as somebody else, and may review what it asks", p.ID, c.Actors[i].ID, p.ID),
				fmt.Sprintf("name their account beside %s under people: accounts: [\"%s|…\"]", p.ID, c.Issuers[0].Name),
			})
		}
	}
	return out
}

// tellOversights writes them to the process's log: the server starts, and something in it doesn't work.
func (s *Server) tellOversights(ctx context.Context) {
	for _, o := range Oversights(s.cfg) {
		s.log.WarnContext(ctx, "the configuration forgot something", "what", o.What, "remedy", o.Remedy)
	}
}
