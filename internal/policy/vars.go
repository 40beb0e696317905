package policy

import (
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/detect"
)

// vouch says whose word a fact is.
type vouch uint8

const (
	observed vouch = iota // Assent saw it itself: on the wire, in its configuration, in its ledger
	signed                // a checked credential or identity provider says so
	claimed               // the asker says so: it may restrict, it permits nothing
)

func (v vouch) String() string { return [...]string{"observed", "signed", "claimed"}[v] }

type varType uint8

const (
	stringVar varType = iota
	intVar
	boolVar
	listVar // of strings
	textMap // string → string
	countMap
	timeVar
)

func (t varType) String() string {
	return [...]string{"string", "int", "bool", "list of strings", "map of strings", "map of ints", "timestamp"}[t]
}

// A variable is one fact a condition may read. Exactly the getter of its type is set.
type variable struct {
	name    string
	typ     varType
	vouch   vouch
	doc     string
	enum    []string // the values it can have, when they are a closed list
	reason  bool     // may be used in a reason only
	private bool     // free text of the asker: never rendered into a reason or an atom
	url     bool     // rendered without what may be a secret in it
	raises  bool     // may raise a verdict and never lower one: see rising

	str   func(*Input) (string, bool)
	num   func(*Input) (int64, bool)
	truth func(*Input) Tri
	list  *listGetter
	texts func(*Input, string) string
	count func(*Input, string) (int64, bool)
}

// A listGetter reads a list without copying it. An incomplete list is a lower
// bound: what stands in it is true, what doesn't is unknown.
type listGetter struct {
	size func(*Input) (n int, complete bool)
	at   func(*Input, int) string
}

func known(s string) (string, bool) { return s, s != "" }

func tri(b bool) Tri {
	if b {
		return Yes
	}
	return No
}

func text(name string, v vouch, doc string, f func(*Input) string, enum ...string) variable {
	return variable{name: name, typ: stringVar, vouch: v, doc: doc, enum: enum, str: func(in *Input) (string, bool) { return known(f(in)) }}
}

func claim(name, doc string, f func(*Input) string) variable {
	return variable{name: name, typ: stringVar, vouch: claimed, doc: doc, str: func(in *Input) (string, bool) { return f(in), true }}
}

func number(name string, v vouch, doc string, f func(*Input) action.Count) variable {
	return variable{name: name, typ: intVar, vouch: v, doc: doc, num: func(in *Input) (int64, bool) { c := f(in); return c.N, c.Known }}
}

func truth(name string, v vouch, doc string, f func(*Input) Tri) variable {
	return variable{name: name, typ: boolVar, vouch: v, doc: doc, truth: f}
}

func list(name string, v vouch, doc string, size func(*Input) (int, bool), at func(*Input, int) string, enum ...string) variable {
	return variable{name: name, typ: listVar, vouch: v, doc: doc, enum: enum, list: &listGetter{size: size, at: at}}
}

// raising marks a variable that may only tighten.
func raising(v variable) variable {
	v.raises = true
	return v
}

// variables is the one table that declares what conditions may read. The
// compiler, the reference page and the editors' schema come from it.
func variables() []variable {
	var all []variable
	for _, part := range [][]variable{whoVariables(), actionVariables(), dataVariables(), contextVariables(), previewVariables()} {
		all = append(all, part...)
	}
	return all
}

