package mcp

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/action"
)

// A Drafted is a rule that was guessed from a tool's definition, for a person to read and correct.
type Drafted struct {
	Rule
	Why string // from what it was guessed; where there are no kinds, why there are none
}

// A word of a tool's name, and the kinds that it means.
type verb struct {
	words  string
	kinds  []action.Kind
	undone bool // what it does adds something or moves it about, so it can be undone
}

// verbs that mean the same wherever they stand in a name. The more they can do, the earlier.
var verbs = []verb{
	{words: "delete remove destroy purge erase trash wipe truncate drop unlink discard clear cancel prune", kinds: []action.Kind{action.DataDelete}},
	{words: "pay transfer refund purchase buy withdraw payout reserve wire remit donate reimburse redeem", kinds: []action.Kind{action.Payment}},
	{words: "grant revoke permit authorize authorise impersonate promote demote", kinds: []action.Kind{action.PrivilegeChange}},
	{words: "send reply forward notify invite publish tweet announce broadcast respond email message dm submit", kinds: []action.Kind{action.MessageSend}},
	{words: "share unshare", kinds: []action.Kind{action.PrivilegeChange, action.DataExport}},
	{words: "export upload push sync backup dump", kinds: []action.Kind{action.DataExport}},
	{words: "execute exec eval invoke trigger restart reboot spawn install uninstall", kinds: []action.Kind{action.Execute}},
	{words: "deploy rollback release", kinds: []action.Kind{action.Deploy}},
	{words: "create add append insert schedule reschedule rename move copy duplicate mark star unstar pin unpin bookmark save restore archive unarchive enable disable subscribe unsubscribe follow unfollow snooze", kinds: []action.Kind{action.DataWrite}, undone: true},
	{words: "update edit write modify change replace overwrite set upsert patch put alter merge assign unassign close reopen approve reject accept decline rotate reset convert import register make complete resolve lock unlock start stop toggle", kinds: []action.Kind{action.DataWrite}},
	{words: "navigate browse crawl scrape fetch", kinds: []action.Kind{action.NetFetch}},
}

// either are words that are as often nouns. They count as verbs only where they come first.
var either = []verb{
	{words: "charge order book invoice", kinds: []action.Kind{action.Payment}},
	{words: "post comment react", kinds: []action.Kind{action.MessageSend}},
	{words: "run call start stop", kinds: []action.Kind{action.Execute}},
	{words: "draft label tag file note log schedule upvote vote", kinds: []action.Kind{action.DataWrite}, undone: true},
	{words: "fork commit tag", kinds: []action.Kind{action.CodeChange}},
	{words: "click type press fill drag drop select", kinds: []action.Kind{action.NetFetch, action.ToolCall}},
}

// readers are words that read, where nothing else in the name changes anything.
const readers = "get list search find read query lookup look show describe view check count retrieve summarize summarise explain compare validate verify preview inspect status history info details calculate convert estimate download scan whoami watch current open tree stat exists diff"

// nouns tell more of what a change is about.
var nouns = []struct {
	words string
	reads []action.Kind // what a read of it is besides
	kinds []action.Kind // what a change of it is instead of a plain write
}{
	{"secret secrets password passwords passwd credential credentials token tokens apikey apikeys pin env environment cookie cookies storage localstorage sessionstorage", []action.Kind{action.SecretAccess}, []action.Kind{action.IdentityChange}},
	{"permission permissions role roles acl policy policies collaborator collaborators access", nil, []action.Kind{action.PrivilegeChange}},
	{"user users account accounts member members profile identity group groups", nil, []action.Kind{action.IdentityChange}},
	{"payment payments transaction transactions payout refund charge reservation booking order checkout invoice subscription purchase", nil, []action.Kind{action.Payment}},
	{"message messages email emails mail mails comment comments reply tweet sms notification invitation invitations review issue issues discussion reaction", nil, []action.Kind{action.MessageSend}},
	{"branch branches commit commits repo repository repositories pull code", nil, []action.Kind{action.CodeChange}},
	{"server servers instance instances cluster node vm container bucket database deployment", nil, []action.Kind{action.InfraChange}},
	{"table tables column schema index migration", nil, []action.Kind{action.SchemaChange}},
	{"setting settings config configuration preference preferences webhook webhooks", nil, []action.Kind{action.ConfigChange}},
	{"command script shell terminal job workflow process", nil, []action.Kind{action.Execute}},
	{"url web page site internet", []action.Kind{action.NetFetch}, []action.Kind{action.NetFetch}},
}

