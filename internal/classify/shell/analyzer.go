package shell

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/show"
)

// An analyzer collects what one text does. It is used once, by one goroutine.
type analyzer struct {
	c      Context
	steps  int
	depth  int
	cmds   []*command
	reads  []string
	writes []string
	hosts  []string
}

// A command is a Command in the making.
type command struct {
	argv       []word
	via        []string
	verb       string
	target     string
	kinds      map[action.Kind]string // with the reason
	harmless   string
	routine    bool // it is on the list of ordinary work
	plain      bool // a part of it that runs something is not ordinary work
	reversible bool
	options    []string // names, for the shape
}

func newAnalyzer(c Context) *analyzer { return &analyzer{c: c} }

// command notes that a command was found.
func (a *analyzer) command(argv []word, via []string) *command {
	cm := &command{argv: argv, via: slices.Clone(via)}
	if len(argv) > 0 {
		cm.verb = argv[0].show()
	}
	a.cmds = append(a.cmds, cm)
	return cm
}

// add notes kinds, with the reason for them. Execute so added is not routine.
func (cm *command) add(why string, kinds ...action.Kind) {
	if cm.kinds == nil {
		cm.kinds = make(map[action.Kind]string, 2)
	}
	for _, k := range kinds {
		if _, ok := cm.kinds[k]; !ok {
			cm.kinds[k] = why
		}
		if k != action.DataRead {
			cm.plain = true
		}
	}
}

// unknown notes that nobody can tell what the command does.
func (cm *command) unknown(why string) { cm.add(why, action.Unknown, action.Execute) }

// ordinary notes that the command is a build, a test or the like.
func (cm *command) ordinary() {
	if cm.kinds == nil {
		cm.kinds = make(map[action.Kind]string, 2)
	}
	if _, ok := cm.kinds[action.Execute]; !ok {
		cm.kinds[action.Execute] = "runs the working copy's own build, test or tools"
	}
	cm.routine = true
}

// severity orders kinds for choosing the worst command: the first is the worst.
var severity = []action.Kind{
	action.AuditChange, action.InfraDestroy, action.PrivilegeChange, action.DataDelete, action.DataExport, action.SecretAccess,
	action.Payment, action.IdentityChange, action.SchemaChange, action.Deploy, action.NetworkChange, action.InfraChange,
	action.InfraCreate, action.CodeChange, action.MessageSend, action.Unknown, action.ConfigChange, action.NetFetch, action.SessionOpen,
	action.LLMCall, action.ToolCall, action.DataWrite, action.Execute, action.DataRead,
}

func (cm *command) rank() int {
	for i, k := range severity {
		if _, ok := cm.kinds[k]; ok {
			return i
		}
	}
	return len(severity)
}

func (cm *command) sorted() []action.Kind {
	out := make([]action.Kind, 0, len(cm.kinds))
	for k := range cm.kinds {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// isRoutine reports whether all that the command runs is ordinary work.
func (cm *command) isRoutine() bool { return cm.routine && !cm.plain }

func (cm *command) export() Command {
	out := Command{Via: cm.via, Verb: cm.verb, Target: cm.target, Kinds: cm.sorted(), Routine: cm.isRoutine()}
	for _, w := range cm.argv {
		out.Argv = append(out.Argv, w.show())
	}
	if len(out.Kinds) == 0 {
		out.Harmless = cm.harmless
	}
	out.Reversible = cm.canBeUndone()
	return out
}

// canBeUndone is true where another command undoes all that this one does.
func (cm *command) canBeUndone() bool {
	for k := range cm.kinds {
		switch k {
		case action.DataRead:
		case action.Execute:
			if !cm.isRoutine() {
				return false
			}
		case action.CodeChange, action.DataWrite, action.ConfigChange, action.PrivilegeChange, action.NetworkChange:
			if !cm.reversible {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// finish makes the Analysis.
func (a *analyzer) finish() Analysis {
	out := Analysis{Reversible: true, Reads: uniqueSorted(a.reads), Writes: uniqueSorted(a.writes), Hosts: uniqueSorted(a.hosts)}
	var worst *command
	why := map[action.Kind]string{}
	routine, plain := false, false
	h := sha256.New()
	for _, cm := range a.cmds {
		if len(cm.kinds) == 0 && cm.harmless == "" {
			cm.unknown("nothing says what it does") // no branch may end without a kind and without a name
		}
		for k, w := range cm.kinds {
			w = or(w, cm.verb)
			if have, ok := why[k]; !ok || w < have {
				why[k] = w
			}
		}
		plain = plain || cm.plain
		routine = routine || cm.isRoutine()
		if worst == nil || cm.rank() < worst.rank() {
			worst = cm
		}
		c := cm.export()
		out.Reversible = out.Reversible && c.Reversible
		out.Commands = append(out.Commands, c)
		h.Write([]byte(cm.shape()))
	}
	for k := range why {
		out.Kinds = append(out.Kinds, k)
	}
	slices.Sort(out.Kinds)
	for _, k := range out.Kinds {
		out.Why = append(out.Why, string(k)+": "+why[k])
	}
	out.Routine = routine && !plain
	out.Shape = hex.EncodeToString(h.Sum(nil)[:16])
	if worst == nil {
		out.Harmless, out.Verb, out.Title = "nothing is run", "nothing", "Nothing"
		return out
	}
	out.Verb, out.Target = worst.verb, worst.target
	if len(out.Kinds) == 0 {
		out.Harmless = worst.harmless
	}
	out.Title = title(worst, a.cmds)
	return out
}

// shape is the command without its arguments: names, options, how many words.
func (cm *command) shape() string {
	var b strings.Builder
	for _, v := range cm.via {
		b.WriteString(v + ">")
	}
	b.WriteString(cm.verb + "\x1f" + strings.Join(cm.options, " ") + "\x1f")
	for _, k := range cm.sorted() {
		b.WriteString(string(k) + " ")
	}
	for _, w := range cm.argv {
		switch {
		case w.hole:
			b.WriteByte('?')
		case w.glob:
			b.WriteByte('*')
		default:
			b.WriteByte('.')
		}
	}
	b.WriteByte('\n')
	return b.String()
}

// maxOthers is how many further commands a title names.
const maxOthers = 3

// title names the worst command, and the others that do anything: a title that tells of
// one of them only would hide the rest from who reads nothing else.
func title(worst *command, all []*command) string {
	t := worst.verb
	if worst.target != "" {
		t += " " + worst.target
	}
	t = show.Plain(t, 120)
	var others []string
	more := 0
	for _, cm := range all {
		switch {
		case cm == worst || len(cm.kinds) == 0 || slices.Contains(others, cm.verb):
		case len(others) < maxOthers:
			others = append(others, cm.verb)
		default:
			more++
		}
	}
	if len(others) == 0 {
		return t
	}
	t += "; also " + show.Plain(strings.Join(others, ", "), 120)
	if more > 0 {
		t += " and " + strconv.Itoa(more) + " more"
	}
	return t
}

func uniqueSorted(in []string) []string {
	if len(in) == 0 {
		return nil
	}
	slices.Sort(in)
	return slices.Compact(in)
}

// step counts work; false means that the text is too large to be followed.
func (a *analyzer) step() bool {
	a.steps++
	if a.steps <= maxSteps && a.depth <= maxDepth {
		return true
	}
	if a.steps <= 2*maxSteps {
		a.steps = 4 * maxSteps // once, and never again
		a.command([]word{{text: "?"}}, nil).unknown("it is nested too deeply, or too long to be followed")
	}
	return false
}
