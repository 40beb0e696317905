// Package remote lets a gate run in a process of its own, beside the system it
// guards: harmless reads that policy allows are decided there under a lease, all else by
// the control plane, whose enforcer each session of the gate has a session of.
//
// It promises that nothing runs at a gate whose lease is over, that the control plane
// decides and records whatever is more than a harmless read before it runs, and that
// a link that ends settles what ran on it as unknown. It refuses messages it doesn't know.
package remote

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/enforce"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/mask"
	"github.com/assenthq/assent/internal/policy"
)

// Lease is how long a gate decides by itself after the control plane last said that it may.
const Lease = 10 * time.Second

// renewEvery is how often it asks.
const renewEvery = time.Second

// Protocols that this version speaks, the oldest and the newest. Two processes whose
// ranges meet work together.
const (
	OldestProtocol = 1
	NewestProtocol = 1
)

const (
	maxMessage = 48 << 20         // bytes of one message: 16 MiB of payload in base64, a statement and what is known about both
	firstWait  = 10 * time.Second // for the first message of a stream
)

// NodeOf is how the log names the gate process that was enrolled as name.
func NodeOf(name string) string { return audit.GateNode + name }

// An Announced is a gate as its own process knows it. The control plane's configuration
// has the same, or the link is refused.
type Announced struct {
	Name, Type, URN, Env, System string
	Labels                       map[string]string
}

// Resource is what stands behind the gate.
func (a *Announced) Resource() action.Resource {
	return action.Resource{URN: a.URN, Type: a.Type, Env: a.Env, Labels: a.Labels}
}

// Differs says in which field two announcements of a gate differ; "" in none.
func (a *Announced) Differs(b *Announced) string {
	for _, f := range []struct {
		name         string
		mine, theirs any
	}{{"type", a.Type, b.Type}, {"resource", a.URN, b.URN}, {"env", a.Env, b.Env}, {"upstream", a.System, b.System}} {
		if f.mine != f.theirs {
			return fmt.Sprintf("%s is %q here and %q there", f.name, f.mine, f.theirs)
		}
	}
	if len(a.Labels) != len(b.Labels) {
		return "labels differ"
	}
	for k, v := range a.Labels {
		if b.Labels[k] != v {
			return fmt.Sprintf("label %s is %q here and %q there", k, v, b.Labels[k])
		}
	}
	return ""
}

// A call is the first message of a stream.
type call struct {
	Do   string          `json:"do"`
	Body json.RawMessage `json:"body,omitempty"`
}

