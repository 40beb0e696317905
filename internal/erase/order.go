package erase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/sealed"
)

// States of an order.
const (
	Ordered = "ordered" // two people decided it, and it waits for the server to be stopped
	Erased  = "erased"
)

// An Order is what people decided to erase. Its names go with the rest.
type Order struct {
	Names     []string  `json:"names,omitempty"`
	Approval  string    `json:"approval"`
	At        time.Time `json:"at"`
	Pseudonym string    `json:"pseudonym,omitempty"`
}

// Orders are the rows of orders; their key is the state.
const Orders = sealed.Kind[Order]("erasure")

// What is the kind of change that orders an erasure.
const What = "erasure"

// maxNames is how many names one order may have.
const maxNames = 50

// A Request is the body of a change that orders an erasure.
type Request struct {
	Names []string `json:"names"`
}

// Read reads a request.
func Read(body []byte) (*Request, error) {
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	var r Request
	if err := d.Decode(&r); err != nil || d.More() || len(r.Names) == 0 || len(r.Names) > maxNames {
		return nil, &change.BodyError{Problem: fmt.Sprintf("an erasure names a person: 1 to %d names", maxNames)}
	}
	return &r, nil
}

// Applier orders what two people decided. check errs for names that can't be erased.
func Applier(check func(names []string) error) change.Applier {
	read := func(body []byte) (*Request, error) {
		r, err := Read(body)
		if err == nil {
			err = check(r.Names)
		}
		return r, err
	}
	return change.Applier{
		Together: true,
		Check:    func(_ context.Context, body []byte) error { _, err := read(body); return err },
		Apply: func(ctx context.Context, w *sealed.Writer, id string, c *change.Change) error {
			r, err := read(c.Body)
			if err != nil {
				return errors.Join(err, change.ErrStale)
			}
			o := &sealed.Entry[Order]{ID: id, Key: Ordered, Value: Order{Names: r.Names, Approval: c.Approval, At: time.Now().UTC().Truncate(time.Second)}}
			return Orders.Put(ctx, w, o, &audit.Record{Type: audit.TypeErase, Approval: c.Approval, Decision: Ordered})
		},
	}
}
