package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Record is one entry of the audit log.
type Record struct {
	Index    int64             `json:"index"`
	Time     time.Time         `json:"time"`
	Salt     string            `json:"salt,omitempty"` // random bits: the record's hash tells nothing once its bytes are erased
	Type     string            `json:"type"`
	Actor    string            `json:"actor,omitempty"`
	Subject  string            `json:"subject,omitempty"`
	Chain    []string          `json:"chain,omitempty"`
	Person   string            `json:"person,omitempty"`
	Session  string            `json:"session,omitempty"`
	Gate     string            `json:"gate,omitempty"`
	Resource string            `json:"resource,omitempty"`
	Env      string            `json:"env,omitempty"`
	Kinds    []string          `json:"kinds,omitempty"`
	Verb     string            `json:"verb,omitempty"`
	Target   string            `json:"target,omitempty"`
	Title    string            `json:"title,omitempty"`
	Shape    string            `json:"shape,omitempty"`
	Digest   string            `json:"digest,omitempty"`
	Decision string            `json:"decision,omitempty"`
	Rules    []string          `json:"rules,omitempty"`
	Policy   string            `json:"policy,omitempty"`
	Approval string            `json:"approval,omitempty"`
	Grant    string            `json:"grant,omitempty"`
	Outcome  string            `json:"outcome,omitempty"`
	Rows     *int64            `json:"rows,omitempty"`
	Findings map[string]int64  `json:"findings,omitempty"`
	Masked   map[string]int64  `json:"masked,omitempty"`
	Detail   map[string]string `json:"detail,omitempty"`
	Previous int64             `json:"previous,omitempty"`
	About    string            `json:"about,omitempty"`    // what of people or actors changed, "kind/id"
	Revision int64             `json:"revision,omitempty"` // of that
}

// A Query selects records; empty fields match everything.
type Query struct {
	Types                             []string
	Actor, Person, Approval, Resource string
	Session, Kind                     string
	Class                             string // of sensitive data that was found or masked
	Since, Until                      time.Time
	Before                            int64 // only records with a smaller index; 0: no bound
	Limit                             int   // at most 1000; 100 unless set
}