// people are arguments that say to whom something goes, and prose those that hold what is said, or when.
const (
	people = "to cc bcc recipient recipients email emails address addresses participant participants attendee attendees invitee invitees guest guests member members user users username person people payee beneficiary iban account channel channels phone number contact"
	prose  = "body text content contents message description summary subject comment note notes markdown html details query filter search reason format attachments limit offset cursor page size count sort order fields locale language timezone permission permissions visibility priority color location place"
	when   = "date time day start end from until due deadline duration month year week hour minute timestamp recurrence reminder begin since before after"
	money  = "amount price sum total quantity currency value"
)

// Draft guesses from a tool's name, description and arguments what its calls do. It takes the worse of two
// readings, and what it doesn't understand has no kinds: such a tool stays tool.call.
func Draft(d *Definition) Drafted {
	out := Drafted{Rule: Rule{Tool: d.Name}}
	words := wordsOf(d.Name)
	var found *verb
	var from string
	for _, v := range verbs {
		if w := among(words, v.words); w != "" {
			v := v
			found, from = &v, w
			break
		}
	}
	reads := ""
	if len(words) > 0 {
		reads = among(words[:1], readers)
	}
	switch {
	case reads != "" && found != nil && among(words, "email message upload transfer release purchase order import resolve set change star pin") == from:
		found = nil // get_email, list_transfers: a thing that was sent, not a sending
	case found == nil && reads == "" && len(words) > 0:
		for _, v := range either {
			if w := among(words[:1], v.words); w != "" {
				v := v
				found, from = &v, w
				break
			}
		}
	}
	if found == nil && reads == "" {
		reads = among(words, readers)
	}
	args := argsOf(d)
	told := tells(d.Description)
	switch {
	case found != nil:
		out.change(found, from, words, args)
		if told == "sends" && !slices.Contains(out.Kinds, action.MessageSend) && len(out.To) == 0 {
			out.add("its description says that it sends something", action.MessageSend)
		}
		if told != "" && told != "sends" && told != "creates" && told != "adds" {
			out.Reversible = false
		}
	case reads != "":
		out.Kinds, out.Untrusted, out.Why = []action.Kind{action.DataRead}, true, "the word "+reads
		for _, n := range nouns {
			if w := among(words, n.words); w != "" && n.reads != nil {
				out.add("the word "+w, n.reads...)
			}
		}
		if told != "" {
			out.Kinds, out.Why = nil, "the word "+reads+", but its description says that it "+told+": say what it does"
		}
	default:
		out.Why = "no word of its name is known: say what it does"
	}
	for _, a := range args {
		switch a {
		case "sql":
			out.SQL, out.Kinds = append(out.SQL, a), slices.DeleteFunc(out.Kinds, func(k action.Kind) bool { return k == action.DataRead })
			out.Why += "; SQL is judged by itself"
		case "command", "cmd", "script":
			out.Shell = append(out.Shell, a)
		case "url", "uri", "urls":
			out.URLs = append(out.URLs, a)
		}
	}
	if said(d.Annotations.ReadOnly, false) && len(out.Kinds) == 1 && out.Kinds[0] == action.DataRead {
		out.Kinds, out.Why = nil, out.Why+", but its server says that it changes something: say what it does"
	}
	if len(out.Kinds)+len(out.SQL) == 0 {
		out.SQL, out.Shell, out.URLs = nil, nil, nil
		out.Reversible, out.To, out.On = false, nil, nil
	}
	slices.Sort(out.Kinds)
	return out
}

func (d *Drafted) add(why string, kinds ...action.Kind) {
	for _, k := range kinds {
		if !slices.Contains(d.Kinds, k) {
			d.Kinds = append(d.Kinds, k)
		}
	}
	d.Why += "; " + why
}

// change drafts a tool that does something.
func (d *Drafted) change(v *verb, from string, words []string, args []string) {
	d.Kinds, d.Reversible, d.Why = slices.Clone(v.kinds), v.undone, "the word "+from
	d.Untrusted = true
	if slices.Contains(v.kinds, action.DataWrite) || slices.Contains(v.kinds, action.DataDelete) {
		for _, n := range nouns {
			w := among(words, n.words)
			if w == "" {
				continue
			}
			if slices.Contains(v.kinds, action.DataDelete) {
				if n.kinds[0] != action.MessageSend && n.kinds[0] != action.NetFetch {
					d.add("the word "+w, n.kinds...)
				}
				break
			}
			d.add("the word "+w, n.kinds...)
			d.Reversible = false
			break
		}
	}
	pays := slices.Contains(d.Kinds, action.Payment)
	for _, a := range args {
		w := wordsOf(a)
		last := w[max(len(w)-1, 0):]
		switch {
		case among(w, when) != "" && among(last, "id name title") == "":
		case among(last, "id ids") == "" && among(w, people) != "":
			d.To = append(d.To, a)
		case among(w, money) != "":
			if pays {
				d.On = append(d.On, a)
			}
		case among(last, prose) != "" || strings.HasPrefix(a, "is_"):
		default:
			d.On = append(d.On, a)
		}
	}
}