func whoVariables() []variable {
	return []variable{
		text("subject.id", signed, "On whose behalf the action is asked: an opaque identifier.", func(in *Input) string { return in.SubjectID }),
		list("subject.groups", signed, "Groups of the subject, as `group:name`. Unknown without a subject.",
			func(in *Input) (int, bool) { return len(in.SubjectGroups), in.SubjectID != "" },
			func(in *Input, i int) string { return in.SubjectGroups[i] }),
		text("actor.id", signed, "Who acts: `agent:nightly-exporter`.", func(in *Input) string { return in.ActorID }),
		text("actor.type", signed, "What acts.", func(in *Input) string { return in.ActorType }, actorTypes()...),
		text("actor.owner", signed, "Identifier of the person behind the actor.", func(in *Input) string { return in.ActorOwner }),
		text("actor.model", signed, "Model the agent is registered with.", func(in *Input) string { return in.ActorModel }),
		text("actor.trust", signed, "Trust level the actor is registered with.", func(in *Input) string { return in.ActorTrust }),
		list("delegation", signed, "Identifiers of the delegation chain, the acting one first (RFC 8693 `act`).",
			func(in *Input) (int, bool) { return len(in.Action.Actors), len(in.Action.Actors) > 0 },
			func(in *Input, i int) string { return in.Action.Actors[i].ID }),
	}
}

func actionVariables() []variable {
	return []variable{
		text("resource.urn", observed, "What it is done to: `postgres:billing/prod/customers`.", func(in *Input) string { return in.Action.Resource.URN }),
		text("resource.type", observed, "Kind of system: `postgres`, `s3`, `kubernetes`.", func(in *Input) string { return in.Action.Resource.Type }),
		text("resource.env", observed, "Environment, as the gate's configuration says.", func(in *Input) string { return in.Action.Resource.Env }),
		{
			name: "resource.labels", typ: textMap, vouch: observed, doc: "Labels, as the gate's configuration says. A missing one reads as `\"\"`.",
			texts: func(in *Input, k string) string { return in.Action.Resource.Labels[k] },
		},
		list("action.kinds", observed, "What the action does, from the closed list of kinds.",
			func(in *Input) (int, bool) { return len(in.Action.Kinds), len(in.Action.Kinds) > 0 },
			func(in *Input, i int) string { return string(in.Action.Kinds[i]) }, kindNames()...),
		text("action.verb", observed, "Verb of the parsed action, in lower case: `drop`.", func(in *Input) string { return in.Action.Verb }),
		text("action.target", observed, "The main object, as the parser names it: `public.customers`.", func(in *Input) string { return in.Action.Target }),
		text("action.shape", observed, "Fingerprint of the action without its literals, in hexadecimal.", func(in *Input) string { return in.Action.Shape }),
		truth("action.reversible", observed, "Whether its effect can be taken back.", func(in *Input) Tri { return tri(in.Action.Reversible) }),
		truth("action.routine", observed, "An ordinary build, test or formatter run on the asker's own working copy, an edit of a plain file in it by a coding agent's tool, or a call of a model or host that the configuration lists. It says which tool runs, not what the code it runs does.", func(in *Input) Tri { return tri(in.Action.Routine) }),
		{
			name: "action.harmless", typ: stringVar, vouch: observed, doc: "Why an action without kinds has no effect (`transaction control`), `\"\"` for any other.",
			str: func(in *Input) (string, bool) { return in.Harmless, true },
		},
	}
}

