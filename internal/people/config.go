package people

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/identity"
)

// Config is what the configuration says of people, in the directory's terms.
type Config struct {
	People  []identity.Person // ID, Name, Groups and Accounts
	Groups  []Group
	OnCall  []Rotation
	Actors  []identity.Actor
	Issuers map[string]string // name → URL; an account of any other issuer is refused
	// SignIns are the issuers that people sign in through; nil: all of them. The
	// others vouch for accounts alone, as chats do.
	SignIns map[string]string
	// Addresses are people's e-mail addresses, by id.
	Addresses map[string]string
	// Provisioned are the issuers whose provisioning counts.
	Provisioned map[string]bool
}

// A Group is a name that packs use, and who is in it.
type Group struct {
	Name   string   // "group:data-owners"
	People []string // person ids
	From   []string // groups of issuers: "corp|00g1"
}

// A Rotation puts one person after another into a group.
type Rotation struct {
	Group  string
	People []string // person ids, in turn
	Start  time.Time
	Days   int           // length of a turn, handed over at Start's time of day in Zone
	Length time.Duration // where Days is 0
	Zone   *time.Location
}

// config is a Config that was checked, indexed.
type config struct {
	Config
	people map[string]identity.Person
	owner  map[string]string // account → person id
	actors map[string]identity.Actor
	from   map[string][]string // issuer's group → our names
	given  map[string][]string // person id → groups, from both ends
}

func (c Config) check() (*config, error) {
	out := &config{
		Config: c, people: map[string]identity.Person{}, owner: map[string]string{}, actors: map[string]identity.Actor{},
		from: map[string][]string{}, given: map[string][]string{},
	}
	for _, p := range c.People {
		if p.ID == "" {
			return nil, fmt.Errorf("a person has no id")
		}
		if _, taken := out.people[p.ID]; taken {
			return nil, fmt.Errorf("%q is there twice", p.ID)
		}
		out.people[p.ID] = p
		out.given[p.ID] = append(out.given[p.ID], p.Groups...)
		for _, a := range p.Accounts {
			if err := c.account(a); err != nil {
				return nil, fmt.Errorf("account of %s: %w", p.ID, err)
			}
			if other, taken := out.owner[a]; taken {
				return nil, fmt.Errorf("%q leads to both %q and %q", a, other, p.ID)
			}
			out.owner[a] = p.ID
		}
	}
	if err := out.groups(); err != nil {
		return nil, err
	}
	for _, a := range c.Actors {
		if err := out.actor(a); err != nil {
			return nil, err
		}
	}
	for id, groups := range out.given {
		out.given[id] = slices.Compact(slices.Sorted(slices.Values(groups)))
	}
	return out, nil
}

// account refuses what is no account's id: "issuer|subject".
func (c Config) account(id string) error {
	issuer, subject, ok := strings.Cut(id, "|")
	if !ok || issuer == "" || !plain(subject) {
		return fmt.Errorf("%q is not issuer|subject", id)
	}
	return nil
}

func (c *config) groups() error {
	seen := map[string]bool{}
	for _, g := range c.Groups {
		if g.Name == "" || seen[g.Name] {
			return fmt.Errorf("group %q is there twice, or has no name", g.Name)
		}
		seen[g.Name] = true
		for _, id := range g.People {
			if _, known := c.people[id]; !known {
				return fmt.Errorf("%q, named by %s, is not a known person", id, g.Name)
			}
			c.given[id] = append(c.given[id], g.Name)
		}
		for _, raw := range g.From {
			if err := c.account(raw); err != nil {
				return fmt.Errorf("%s: %w", g.Name, err)
			}
			if issuer, _, _ := strings.Cut(raw, "|"); c.Issuers[issuer] == "" {
				return fmt.Errorf("%s: %q names an issuer that is not configured", g.Name, raw)
			}
			c.from[raw] = append(c.from[raw], g.Name)
		}
	}
	for _, r := range c.OnCall {
		if r.Group == "" || len(r.People) == 0 || r.Start.IsZero() || r.Zone == nil || r.Days < 0 || r.Days == 0 && r.Length < time.Minute {
			return fmt.Errorf("the rotation of %q needs people, a start, a time zone and a length", r.Group)
		}
		for _, id := range r.People {
			if _, known := c.people[id]; !known {
				return fmt.Errorf("%q, on call for %s, is not a known person", id, r.Group)
			}
		}
	}
	return nil
}

func (c *config) actor(a identity.Actor) error {
	if a.ID == "" || a.Type == "" {
		return fmt.Errorf("actor %q needs an id and a type", a.ID)
	}
	if _, taken := c.actors[a.ID]; taken {
		return fmt.Errorf("actor %q is there twice", a.ID)
	}
	if _, person := c.people[a.ID]; person && a.Type != "human" {
		return fmt.Errorf("%q is both a person and an actor", a.ID)
	}
	for _, id := range append([]string{a.Owner}, a.Related...) {
		if _, known := c.people[id]; id != "" && !known {
			return fmt.Errorf("%q, named by actor %q, is not a known person", id, a.ID)
		}
	}
	c.actors[a.ID] = a
	return nil
}

// claims are the accounts of the configuration, in order.
func (c *config) claims() []string { return slices.Sorted(maps.Keys(c.owner)) }

// plain refuses text that could pass for something else in an id or a log line.
func plain(s string) bool {
	return s != "" && len(s) <= 512 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd })
}