// tells is a word in a description by which a tool does more than show something.
func tells(description string) string {
	for _, w := range wordsOf(description) {
		switch w {
		case "sends", "notifies", "send", "notify":
			return "sends"
		case "deletes", "removes", "creates", "updates", "posts", "pays", "executes", "transfers", "overwrites", "destroys", "modifies", "purchases":
			return w
		}
	}
	return ""
}

// argsOf are the arguments of a tool that hold text, numbers of money or lists, sorted.
func argsOf(d *Definition) []string {
	var def struct {
		InputSchema struct {
			Properties map[string]struct {
				Type any
			}
		}
	}
	if json.Unmarshal(d.Canonical, &def) != nil {
		return nil
	}
	var out []string
	for name, p := range def.InputSchema.Properties {
		if p.Type != "boolean" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// wordsOf are the words of a name: snake, kebab and camel case, in lower case.
func wordsOf(s string) []string {
	var out []string
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			out = append(out, strings.ToLower(b.String()))
			b.Reset()
		}
	}
	for i, c := range s {
		upper := c >= 'A' && c <= 'Z'
		if upper && i > 0 && s[i-1] >= 'a' && s[i-1] <= 'z' {
			flush()
		}
		if upper || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			b.WriteRune(c)
			continue
		}
		flush()
	}
	flush()
	return out
}

// among is the first of words that stands in list; "" if none does.
func among(words []string, list string) string {
	for _, w := range words {
		for l := range strings.FieldsSeq(list) {
			if w == l {
				return w
			}
		}
	}
	return ""
}

// DraftYAML prints the tools: block of a server's configuration for the tools of a tools/list result, or an array of them.
func DraftYAML(raw []byte) (string, error) {
	defs, err := listOf(raw)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("# A draft, guessed from names, descriptions and arguments: read each row, and correct it.\ntools:\n")
	for i := range defs {
		d := Draft(&defs[i])
		if len(d.Kinds)+len(d.SQL) == 0 {
			fmt.Fprintf(&b, "  # %s: %s\n", printable(d.Tool), d.Why)
			continue
		}
		fmt.Fprintf(&b, "  - { tool: %s, kinds: %s", quoted(d.Tool), kindList(d.Kinds))
		for _, l := range []struct {
			key  string
			args []string
		}{{"sql", d.SQL}, {"shell", d.Shell}, {"urls", d.URLs}, {"to", d.To}, {"on", d.On}} {
			if len(l.args) > 0 {
				q := make([]string, len(l.args))
				for i, a := range l.args {
					q[i] = quoted(a)
				}
				fmt.Fprintf(&b, ", %s: [%s]", l.key, strings.Join(q, ", "))
			}
		}
		if d.Reversible {
			b.WriteString(", reversible: true")
		}
		if d.Untrusted {
			b.WriteString(", untrusted: true")
		}
		fmt.Fprintf(&b, " } # %s\n", d.Why)
	}
	return b.String(), nil
}

func listOf(raw []byte) ([]Definition, error) {
	var tools []json.RawMessage
	if json.Unmarshal(raw, &tools) != nil {
		var list struct {
			Tools  []json.RawMessage
			Result struct{ Tools []json.RawMessage }
		}
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, fmt.Errorf("tools of an MCP server: want the result of tools/list, or an array of definitions: %w", err)
		}
		tools = append(list.Tools, list.Result.Tools...)
	}
	if len(tools) == 0 {
		return nil, fmt.Errorf("tools of an MCP server: none is listed")
	}
	byName := map[string]Definition{}
	for _, t := range tools {
		d, err := Parse(t)
		if err != nil {
			return nil, err
		}
		if _, twice := byName[d.Name]; twice {
			return nil, fmt.Errorf("tools of an MCP server: %q stands twice", d.Name)
		}
		byName[d.Name] = d
	}
	out := make([]Definition, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, byName[name])
	}
	return out, nil
}

func kindList(kinds []action.Kind) string {
	s := make([]string, len(kinds))
	for i, k := range kinds {
		s[i] = string(k)
	}
	return "[" + strings.Join(s, ", ") + "]"
}

// quoted is a name as YAML: plain where that is safe.
func quoted(s string) string {
	for i, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || i > 0 && (c == '-' || c >= '0' && c <= '9')) {
			return strconv.QuoteToASCII(s)
		}
	}
	switch strings.ToLower(s) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return strconv.QuoteToASCII(s)
	}
	return s
}

func printable(s string) string { q := strconv.QuoteToASCII(s); return q[1 : len(q)-1] }