func dataVariables() []variable {
	destination := text("data.destination", observed, "Where the data goes; `client` when only to the asker.", func(in *Input) string { return in.Action.Data.Destination })
	destination.url = true
	return []variable{
		number("data.rows", observed, "Rows read, written or carried.", func(in *Input) action.Count { return in.Action.Data.Rows }),
		number("data.bytes", observed, "Bytes read, written or carried.", func(in *Input) action.Count { return in.Action.Data.Bytes }),
		list("data.classes", observed, "Classes of sensitive data. While incomplete, a class that is not in it is unknown.",
			func(in *Input) (int, bool) { return len(in.Action.Data.Classes), scanned(&in.Action.Data) },
			func(in *Input, i int) string { return in.Action.Data.Classes[i] }, classNames()...),
		list("data.groups", observed, "Groups of those classes. While incomplete, a group that is not in it is unknown.",
			func(in *Input) (int, bool) { return len(in.Action.Data.Groups), scanned(&in.Action.Data) },
			func(in *Input, i int) string { return in.Action.Data.Groups[i] }, groupNames()...),
		{
			name: "data.finding_counts", typ: countMap, vouch: observed, enum: classNames(), doc: "Findings in the request itself, by class. Unknown when something was not scanned.",
			count: func(in *Input, k string) (int64, bool) {
				d := &in.Action.Data
				return d.Findings[k], !d.Unscanned && (d.Findings != nil || d.ClassesKnown)
			},
		},
		{
			name: "data.read_1h", typ: countMap, vouch: observed, enum: append(classNames(), "all"), doc: "Rows that the person behind the actor has read from this system in the last hour, through any gate: `data.read_1h[\"all\"]`, or by class of what was in them: `data.read_1h[\"email\"]`.",
			count: func(in *Input, k string) (int64, bool) {
				if in.Read == nil {
					return 0, false
				}
				return in.Read.Rows(k), true
			},
		},
		truth("data.unscanned", observed, "Something was not fully decoded, so not fully scanned.", func(in *Input) Tri { return tri(in.Action.Data.Unscanned) }),
		truth("data.inferred", observed, "A column of a class that this decision masks stands outside a plain output list, where its value can be inferred.",
			func(in *Input) Tri { return tri(in.Action.Data.Inferred && in.hides(in.Action.Data.InferredOf)) }),
		truth("data.computed", observed, "An output column computes with a column of a class that this decision masks, or turns text so that no class could be found. It is shown as a constant.",
			func(in *Input) Tri { return tri(in.Action.Data.Computed && in.hides(in.Action.Data.ComputedOf)) }),
		truth("data.aggregated", observed, "An aggregate folds a column of a class that this decision masks, or rows that such a column chose or grouped.",
			func(in *Input) Tri {
				return tri(in.Action.Data.Aggregated && in.hides(in.Action.Data.AggregatedOf))
			}),
		destination,
		text("data.destination_trust", observed, "How far the configuration trusts the destination.", func(in *Input) string { return in.Action.Data.DestinationTrust }, "internal", "external"),
		{
			name: "data.summary", typ: stringVar, vouch: observed, reason: true, doc: "Classes and counts in words, for reasons only: `2 card, 1 email`.",
			str: func(in *Input) (string, bool) { return summary(&in.Action.Data), true },
		},
	}
}

// scanned says whether the classes and groups of d are all there are.
func scanned(d *action.Data) bool { return d.ClassesKnown && !d.Unscanned }

func contextVariables() []variable {
	reason := claim("context.reason", "Why, in the asker's words. Never rendered into a reason.", func(in *Input) string { return in.Action.Claims.Reason })
	reason.private = true
	days := dayNames()
	return []variable{
		{
			name: "context.time", typ: timeVar, vouch: observed, doc: "When the action is decided.",
			num: func(in *Input) (int64, bool) { return in.Time.UnixNano(), !in.Time.IsZero() },
		},
		{
			name: "context.hour", typ: intVar, vouch: observed, doc: "Hour of the day in UTC, 0 to 23.",
			num: func(in *Input) (int64, bool) { return int64(in.Time.UTC().Hour()), !in.Time.IsZero() },
		},
		text("context.weekday", observed, "Day of the week in UTC.", func(in *Input) string {
			if in.Time.IsZero() {
				return ""
			}
			return days[in.Time.UTC().Weekday()]
		}, days...),
		claim("context.session", "The asker's session.", func(in *Input) string { return in.Action.Claims.Session }),
		claim("context.ticket", "The ticket the asker names.", func(in *Input) string { return in.Action.Claims.Ticket }),
		reason,
		truth("context.intent_named_target", claimed, "Whether the task given to the agent named this target.", func(in *Input) Tri { return in.IntentTarget }),
		number("context.rate_1h", observed, "Actions of this actor in the last hour.", func(in *Input) action.Count { return in.Rate1h }),
		number("context.rate_24h", observed, "Actions of this actor in the last 24 hours.", func(in *Input) action.Count { return in.Rate24h }),
		raising(truth("context.novel_shape", observed, "This actor did not do this shape before, as far back as is remembered.", func(in *Input) Tri { return in.NovelShape })),
		raising(truth("context.novel_target", observed, "This actor did not touch this target before, as far back as is remembered.", func(in *Input) Tri { return in.NovelTarget })),
		truth("context.tainted", observed, "The actor has lately seen classed values unmasked, a secret, or content that others wrote; for actions that could carry it out, also another actor of the same person.", func(in *Input) Tri { return in.tainted() }),
		truth("context.saw_sensitive", observed, "The part of `context.tainted` that is about classed values and secrets.", func(in *Input) Tri { return in.saw(in.SawSensitive) }),
		truth("context.saw_untrusted", observed, "The part of `context.tainted` that is about content that others wrote: a web page, a mail, an issue.", func(in *Input) Tri { return in.saw(in.SawUntrusted) }),
		{
			name: "context.seen", typ: stringVar, vouch: observed, reason: true, doc: "What made the actor tainted, when and by which action, for reasons only.",
			str: func(in *Input) (string, bool) { return in.Seen, true },
		},
		truth("context.break_glass", claimed, "The asker says this is an emergency.", func(in *Input) Tri { return tri(in.Action.Claims.BreakGlass) }),
	}
}