// An answer ends a call, or begins what follows on its stream.
type answer struct {
	Error  string          `json:"error,omitempty"` // why there is no answer; fit to be shown to an operator
	Denied *gate.Denied    `json:"denied,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
}

type hello struct {
	Oldest  int         `json:"oldest"`
	Newest  int         `json:"newest"`
	Version string      `json:"version"`
	Gates   []Announced `json:"gates"`
}

type welcome struct {
	Protocol int    `json:"protocol"`
	Node     string `json:"node"`
}

// A renew asks for the lease to go on.
type renew struct {
	Bundle   string      `json:"bundle"`   // of the policy that is in force at the gate
	Settings string      `json:"settings"` // digest of those it has
	Spool    SpoolStatus `json:"spool"`
}

// A SpoolStatus is how a gate's traffic is kept.
type SpoolStatus struct {
	Bytes int64  `json:"bytes"`
	Limit int64  `json:"limit"`
	Error string `json:"error,omitempty"`
}

type renewed struct {
	Now      time.Time `json:"now"`
	Stopped  string    `json:"stopped,omitempty"` // why there is no lease
	Online   bool      `json:"online,omitempty"`  // each action is decided by the control plane
	Bundle   string    `json:"bundle"`
	Settings string    `json:"settings"`
	Rules    *Rules    `json:"rules,omitempty"` // where the gate's aren't these
}

// Rules are what a gate decides and masks by.
type Rules struct {
	Files     map[string][]byte         `json:"files"` // packs by name
	Default   map[string]policy.Verdict `json:"default,omitempty"`
	Unsafe    []string                  `json:"unsafe,omitempty"` // environments that may allow by default
	From      []string                  `json:"from,omitempty"`   // groups that answer where the default is review
	Columns   map[string]detect.Class   `json:"columns,omitempty"`
	Off       []detect.Class            `json:"off,omitempty"`
	Detectors []detect.Detector         `json:"detectors,omitempty"`
	Export    int64                     `json:"export"`
	ExportOf  map[string]int64          `json:"export_of,omitempty"`
	MaskKey   []byte                    `json:"mask_key"`
	HoldInTx  time.Duration             `json:"hold_in_tx"`
	PublicURL string                    `json:"public_url"`
}

type asking struct {
	Gate         string   `json:"gate"`
	User         string   `json:"user,omitempty"`
	Token        string   `json:"token,omitempty"`
	Certificates [][]byte `json:"certificates,omitempty"` // of the connection, the client's own first
}

type opening struct {
	Gate         string    `json:"gate"`
	Credential   string    `json:"credential"`
	Certificates [][]byte  `json:"certificates,omitempty"`
	Peer         gate.Peer `json:"peer"`
}

type opened struct {
	Key   string         `json:"key"` // by which other calls of this link name the session
	ID    string         `json:"id"`  // by which records do
	Asker identity.Asker `json:"asker"`
}

// An event goes one way or the other on the stream of a session or of an action.
type event struct {
	Cut      bool             `json:"cut,omitempty"`      // to the gate: the session must end
	Held     *gate.Held       `json:"held,omitempty"`     // to the gate: it waits for people
	Look     bool             `json:"look,omitempty"`     // to the gate: a preview, please
	Preview  *action.Preview  `json:"preview,omitempty"`  // to the control plane
	Permit   *enforce.Granted `json:"permit,omitempty"`   // to the gate
	Denied   *gate.Denied     `json:"denied,omitempty"`   // to the gate
	Error    string           `json:"error,omitempty"`    // to the gate: nobody decided
	Leave    string           `json:"leave,omitempty"`    // to the control plane: the client left; "back": it was told to come again
	Done     *ended           `json:"done,omitempty"`     // to the control plane
	Recorded bool             `json:"recorded,omitempty"` // to the gate: the end is in the log
}

type ended struct {
	Outcome gate.Outcome     `json:"outcome"`
	Masked  map[string]int64 `json:"masked,omitempty"`
}

type enforcing struct {
	Session string        `json:"session"`
	Action  action.Action `json:"action"`
	Named   []action.Name `json:"named,omitempty"`
	Digest  string        `json:"digest"` // over the action without a salt
	Preview bool          `json:"preview,omitempty"`
}

type telling struct {
	Session string        `json:"session"`
	Name    string        `json:"name,omitempty"`
	Text    string        `json:"text,omitempty"`
	Saw     *approval.Saw `json:"saw,omitempty"`
}

type summing struct {
	Subject  string    `json:"subject"`
	Class    string    `json:"class,omitempty"`
	Resource string    `json:"resource"`
	At       time.Time `json:"at"`
	Rows     int64     `json:"rows,omitempty"`
	Bytes    int64     `json:"bytes,omitempty"`
}

type sums struct {
	Rows  map[string]int64 `json:"rows"`
	Bytes map[string]int64 `json:"bytes"`
}

type keeping struct {
	Values []mask.Kept `json:"values"`
}

type sealing struct {
	Seals []audit.Seal `json:"seals"`
}

type held struct {
	Holds []bool `json:"holds"` // of each seal, in order: the log has it
}

type segment struct {
	Seal  audit.Seal `json:"seal"`
	Bytes int64      `json:"bytes"`
}

type shelved struct {
	Node     string  `json:"node"`
	Segments []int64 `json:"segments"`
}

type nothing struct{}

// send writes a message: its length as four bytes, the most significant first, and JSON.
func send(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > maxMessage {
		return fmt.Errorf("a message of %d bytes, and %d is the most", len(b), maxMessage)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b))), b...))
	return err
}

// receive reads a message into v, and refuses members that v doesn't have.
func receive(r io.Reader, v any) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxMessage {
		return fmt.Errorf("a message of %d bytes, and %d is the most", n, maxMessage)
	}
	var b bytes.Buffer // grows with what comes, whatever was promised
	if _, err := io.CopyN(&b, r, int64(n)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	return strictly(b.Bytes(), v)
}

func strictly(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("reading a message: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("reading a message: more follows behind it")
	}
	return nil
}

// common is the newest protocol of two ranges.
func common(h *hello) (int, error) {
	p := min(h.Newest, NewestProtocol)
	if p < h.Oldest || p < OldestProtocol || h.Oldest > h.Newest {
		return 0, fmt.Errorf("the gate (%s) speaks protocols %d to %d and the control plane %d to %d: upgrade the older of the two", h.Version, h.Oldest, h.Newest, OldestProtocol, NewestProtocol)
	}
	return p, nil
}

// muxing are the settings of both ends.
func muxing() *yamux.Config {
	c := yamux.DefaultConfig()
	c.KeepAliveInterval = 3 * time.Second
	c.ConnectionWriteTimeout = 4 * time.Second
	c.StreamOpenTimeout = 5 * time.Second
	c.StreamCloseTimeout = time.Minute
	c.LogOutput = io.Discard
	return c
}
