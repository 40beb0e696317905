package server

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
)

// An Oversight is what a configuration forgot: it loads, and something in it will not do what it says.
type Oversight struct{ What, Remedy string }

// Oversights looks at secrets that aren't there and at owners whom nobody would know
// when they sign in. It reads files and the environment, runs no command, and tells no secret.
func Oversights(cfg *Config) []Oversight {
	var out []Oversight
	cfg.missing("", reflect.ValueOf(cfg).Elem(), &out)
	return append(out, cfg.unknownOwners()...)
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
