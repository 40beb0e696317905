package server

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/people"
)

// A GroupConfig maps groups of issuers, and people, to a name that packs use.
type GroupConfig struct {
	People []string `yaml:"people" doc:"People in it, by their id."`
	From   []string `yaml:"from" doc:"Groups of issuers that are it: issuer|immutable id, such as corp|00g1."`
}

// A GroupMap maps names to groups.
type GroupMap map[string]GroupConfig

// An OnCallConfig is a group whose one member changes by schedule.
type OnCallConfig struct {
	Group  string   `yaml:"group" doc:"Group, as policy packs name it without group:."`
	People []string `yaml:"people" doc:"Who is on call in turn, by their id."`
	Start  string   `yaml:"start" doc:"When the first turn began: 2026-01-05 09:00, in the zone."`
	Every  string   `yaml:"every" doc:"Length of a turn: 7d (handed over at the same time of day) or 12h." default:"7d"`
	Zone   string   `yaml:"zone" doc:"Time zone, such as Europe/Berlin." default:"UTC"`
}

// rotation reads the schedule; the error names the key that is wrong.
func (o *OnCallConfig) rotation() (r people.Rotation, key string, err error) {
	r.Group = groupID(o.Group)
	for _, p := range o.People {
		r.People = append(r.People, personID(p))
	}
	zone := o.Zone
	if zone == "" {
		zone = "UTC"
	}
	if r.Zone, err = time.LoadLocation(zone); err != nil || strings.EqualFold(zone, "local") {
		return r, "zone", fmt.Errorf("%q is no time zone", zone)
	}
	if r.Start, err = time.ParseInLocation("2006-01-02 15:04", o.Start, r.Zone); err != nil {
		return r, "start", fmt.Errorf("%q is not a time like 2026-01-05 09:00", o.Start)
	}
	every := o.Every
	if every == "" {
		every = "7d"
	}
	if days, ok := strings.CutSuffix(every, "d"); ok {
		if r.Days, err = strconv.Atoi(days); err != nil || r.Days < 1 || r.Days > 366 {
			return r, "every", fmt.Errorf("%q is no number of days", every)
		}
		return r, "", nil
	}
	if r.Length, err = time.ParseDuration(every); err != nil || r.Length < time.Minute {
		return r, "every", fmt.Errorf("%q is neither days (7d) nor hours (12h)", every)
	}
	return r, "", nil
}

func personID(id string) string { return "person:" + id }

func each(in []string, fn func(string) string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = fn(s)
	}
	return out
}

// peopleConfig is what the configuration says of people, in the directory's terms.
func peopleConfig(c *Config) people.Config {
	out := people.Config{Issuers: c.accountURLs(), SignIns: c.issuerURLs(), Provisioned: c.provisioned(), Addresses: map[string]string{}}
	for _, p := range c.People {
		ip := identity.Person{ID: personID(p.ID), Name: p.Name, Groups: each(p.Groups, groupID), Accounts: slices.Clone(p.Accounts)}
		if ip.Name == "" {
			ip.Name = p.ID
		}
		out.People = append(out.People, ip)
		out.Addresses[ip.ID] = p.Email
	}
	out.People = append(out.People, identity.Person{ID: operatorPerson, Name: "operator of this server"})
	for name, g := range c.Groups {
		out.Groups = append(out.Groups, people.Group{Name: groupID(name), People: each(g.People, personID), From: g.From})
	}
	for i := range c.OnCall {
		if r, _, err := c.OnCall[i].rotation(); err == nil { // else the check of the configuration said so
			out.OnCall = append(out.OnCall, r)
		}
	}
	for _, a := range c.Actors {
		ia := identity.Actor{ID: a.Type + ":" + a.ID, Type: a.Type, Model: a.Model, Trust: a.Trust, Related: each(a.Related, personID)}
		if a.Owner != "" {
			ia.Owner = personID(a.Owner)
		}
		for _, id := range a.MayAct {
			ia.MayAct = append(ia.MayAct, c.actorIDs()[id])
		}
		out.Actors = append(out.Actors, ia)
	}
	return out
}

// makeDirectory opens the live directory on what is remembered of people.
func (s *Server) makeDirectory(ctx context.Context) error {
	d, err := people.Open(ctx, people.Options{Config: peopleConfig(s.cfg), Box: s.box, Logger: s.log, Gone: s.accountsLeft, Changed: s.lookAgain})
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	s.dir = d
	return nil
}

// groups checks the groups and rotations of the configuration.
func (k *checker) groups(c *Config, known map[string]bool) {
	person := func(at, id string) {
		if !known[id] {
			k.fail(at, fmt.Sprintf("%q is not among people", id), "add them under people:")
		}
	}
	urls := c.issuerURLs()
	account := func(at, id string) {
		issuer, rest, ok := strings.Cut(id, "|")
		switch {
		case !ok || issuer == "" || rest == "":
			k.fail(at, fmt.Sprintf("%q is not issuer|id", id), "write the issuer's name, a bar and its immutable id: corp|00g1")
		case strings.HasPrefix(at, "$.groups") && urls[issuer] == "":
			k.fail(at, fmt.Sprintf("%q is not among issuers", issuer), "add it under issuers:")
		}
	}
	for i, p := range c.People {
		for j, a := range p.Accounts {
			account(fmt.Sprintf("$.people[%d].accounts[%d]", i, j), a)
		}
	}
	for name_, g := range c.Groups {
		at := "$.groups." + name_
		if !name.MatchString(name_) {
			k.fail(at, fmt.Sprintf("%q is not a short name", name_), "use lower-case letters, digits, '.', '_' and '-'")
		}
		for j, p := range g.People {
			person(fmt.Sprintf("%s.people[%d]", at, j), p)
		}
		for j, from := range g.From {
			account(fmt.Sprintf("%s.from[%d]", at, j), from)
		}
	}
	for i := range c.OnCall {
		at := fmt.Sprintf("$.oncall[%d]", i)
		o := &c.OnCall[i]
		if !name.MatchString(o.Group) {
			k.fail(at+".group", fmt.Sprintf("%q is not a short name", o.Group), "name the group as packs do, without group:")
		}
		if slices.Contains(c.Admins, o.Group) || len(c.Admins) == 0 && o.Group == "admins" {
			k.fail(at+".group", fmt.Sprintf("%s administers: whoever is on call would be alone, and change the rules alone", o.Group), "let a group administer whose members are all there at once")
		}
		if len(o.People) == 0 {
			k.fail(at+".people", "is empty", "name at least one person")
		}
		for j, p := range o.People {
			person(fmt.Sprintf("%s.people[%d]", at, j), p)
		}
		if _, key, err := o.rotation(); err != nil {
			k.fail(at+"."+key, err.Error(), "see docs/configuration.md")
		}
	}
}
