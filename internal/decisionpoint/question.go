package decisionpoint

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/policy"
)

// A Question is what a point is asked. Target, Statement and Reason are masked.
type Question struct {
	ID        string // of the action, as records name it
	Gate      string
	Input     *policy.Input
	Verdict   policy.Verdict // of our own policy: allow or review
	Target    string
	Statement string // sent where it is asked for
	Reason    string // the asker's, sent with the claims
}

// body is the request of section 6.1 of AuthZEN 1.0. A fact that nobody knows is left out.
func (q *Question) body(send []string) ([]byte, error) {
	in, a := q.Input, q.Input.Action
	ask := request{
		Subject:  entity{Type: orUnknown(in.ActorType), ID: in.ActorID, Properties: subjectFacts{For: in.SubjectID, Groups: in.SubjectGroups, Owner: in.ActorOwner, Model: in.ActorModel, Trust: in.ActorTrust}},
		Resource: entity{Type: orUnknown(a.Resource.Type), ID: a.Resource.URN, Properties: resourceFacts{a.Resource.Env, a.Resource.Labels}},
		Action: verb{Name: a.Verb, Properties: actionFacts{
			Kinds: a.Kinds, Target: q.Target, Shape: a.Shape, Reversible: a.Reversible, Routine: a.Routine,
		}},
		Context: facts{
			Time: in.Time.UTC().Format(time.RFC3339), Gate: q.Gate, Verdict: q.Verdict.String(), Risk: known(in.Risk),
			Rate1h: known(in.Rate1h), Rate24h: known(in.Rate24h),
			Tainted: told(in.Tainted), SawSensitive: told(in.SawSensitive), SawUntrusted: told(in.SawUntrusted),
			NovelShape: told(in.NovelShape), NovelTarget: told(in.NovelTarget), BreakGlass: a.Claims.BreakGlass,
			Data: dataFacts{
				Rows: known(a.Data.Rows), Bytes: known(a.Data.Bytes), Classes: a.Data.Classes, ClassesKnown: a.Data.ClassesKnown, Groups: a.Data.Groups,
				Findings: a.Data.Findings, Unscanned: a.Data.Unscanned, Inferred: a.Data.Inferred, Computed: a.Data.Computed, Aggregated: a.Data.Aggregated,
				Destination: policy.PlainURL(a.Data.Destination), DestinationTrust: a.Data.DestinationTrust,
			},
			Preview: previewFacts{
				Rows: known(in.Preview.Rows), Objects: known(in.Preview.Objects), Creates: known(in.Preview.Creates), Changes: known(in.Preview.Changes), Destroys: known(in.Preview.Destroys),
			},
		},
	}
	for _, l := range a.Actors {
		ask.Subject.Properties = ask.Subject.Properties.(subjectFacts).actsFor(l)
	}
	if slices.Contains(send, "statement") {
		ask.Context.Statement = q.Statement
	}
	if slices.Contains(send, "claims") {
		ask.Context.Claims = &claims{Reason: q.Reason, Ticket: a.Claims.Ticket, Session: a.Claims.Session}
	}
	return json.Marshal(ask)
}

type request struct {
	Subject  entity `json:"subject"`
	Action   verb   `json:"action"`
	Resource entity `json:"resource"`
	Context  facts  `json:"context"`
}

type entity struct {
	Type       string `json:"type"`
	ID         string `json:"id"`
	Properties any    `json:"properties,omitempty"`
}

type verb struct {
	Name       string      `json:"name"`
	Properties actionFacts `json:"properties"`
}

type link struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

type subjectFacts struct {
	Act    []link   `json:"act,omitempty"` // the delegation chain, the acting one first
	For    string   `json:"for,omitempty"` // on whose behalf
	Groups []string `json:"groups,omitempty"`
	Owner  string   `json:"owner,omitempty"`
	Model  string   `json:"model,omitempty"`
	Trust  string   `json:"trust,omitempty"`
}

func (f subjectFacts) actsFor(l action.Link) subjectFacts {
	f.Act = append(f.Act, link{l.Type, l.ID})
	return f
}

type resourceFacts struct {
	Env    string            `json:"env,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
}

type actionFacts struct {
	Kinds      []action.Kind `json:"kinds"`
	Target     string        `json:"target,omitempty"`
	Shape      string        `json:"shape,omitempty"`
	Reversible bool          `json:"reversible"`
	Routine    bool          `json:"routine,omitempty"`
}

type facts struct {
	Time         string       `json:"time"`
	Gate         string       `json:"gate"`
	Verdict      string       `json:"verdict"`
	Risk         *int64       `json:"risk,omitempty"`
	Rate1h       *int64       `json:"rate_1h,omitempty"`
	Rate24h      *int64       `json:"rate_24h,omitempty"`
	Tainted      *bool        `json:"tainted,omitempty"`
	SawSensitive *bool        `json:"saw_sensitive,omitempty"`
	SawUntrusted *bool        `json:"saw_untrusted,omitempty"`
	NovelShape   *bool        `json:"novel_shape,omitempty"`
	NovelTarget  *bool        `json:"novel_target,omitempty"`
	BreakGlass   bool         `json:"break_glass,omitempty"`
	Data         dataFacts    `json:"data"`
	Preview      previewFacts `json:"preview,omitzero"`
	Statement    string       `json:"statement,omitempty"`
	Claims       *claims      `json:"claims,omitempty"`
}

type dataFacts struct {
	Rows             *int64           `json:"rows,omitempty"`
	Bytes            *int64           `json:"bytes,omitempty"`
	Classes          []string         `json:"classes,omitempty"`
	ClassesKnown     bool             `json:"classes_known"` // false: classes and groups are a lower bound
	Groups           []string         `json:"groups,omitempty"`
	Findings         map[string]int64 `json:"finding_counts,omitempty"`
	Unscanned        bool             `json:"unscanned,omitempty"`
	Inferred         bool             `json:"inferred,omitempty"`
	Computed         bool             `json:"computed,omitempty"`
	Aggregated       bool             `json:"aggregated,omitempty"`
	Destination      string           `json:"destination,omitempty"`
	DestinationTrust string           `json:"destination_trust,omitempty"`
}

type previewFacts struct {
	Rows     *int64 `json:"rows,omitempty"`
	Objects  *int64 `json:"objects,omitempty"`
	Creates  *int64 `json:"creates,omitempty"`
	Changes  *int64 `json:"changes,omitempty"`
	Destroys *int64 `json:"destroys,omitempty"`
}

// claims are the asker's words, which nobody checked.
type claims struct {
	Reason  string `json:"reason,omitempty"`
	Ticket  string `json:"ticket,omitempty"`
	Session string `json:"session,omitempty"`
}

func known(c action.Count) *int64 {
	if !c.Known {
		return nil
	}
	return &c.N
}

func told(t policy.Tri) *bool {
	if t == policy.DontKnow {
		return nil
	}
	yes := t == policy.Yes
	return &yes
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