// Records returns matching records, newest first, and where the next page
// begins: Before of the next query, 0 when there is none.
func (c *Client) Records(ctx context.Context, q Query) (records []Record, next int64, err error) {
	v := url.Values{}
	set(v, "type", strings.Join(q.Types, ","))
	set(v, "actor", q.Actor)
	set(v, "person", q.Person)
	set(v, "approval", q.Approval)
	set(v, "resource", q.Resource)
	set(v, "session", q.Session)
	set(v, "kind", q.Kind)
	set(v, "class", q.Class)
	for name, t := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !t.IsZero() {
			v.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	if q.Before > 0 {
		v.Set("before", strconv.FormatInt(q.Before, 10))
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	var out struct {
		Records []Record `json:"records"`
		Next    int64    `json:"next"`
	}
	if err := c.do(ctx, http.MethodGet, "/v1/audit/records", v, nil, &out); err != nil {
		return nil, 0, err
	}
	return out.Records, out.Next, nil
}

// Evidence returns a bundle of the records that match, whose Before and Limit don't count, and
// its size in bytes; -1 when the server doesn't say. The caller closes it, and verifies it with
// package evidence. The server's log tells that it was asked for. It takes scope read or admin.
func (c *Client) Evidence(ctx context.Context, q Query) (io.ReadCloser, int64, error) {
	in := struct {
		Since    *time.Time `json:"since,omitempty"`
		Until    *time.Time `json:"until,omitempty"`
		Type     []string   `json:"type,omitempty"`
		Actor    string     `json:"actor,omitempty"`
		Person   string     `json:"person,omitempty"`
		Approval string     `json:"approval,omitempty"`
		Resource string     `json:"resource,omitempty"`
		Session  string     `json:"session,omitempty"`
		Kind     string     `json:"kind,omitempty"`
		Class    string     `json:"class,omitempty"`
	}{Type: q.Types, Actor: q.Actor, Person: q.Person, Approval: q.Approval, Resource: q.Resource, Session: q.Session, Kind: q.Kind, Class: q.Class}
	if !q.Since.IsZero() {
		in.Since = &q.Since
	}
	if !q.Until.IsZero() {
		in.Until = &q.Until
	}
	resp, err := c.send(ctx, http.MethodPost, "/v1/audit/evidence", nil, in)
	if err != nil {
		return nil, 0, err
	}
	if kind := resp.Header.Get("Content-Type"); kind != "application/zip" {
		return nil, 0, errors.Join(fmt.Errorf("the answer to POST /v1/audit/evidence is %q, not a zip file", kind), resp.Body.Close())
	}
	return resp.Body, resp.ContentLength, nil
}

// Checkpoint returns the log's newest signed tree head (C2SP tlog-checkpoint).
// Package evidence verifies it.
func (c *Client) Checkpoint(ctx context.Context) ([]byte, error) {
	var out []byte
	err := c.do(ctx, http.MethodGet, "/v1/audit/checkpoint", nil, nil, &out)
	return out, err
}

// Proof returns the proof that record index is in the log (C2SP tlog-proof).
func (c *Client) Proof(ctx context.Context, index int64) ([]byte, error) {
	var out []byte
	err := c.do(ctx, http.MethodGet, "/v1/audit/proof", url.Values{"index": {strconv.FormatInt(index, 10)}}, nil, &out)
	return out, err
}

// An Event is one thing that happened: exactly one of its fields is set.
type Event struct {
	Approval *ApprovalEvent
	Record   *Record
	Leaf     []byte // of a record: the exact bytes that the log's tree covers
}

// An ApprovalEvent says that an approval changed; look it up to see how.
type ApprovalEvent struct {
	ID      string `json:"id"`
	Version int64  `json:"version"`
	State   string `json:"state"`
}

// A TailOptions says what to follow.
type TailOptions struct {
	Records bool  // also the audit log, which takes scope read or admin
	From    int64 // index of the first record; below 0: only new ones
}

// Tail calls fn with each event until fn errs or ctx ends, and returns that
// error. A broken connection is made again, without losing or repeating a record.
func (c *Client) Tail(ctx context.Context, o TailOptions, fn func(Event) error) error {
	for wait := time.Duration(0); ; {
		began := time.Now()
		err := c.tailOnce(ctx, &o, fn)
		var stop *stopError
		var refused *Error
		switch {
		case errors.As(err, &stop):
			return stop.err
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &refused) && refused.Status < 500:
			return refused
		}
		if wait = min(2*wait+100*time.Millisecond, 10*time.Second); time.Since(began) > time.Minute {
			wait = 0
		}
		if refused != nil {
			wait = max(wait, refused.RetryAfter)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// stopError carries fn's own error out of the reading loop.
type stopError struct{ err error }

func (e *stopError) Error() string { return e.err.Error() }

// tailOnce reads one connection to its end and leaves in o where to go on.
func (c *Client) tailOnce(ctx context.Context, o *TailOptions, fn func(Event) error) error {
	q := url.Values{}
	if o.Records {
		q.Set("records", "true")
		q.Set("from", strconv.FormatInt(max(o.From, -1), 10))
	}
	resp, err := c.send(ctx, http.MethodGet, "/v1/events", q, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return readEvents(resp.Body, func(name string, data []byte) error {
		e, err := parseEvent(name, data)
		if err != nil || e == nil {
			return err
		}
		if e.Record != nil {
			o.From = e.Record.Index + 1
		}
		if err := fn(*e); err != nil {
			return &stopError{err}
		}
		return nil
	})
}

// parseEvent returns nil for an event of a kind that this client doesn't know.
func parseEvent(name string, data []byte) (*Event, error) {
	e := &Event{}
	var into any
	switch name {
	case "approval":
		e.Approval = &ApprovalEvent{}
		into = e.Approval
	case "record":
		e.Record, e.Leaf = &Record{}, data
		into = e.Record
	default:
		return nil, nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return nil, fmt.Errorf("an event is not what it should be: %w", err)
	}
	return e, nil
}

// readEvents splits a stream of server-sent events (WHATWG HTML section 9.2).
// An event that the stream's end cut off is dropped.
func readEvents(r io.Reader, fn func(name string, data []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	var name string
	var data []byte
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if data != nil {
				if err := fn(name, data); err != nil {
					return err
				}
			}
			name, data = "", nil
		case field == "event":
			name = value
		case field == "data" && data != nil:
			data = append(append(data, '\n'), value...)
		case field == "data":
			data = []byte(value)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading events: %w", err)
	}
	return io.ErrUnexpectedEOF
}
