package audit

import (
	"maps"
	"slices"
	"time"
)

// silentAfter is how many of its intervals a node may say nothing before it counts as silent.
const silentAfter = 3

// Heartbeat is the record that a node writes each interval.
func Heartbeat(node string, every time.Duration) *Record {
	return &Record{Type: TypeBeat, Detail: map[string]string{"node": node, "every": every.String()}}
}

// A Silence is a time in which a node that had not stopped wrote nothing.
type Silence struct {
	Node  string    `json:"node"`
	From  time.Time `json:"from"`
	Until time.Time `json:"until"` // of its next record; zero: it said nothing more
	After int64     `json:"after"` // index of the last record before
}

// silences follows the nodes' own records through the log.
type silences struct {
	nodes map[string]*pulse
	found []Silence
	last  time.Time // of the newest record of anybody
}

type pulse struct {
	at    time.Time
	index int64
	every time.Duration // 0: it stopped in good order
}

// note takes in what a node says of itself.
func (s *silences) note(index int64, r *Record, t time.Time) {
	node := r.Detail["node"]
	if node == "" {
		return
	}
	every, err := time.ParseDuration(r.Detail["every"])
	if err != nil || every < 0 || r.Type == TypeStop {
		every = 0
	}
	if s.nodes == nil {
		s.nodes = map[string]*pulse{}
	}
	if p := s.nodes[node]; p != nil && p.every > 0 && t.Sub(p.at) > silentAfter*p.every {
		s.found = append(s.found, Silence{Node: node, From: p.at, Until: t, After: p.index})
	}
	s.nodes[node] = &pulse{at: t, index: index, every: every}
}

// all are the silences found, and those that last until the end of the log.
func (s *silences) all() []Silence {
	out := slices.Clone(s.found)
	for _, node := range slices.Sorted(maps.Keys(s.nodes)) {
		if p := s.nodes[node]; p.every > 0 && s.last.Sub(p.at) > silentAfter*p.every {
			out = append(out, Silence{Node: node, From: p.at, After: p.index})
		}
	}
	return out
}

// Silences finds the silences of nodes in records that it is given in their order, for
// who reads them otherwise than by verifying them. The zero value is ready.
type Silences struct{ s silences }

// Note takes in one record of the log.
func (s *Silences) Note(r *Record) {
	s.s.last = r.Time
	switch r.Type {
	case TypeStart, TypeBeat, TypeStop:
		s.s.note(r.Index, r, r.Time)
	}
}

// All are the silences found, and those that last until the newest record.
func (s *Silences) All() []Silence { return s.s.all() }
