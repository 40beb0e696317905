package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// MinTerm is the shortest time after which archived traffic may be deleted.
const MinTerm = 24 * time.Hour

// A Prune is what the log says before archived segments of traffic are deleted,
// so that whoever finds them gone knows by which rule they went. Their age is
// counted from the records of their seals, which stay.
type Prune struct {
	Node     string
	From, To int64 // numbers of the first and the last segment
	Records  int64 // of traffic, in all of them
	Term     time.Duration
	Root     tlog.Hash // RFC 6962 root over their seals as JSON
}

// Record is the record that puts the prune into the log.
func (p Prune) Record() *Record {
	return &Record{Type: TypePrune, Detail: map[string]string{
		"node": p.Node, "from": strconv.FormatInt(p.From, 10), "to": strconv.FormatInt(p.To, 10),
		"records": strconv.FormatInt(p.Records, 10), "term": p.Term.String(), "root": p.Root.String(),
	}}
}

// pruneOf reads back what Record wrote.
func pruneOf(r *Record) (Prune, error) {
	var errs [5]error
	p := Prune{Node: r.Detail["node"]}
	p.From, errs[0] = strconv.ParseInt(r.Detail["from"], 10, 64)
	p.To, errs[1] = strconv.ParseInt(r.Detail["to"], 10, 64)
	p.Records, errs[2] = strconv.ParseInt(r.Detail["records"], 10, 64)
	p.Term, errs[3] = time.ParseDuration(r.Detail["term"])
	p.Root, errs[4] = tlog.ParseHash(r.Detail["root"])
	if err := errors.Join(errs[:]...); err != nil {
		return Prune{}, fmt.Errorf("reading a record of deleted traffic: %w", err)
	}
	if p.From < 1 || p.To < p.From || p.To > maxSegments {
		return Prune{}, errors.New("reading a record of deleted traffic: it names no segments")
	}
	return p, nil
}

// check holds a prune against the seals before it: it names segments that were sealed, and were old enough at.
func (p Prune) check(s *Sealed, at time.Time) error {
	root, records, newest, err := s.sum(p.Node, p.From, p.To)
	switch {
	case err != nil:
		return err
	case root != p.Root || records != p.Records:
		return fmt.Errorf("it names other segments %d to %d than the log has seals of", p.From, p.To)
	case p.Term < MinTerm:
		return fmt.Errorf("its term is %s, and the shortest is %s", p.Term, MinTerm)
	case at.Sub(newest) < p.Term:
		return fmt.Errorf("segment %d was sealed %s before, and its term is %s", p.To, at.Sub(newest).Truncate(time.Second), p.Term)
	}
	return nil
}

// sum is the root over the seals of some segments, how many records of traffic these
// have, and when the last of them was sealed.
func (s *Sealed) sum(node string, from, to int64) (root tlog.Hash, records int64, newest time.Time, err error) {
	var tree frontier
	for n := from; n <= to; n++ {
		seal, known := s.known[sealName{node, n}]
		if !known {
			return root, 0, newest, fmt.Errorf("the log has no seal of segment %d of %s", n, node)
		}
		b, err := json.Marshal(seal.Seal)
		if err != nil {
			return root, 0, newest, err
		}
		tree.add(tlog.RecordHash(b), nil)
		records += seal.Count
		if seal.at.After(newest) {
			newest = seal.at
		}
	}
	return tree.root(), records, newest, nil
}

// Pruned are the segments that a log says are deleted, as far as it was read. Its
// zero value has read nothing. It belongs to one goroutine at a time.
type Pruned struct {
	prunes map[string][]Prune
	since  time.Time
}

// Read reads what came to the log since the last Read.
func (p *Pruned) Read(ctx context.Context, r Reader) error {
	found, err := since(ctx, r, TypePrune, p.since)
	if err != nil {
		return fmt.Errorf("looking for deleted traffic: %w", err)
	}
	for i := range found {
		one, err := pruneOf(&found[i])
		if err != nil {
			return err
		}
		p.add(one)
		p.since = found[i].Time
	}
	return nil
}

func (p *Pruned) add(one Prune) {
	if p.prunes == nil {
		p.prunes = map[string][]Prune{}
	}
	for _, old := range p.prunes[one.Node] {
		if old == one {
			return
		}
	}
	p.prunes[one.Node] = append(p.prunes[one.Node], one)
}

// Holds reports whether the log says that the segment is deleted. Nothing was, where p is nil.
func (p *Pruned) Holds(node string, segment int64) bool {
	if p == nil {
		return false
	}
	for _, one := range p.prunes[node] {
		if one.From <= segment && segment <= one.To {
			return true
		}
	}
	return false
}

