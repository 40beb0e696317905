package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/people"
	"github.com/assenthq/assent/internal/rules"
)

// Rules are groups, turns and settings, and changes of them, which wait for
// somebody else than who asks unless they permit nothing more.
type Rules interface {
	Groups() []people.GroupView
	ChangeGroup(ctx context.Context, c people.GroupChange, reason string, p change.Proposal) (change.Entry, error)
	ChangeTurn(ctx context.Context, t rules.Turn, reason string, p change.Proposal) (change.Entry, error)
	Settings(ctx context.Context) ([]rules.SettingView, error)
	ChangeSettings(ctx context.Context, set map[string]string, reason string, p change.Proposal) (change.Entry, error)
}

// A GroupView is who is in a group, and why.
type GroupView struct {
	Name     string   `json:"name"`
	Members  []Party  `json:"members" doc:"Who may be asked for it now; stand-ins too"`
	From     []string `json:"from" doc:"Groups of issuers that are it: issuer|id"`
	Added    []string `json:"added" doc:"While running, beside the configuration"`
	Removed  []string `json:"removed" doc:"While running: out by whatever way they were in"`
	Rotating bool     `json:"rotating,omitempty" doc:"Its member changes by schedule"`
}

// A GroupList is every group that the configuration names or somebody changed.
type GroupList struct {
	Groups []GroupView `json:"groups"`
}

type listGroupsOut struct{ Body GroupList }

var errNoRules = problem(http.StatusNotFound, "no-rules", "This server takes no changes of groups or settings.")

func (s *server) listGroups(context.Context, *nothing) (*listGroupsOut, error) {
	if s.Rules == nil {
		return nil, errNoRules
	}
	out := &listGroupsOut{Body: GroupList{Groups: []GroupView{}}}
	for _, g := range s.Rules.Groups() {
		v := GroupView{Name: g.Name, Members: []Party{}, From: append([]string{}, g.From...), Added: append([]string{}, g.Added...), Removed: append([]string{}, g.Removed...), Rotating: g.Rotating}
		for _, m := range g.Members {
			v.Members = append(v.Members, Party{ID: m.ID, Name: m.Name})
		}
		out.Body.Groups = append(out.Body.Groups, v)
	}
	return out, nil
}

// A GroupRequest adds members to a group and removes others.
type GroupRequest struct {
	Group  string   `json:"group" minLength:"1" maxLength:"128"`
	Add    []string `json:"add,omitempty" maxItems:"1000" doc:"person:NAME, or a group of an issuer: issuer|id. Who is let in answers what is asked afterwards"`
	Remove []string `json:"remove,omitempty" maxItems:"1000" doc:"Out by whatever way they were in, until somebody adds them again"`
	Reason string   `json:"reason" minLength:"1" maxLength:"2000"`
}

type changeGroupIn struct{ Body GroupRequest }

func (s *server) changeGroup(ctx context.Context, in *changeGroupIn) (*changeOut, error) {
	return s.propose(ctx, func(p change.Proposal) (change.Entry, error) {
		return s.Rules.ChangeGroup(ctx, people.GroupChange{Group: in.Body.Group, Add: in.Body.Add, Remove: in.Body.Remove}, in.Body.Reason, p)
	})
}

// propose asks for a change in the caller's name.
func (s *server) propose(ctx context.Context, ask func(change.Proposal) (change.Entry, error)) (*changeOut, error) {
	p, err := proposal(callerOf(ctx))
	if err != nil {
		return nil, err
	}
	if s.Rules == nil {
		return nil, errNoRules
	}
	e, err := ask(*p)
	if err != nil {
		return nil, err
	}
	return &changeOut{Body: s.changeView(e)}, nil
}

// A SwapRequest names somebody of the rotation, and not who asks.
type SwapRequest struct {
	Group  string    `json:"group" maxLength:"128" doc:"group:NAME of a rotation in the configuration"`
	Person string    `json:"person" maxLength:"256" doc:"One whom the rotation names"`
	From   time.Time `json:"from,omitzero" doc:"Now unless later"`
	Until  time.Time `json:"until" doc:"At most 30 days later"`
	Reason string    `json:"reason,omitempty" maxLength:"2000"`
}

type createSwapIn struct{ Body SwapRequest }

func (s *server) createSwap(ctx context.Context, in *createSwapIn) (*changeOut, error) {
	b := &in.Body
	return s.propose(ctx, func(p change.Proposal) (change.Entry, error) {
		return s.Rules.ChangeTurn(ctx, rules.Turn{Group: b.Group, Person: b.Person, From: b.From, Until: b.Until}, b.Reason, p)
	})
}

// A SettingView is a limit that may be changed while the server runs.
type SettingView struct {
	Name    string `json:"name"`
	Doc     string `json:"doc"`
	Value   string `json:"value"`
	Default string `json:"default" doc:"The configuration's"`
	Changed bool   `json:"changed,omitempty" doc:"While running"`
	Least   string `json:"least"`
	Most    string `json:"most"`
}

// A SettingList is every setting that may be changed while the server runs.
type SettingList struct {
	Settings []SettingView `json:"settings"`
}

type listSettingsOut struct{ Body SettingList }

func (s *server) listSettings(ctx context.Context, _ *nothing) (*listSettingsOut, error) {
	if s.Rules == nil {
		return nil, errNoRules
	}
	all, err := s.Rules.Settings(ctx)
	if err != nil {
		return nil, err
	}
	out := &listSettingsOut{Body: SettingList{Settings: []SettingView{}}}
	for i := range all {
		v := &all[i]
		out.Body.Settings = append(out.Body.Settings, SettingView{
			Name: v.Name, Doc: v.Doc, Value: v.Text(v.Value), Default: v.Text(v.Default), Changed: v.Changed, Least: v.Text(v.Least), Most: v.Text(v.Most),
		})
	}
	return out, nil
}

// A SettingsRequest gives settings other values. Of each, less is stricter, and applied at once.
type SettingsRequest struct {
	Set    map[string]string `json:"set" doc:"By name: a number, or a time such as 10m; default is the configuration's"`
	Reason string            `json:"reason" minLength:"1" maxLength:"2000"`
}

type changeSettingsIn struct{ Body SettingsRequest }

func (s *server) changeSettings(ctx context.Context, in *changeSettingsIn) (*changeOut, error) {
	return s.propose(ctx, func(p change.Proposal) (change.Entry, error) {
		return s.Rules.ChangeSettings(ctx, in.Body.Set, in.Body.Reason, p)
	})
}

func rulesProblem(err error) *Problem {
	if errors.Is(err, rules.ErrSelf) {
		return problem(http.StatusForbidden, "excluded", "Nobody puts themselves on call: ask another administrator.")
	}
	return nil
}
