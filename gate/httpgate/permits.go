package httpgate

import (
	"io"

	"github.com/assenthq/assent/gate"
)

// nothing is the permit of what nobody needs to decide.
type nothing struct{}

func (nothing) Rows([]gate.Column) gate.Rows            { return nothing{} }
func (nothing) Value(_ int, v []byte) ([]byte, error)   { return v, nil }
func (nothing) Text(b []byte) []byte                    { return b }
func (nothing) Stream(to io.Writer, _ bool) gate.Stream { return straight{to} }
func (nothing) Count(int64, int64) error                { return nil }
func (nothing) Bound() int64                            { return -1 }
func (nothing) Done(gate.Outcome)                       {}
func (nothing) Clear(string, []byte) bool               { return true }
func (nothing) Bare() bool                              { return true }

type straight struct{ io.Writer }

func (straight) Flush() error { return nil }
func (straight) Close() error { return nil }

// joint is the permits of one request as one: what any of them masks is masked.
type joint []gate.Permit

func (j joint) Rows(columns []gate.Column) gate.Rows {
	out := make(jointRows, len(j))
	for i, p := range j {
		out[i] = p.Rows(columns)
	}
	return out
}

type jointRows []gate.Rows

func (j jointRows) Value(i int, v []byte) ([]byte, error) {
	for _, r := range j {
		var err error
		if v, err = r.Value(i, v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (j joint) Text(b []byte) []byte {
	for _, p := range j {
		b = p.Text(b)
	}
	return b
}

// Stream sends what is written through each permit's own stream, one behind the other.
func (j joint) Stream(to io.Writer, fill bool) gate.Stream {
	var out jointStream
	for _, p := range j {
		s := p.Stream(to, fill)
		out = append(out, s)
		to = s
	}
	return out
}

// jointStream is written to at its end.
type jointStream []gate.Stream

func (j jointStream) Write(b []byte) (int, error) { return j[len(j)-1].Write(b) }

func (j jointStream) Flush() error {
	for i := len(j) - 1; i >= 0; i-- {
		if err := j[i].Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (j jointStream) Close() error {
	for i := len(j) - 1; i >= 0; i-- {
		if err := j[i].Close(); err != nil {
			return err
		}
	}
	return nil
}

func (j joint) Count(rows, bytes int64) error {
	for _, p := range j {
		if err := p.Count(rows, bytes); err != nil {
			return err
		}
	}
	return nil
}

func (j joint) Bound() int64 {
	least := int64(-1)
	for _, p := range j {
		if b := p.Bound(); b >= 0 && (least < 0 || b < least) {
			least = b
		}
	}
	return least
}

// Clear says that none of them masks anything in v.
func (j joint) Clear(name string, v []byte) bool {
	for _, p := range j {
		if !p.Clear(name, v) {
			return false
		}
	}
	return true
}

// Bare says that none of them masks anything.
func (j joint) Bare() bool {
	for _, p := range j {
		if !p.Bare() {
			return false
		}
	}
	return true
}

// Traceparent is that of the first that is traced: a request stands in one trace.
func (j joint) Traceparent() string {
	for _, p := range j {
		if t, is := p.(gate.Traced); is && t.Traceparent() != "" {
			return t.Traceparent()
		}
	}
	return ""
}

func (j joint) Done(o gate.Outcome) {
	for _, p := range j {
		p.Done(o)
	}
}