// tainted is what was said of it, or what follows from its parts.
func (in *Input) tainted() Tri {
	switch {
	case in.Tainted != DontKnow:
		return in.Tainted
	case in.SawSensitive == Yes || in.SawUntrusted == Yes:
		return Yes
	case in.SawSensitive == No && in.SawUntrusted == No:
		return No
	}
	return DontKnow
}

// saw is one of the parts: who is not tainted has seen neither.
func (in *Input) saw(part Tri) Tri {
	if part == DontKnow && in.Tainted == No {
		return No
	}
	return part
}

func previewVariables() []variable {
	return []variable{
		number("preview.rows", observed, "Rows the action would change.", func(in *Input) action.Count { return in.Preview.Rows }),
		number("preview.objects", observed, "Objects the action would touch.", func(in *Input) action.Count { return in.Preview.Objects }),
		number("preview.creates", observed, "Objects it would create.", func(in *Input) action.Count { return in.Preview.Creates }),
		number("preview.changes", observed, "Objects it would change.", func(in *Input) action.Count { return in.Preview.Changes }),
		number("preview.destroys", observed, "Objects it would destroy.", func(in *Input) action.Count { return in.Preview.Destroys }),
		number("preview.smallest_group", observed, "Rows behind the smallest group of an aggregating read, 0 for an empty answer. Unknown unless they were counted.", func(in *Input) action.Count { return in.Preview.SmallestGroup }),
		raising(number("risk.score", observed, "Risk score, 0 to 99: the sum of the terms below.", func(in *Input) action.Count { return in.Risk })),
	}
}

func actorTypes() []string { return []string{"agent", "pipeline", "service", "human"} }

// dayNames is in the order of time.Weekday.
func dayNames() []string { return []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

var kindNames = sync.OnceValue(func() []string {
	kinds := action.Kinds()
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = string(k)
	}
	return out
})

// taxonomyVersion enters the bundle's digest: the same packs mean something
// else once a class joins a group.
const taxonomyVersion = "assent-taxonomy/2"

// classNames are the classes a pack may name: those the detectors know. They are sorted once.
var classNames = sync.OnceValue(func() []string {
	var out []string
	for _, class := range detect.Classes() {
		out = append(out, string(class))
	}
	sort.Strings(out)
	return slices.Clip(out)
})

// isClass reports a class that a pack may name.
func isClass(name string) bool { return detect.Class(name).Valid() }

// isOwn reports the name of a class or group of a deployment's own: hr/badge, hr/*.
func isOwn(name string) bool {
	if group, all := strings.CutSuffix(name, "/*"); all {
		name = group + "/any"
	}
	_, _, own := detect.OwnClass(detect.Class(name))
	return own
}