// since are the records of a type from a time on, the oldest first.
func since(ctx context.Context, r Reader, kind string, from time.Time) ([]Record, error) {
	var found []Record
	for before := int64(0); ; {
		// The log's times never go back, so what is newer comes with the newest again.
		recs, err := r.Search(ctx, Query{Types: []string{kind}, Since: from, Before: before, Limit: 1000})
		if err != nil {
			return nil, err
		}
		found = append(found, recs...)
		if len(recs) == 0 || recs[len(recs)-1].Index == 0 { // Before 0 would mean no bound
			break
		}
		before = recs[len(recs)-1].Index
	}
	for i, j := 0, len(found)-1; i < j; i, j = i+1, j-1 {
		found[i], found[j] = found[j], found[i]
	}
	return found, nil
}

// Retention says which archived segments may go.
type Retention struct {
	Term time.Duration // since the record of its seal; MinTerm or more
	Now  time.Time
	// Held says why nothing of a time may be deleted, such as a legal hold; "": nothing
	// says so. nil: nobody is asked.
	Held func(ctx context.Context, from, to time.Time) (why string, err error)
}

// Due are the archived segments whose term is over, in ranges, and those that the log
// calls deleted and that are there still. The newest archived segment of each node
// stays: what comes next goes on behind it. So does whatever the shelf has under lock.
func (a *Archive) Due(ctx context.Context, s *Sealed, p *Pruned, o Retention) (due, again []Prune, err error) {
	if o.Term < MinTerm {
		return nil, nil, fmt.Errorf("deleting archived traffic: a term of %s; the shortest is %s", o.Term, MinTerm)
	}
	nodes := map[string]bool{}
	for name := range s.known {
		nodes[name.node] = true
	}
	for node := range nodes {
		there, err := a.Segments(ctx, node)
		if err != nil {
			return nil, nil, err
		}
		for _, n := range there[:max(len(there)-1, 0)] {
			ok, err := a.mayGo(ctx, s, node, n, o)
			if err != nil {
				return nil, nil, fmt.Errorf("asking whether segment %d of %s may be deleted: %w", n, node, err)
			}
			if !ok {
				continue
			}
			if p.Holds(node, n) {
				again = append(again, Prune{Node: node, From: n, To: n})
				continue
			}
			if last := len(due) - 1; last >= 0 && due[last].Node == node && due[last].To == n-1 {
				due[last].To = n
			} else {
				due = append(due, Prune{Node: node, From: n, To: n, Term: o.Term})
			}
		}
	}
	for i := range due {
		d := &due[i]
		if d.Root, d.Records, _, err = s.sum(d.Node, d.From, d.To); err != nil {
			return nil, nil, err
		}
		if err := d.check(s, o.Now); err != nil {
			return nil, nil, err
		}
	}
	return due, again, nil
}

func (a *Archive) mayGo(ctx context.Context, s *Sealed, node string, segment int64, o Retention) (bool, error) {
	seal, known := s.known[sealName{node, segment}]
	if !known || o.Now.Sub(seal.at) < o.Term {
		return false, nil
	}
	until, err := a.shelf.Locked(ctx, archived(node, segment))
	if err != nil || until.After(o.Now) {
		return false, err
	}
	if o.Held == nil {
		return true, nil
	}
	from, err := a.begins(ctx, node, segment)
	if err != nil {
		return false, err
	}
	why, err := o.Held(ctx, from, seal.at)
	return why == "" && err == nil, err
}

// begins is the time of the segment's first record; the zero time where it can't be read.
func (a *Archive) begins(ctx context.Context, node string, segment int64) (time.Time, error) {
	f, err := a.shelf.Open(ctx, archived(node, segment))
	if err != nil {
		return time.Time{}, err
	}
	defer func() { _ = f.Close() }() // only read
	first, err := readFrame(io.NewSectionReader(f, 0, f.Size()), make([]byte, MaxLeaf))
	if err != nil {
		return time.Time{}, nil // damaged: taken for as old as can be
	}
	t, _ := leafTime(first.payload)
	return t, nil
}

// Delete deletes the segments of a prune that the log has the record of, and tells how many.
func (a *Archive) Delete(ctx context.Context, p Prune) (int, error) {
	for n := p.From; n <= p.To; n++ {
		if err := a.shelf.Remove(ctx, archived(p.Node, n)); err != nil {
			return int(n - p.From), fmt.Errorf("deleting segment %d of %s from the archive: %w", n, p.Node, err)
		}
	}
	return int(p.To - p.From + 1), nil
}