// ownNames are the keys of a mapping that name classes or groups of a deployment's own.
func ownNames(n *node) (out []string) {
	for _, f := range n.fields {
		if isOwn(f.key.text) {
			out = append(out, f.key.text)
		}
	}
	return out
}

// ownWords are the words of a list that name classes or groups of a deployment's own.
func ownWords(n *node) (out []string) {
	for _, x := range append([]*node{n}, n.items...) {
		if x.kind == scalarNode && isOwn(x.text) {
			out = append(out, x.text)
		}
	}
	return out
}

// isCounted reports a class that is counted by itself.
func isCounted(name string) bool { return detect.Counted(detect.Class(name)) == detect.Class(name) }

// groupsOf are the groups of a class.
func groupsOf(class string) []string { return detect.GroupOf(detect.Class(class)) }

func groupNames() []string { return []string{"pii", "phi", "pci", "secret"} }

// summary says in words what was found: never a value.
func summary(d *action.Data) string {
	var parts []string
	for _, class := range d.Classes {
		if n := d.Findings[class]; n > 0 {
			class = strconv.FormatInt(n, 10) + " " + class
		}
		parts = append(parts, class)
	}
	if len(parts) == 0 && len(d.Groups) > 0 {
		parts = append(parts, "data of "+strings.Join(d.Groups, ", "))
	}
	if !scanned(d) {
		parts = append(parts, "contents not fully known")
	}
	if len(parts) == 0 {
		return "no sensitive data found"
	}
	return strings.Join(parts, ", ")
}

// render is the value of v for people: "4821", "unknown", `"billing"`.
func (v *variable) render(in *Input) string {
	switch {
	case v.private:
		return "stated by the asker"
	case v.typ == timeVar:
		if in.Time.IsZero() {
			return "unknown"
		}
		return in.Time.UTC().Format(time.RFC3339)
	case v.str != nil:
		if s, ok := v.str(in); ok && v.url {
			return clip(withoutSecrets(s))
		} else if ok {
			return clip(s)
		}
	case v.num != nil:
		if n, ok := v.num(in); ok {
			return strconv.FormatInt(n, 10)
		}
	case v.truth != nil:
		return [...]string{"unknown", "false", "true"}[v.truth(in)]
	case v.list != nil:
		return v.list.render(in)
	case v.texts != nil:
		return strconv.Itoa(len(in.Action.Resource.Labels)) + " labels"
	case v.count != nil && v.name == "data.read_1h":
		if n, ok := v.count(in, "all"); ok {
			return strconv.FormatInt(n, 10) + " rows in all"
		}
	case v.count != nil:
		return strconv.Itoa(len(in.Action.Data.Findings)) + " classes"
	}
	return "unknown"
}

func (l *listGetter) render(in *Input) string {
	n, complete := l.size(in)
	const most = 8
	var parts []string
	for i := range min(n, most) {
		parts = append(parts, clip(l.at(in, i)))
	}
	if n > most {
		parts = append(parts, strconv.Itoa(n-most)+" more")
	}
	if !complete {
		parts = append(parts, "rest unknown")
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// withoutSecrets is a URL without user, password, query and fragment: a
// presigned link is a credential.
func withoutSecrets(s string) string {
	s, _, _ = strings.Cut(s, "?")
	s, _, _ = strings.Cut(s, "#")
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return s
	}
	host, path, _ := strings.Cut(rest, "/")
	host = host[strings.LastIndexByte(host, '@')+1:]
	return scheme + "://" + host + "/" + path
}

// clip keeps what an asker may have chosen short and on one line.
func clip(s string) string {
	const longest = 120
	if len(s) > 8*longest {
		s = s[:8*longest]
	}
	if r := []rune(s); len(r) > longest {
		s = string(r[:longest]) + "…"
	}
	return printable(s)
}
