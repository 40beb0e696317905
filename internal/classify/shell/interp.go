package shell

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"mvdan.cc/sh/v3/syntax"
)

// runShell is a shell as a program: -c with a text, a script file, or a text that flows in.
func runShell(c *call) source {
	posix := !slices.Contains([]string{"fish", "csh", "tcsh", "pwsh", "powershell", "nu", "elvish", "xonsh"}, c.cm.verb)
	c.cm.harmless = "runs a script"
	ws := c.argv[1:]
	command, stdin := false, false
	for len(ws) > 0 {
		w := ws[0]
		if w.maybeOption() {
			c.cm.unknown("an option that only the shell will know")
			break
		}
		if len(w.text) < 2 || w.text[0] != '-' && w.text[0] != '+' {
			break
		}
		ws = ws[1:]
		if w.text == "--" {
			break
		}
		switch {
		case strings.HasPrefix(w.text, "--"):
			switch w.text {
			case "--version", "--help":
				c.cm.harmless = "shows its version"
				return source{}
			case "--noprofile", "--norc", "--posix", "--login", "--verbose":
			default:
				c.cm.unknown("an option of a shell that isn't on a list")
				if len(ws) > 0 {
					ws = ws[1:]
				}
			}
		case w.text[1:] == "n" || w.text == "-xn" || w.text == "-nx":
			c.cm.harmless = "checks a script's syntax"
			for _, r := range ws {
				c.read(r)
			}
			return source{}
		default:
			command = command || strings.Contains(w.text, "c") && w.text[0] == '-'
			stdin = stdin || strings.Contains(w.text, "s") && w.text[0] == '-'
			if strings.HasSuffix(w.text, "o") || strings.HasSuffix(w.text, "O") {
				if len(ws) > 0 {
					ws = ws[1:]
				}
			}
			if strings.ContainsAny(w.text, "i") {
				c.cm.unknown("an interactive shell runs its start files")
			}
		}
	}
	switch {
	case command && len(ws) > 0:
		if !posix {
			c.cm.unknown("a shell whose language isn't bash's")
		}
		return c.shell(ws[0], tail(ws), c.in)
	case command:
		c.cm.unknown("a shell without its command")
	case len(ws) > 0 && !stdin:
		c.runFile(ws[0])
	default:
		c.fed()
	}
	return source{}
}

// tail are the arguments $1 … of sh -c text name args.
func tail(ws []word) []word {
	if len(ws) < 3 {
		return []word{}
	}
	return ws[2:]
}

// runFile is an interpreter given a file.
func (c *call) runFile(w word) {
	c.cm.unknown("runs a file")
	if w.source != nil {
		if w.source.from == "net" {
			c.cm.add("runs what came from the network", action.NetFetch)
		}
		if w.source.known {
			c.shell(word{text: w.source.text}, nil, source{})
		}
	}
	c.target(w)
}

// fed is a shell that runs what flows in.
func (c *call) fed() {
	switch {
	case c.in.known:
		c.shell(word{text: c.in.text}, nil, source{})
	case c.in.from == "net":
		c.cm.add("runs what came from the network", action.NetFetch)
		c.cm.unknown("runs what came from the network")
	default:
		c.cm.unknown("runs what flows in")
	}
}

// interpreter is any other language: its code is not followed.
func interpreter(c *call) source {
	ws := c.argv[1:]
	if len(ws) == 1 && slices.Contains([]string{"--version", "-V", "-v", "--help", "-h", "-version"}, ws[0].text) && c.cm.verb != "R" && c.cm.verb != "m4" {
		c.cm.harmless = "shows its version"
		return source{}
	}
	if c.cm.verb == "bc" || c.cm.verb == "dc" {
		if c.in.known && !strings.Contains(c.in.text, "!") && len(ws) <= 1 {
			c.cm.harmless = "computes"
			return source{}
		}
	}
	if c.cm.verb == "php" && len(ws) == 2 && ws[0].text == "-l" || c.cm.verb == "ruby" && len(ws) == 2 && ws[0].text == "-c" || strings.HasPrefix(c.cm.verb, "node") && len(ws) == 2 && (ws[0].text == "--check" || ws[0].text == "-c") {
		c.read(ws[1])
		return source{}
	}
	if strings.HasPrefix(c.cm.verb, "python") || strings.HasPrefix(c.cm.verb, "pypy") {
		if len(ws) > 1 && ws[0].text == "-m" && ws[1].known() {
			return pythonModule(c, ws[1].text, ws[2:])
		}
	}
	for _, w := range ws {
		c.mention(w)
		if secretText(w.text) {
			c.cm.add("names a file that holds secrets", action.SecretAccess)
		}
		if w.source != nil && w.source.from == "net" {
			c.cm.add("runs what came from the network", action.NetFetch)
		}
	}
	if c.cm.verb == "node" && len(ws) > 0 && ws[0].text == "--test" && c.ownDir() && len(ws) == 1 {
		c.cm.ordinary()
		return source{}
	}
	c.cm.unknown("code for an interpreter, which is not followed")
	return source{}
}

var fileName = regexp.MustCompile(`[~./A-Za-z0-9_-]+`)

// secretText reports code that names a file which holds secrets.
func secretText(code string) bool {
	for _, m := range fileName.FindAllString(code, 200) {
		if slices.Contains(ReadKinds(m), action.SecretAccess) && strings.ContainsAny(m, "./") {
			return true
		}
	}
	return false
}

// pythonModule is python -m: modules that are programs are judged as such.
func pythonModule(c *call, module string, rest []word) source {
	switch module {
	case "pytest", "unittest", "mypy", "ruff", "flake8", "pylint", "black", "isort", "pip", "coverage", "tox", "pre_commit", "venv", "virtualenv", "build", "twine", "poetry", "compileall", "py_compile", "pyflakes", "bandit":
		name := strings.ReplaceAll(module, "_", "-")
		switch name {
		case "compileall", "py-compile":
			c.cm.ordinary()
			return source{}
		case "venv", "virtualenv", "build":
			c.cm.add("", action.DataWrite, action.Execute)
			return source{}
		}
		c.cm.harmless = "runs another command"
		return c.inner(append([]word{{text: name}}, rest...), c.in)
	case "json.tool":
		for _, w := range rest {
			c.read(w)
		}
		if len(rest) > 1 {
			c.write(rest[1])
		}
		c.cm.add("reads what it is given", action.DataRead)
		return source{}
	case "http.server", "SimpleHTTPServer", "pyftpdlib":
		c.cm.add("serves a directory to the network", action.DataExport, action.NetworkChange, action.Execute)
		return source{}
	}
	c.cm.unknown("code for an interpreter, which is not followed")
	return source{}
}

// sed edits text; its script may write files and run commands.
func sed(c *call) source {
	t := &tool{value: map[string]bool{"e": true, "f": true, "l": true, "expression": true, "file": true, "line-length": true}}
	inPlace := false
	var words []word
	for _, w := range c.argv[1:] {
		switch {
		case w.text == "-i" || strings.HasPrefix(w.text, "-i") || strings.HasPrefix(w.text, "--in-p") || strings.HasPrefix(w.text, "--i"):
			inPlace = true
		case len(w.text) > 2 && w.text[0] == '-' && w.text[1] != '-' && strings.Contains(strings.SplitN(w.text, "e", 2)[0], "i"):
			inPlace = true
			words = append(words, word{text: strings.Split(w.text, "i")[0]})
		default:
			words = append(words, w)
		}
	}
	opts, operands := t.args(words)
	c.opts = opts
	var scripts []word
	for _, o := range opts {
		switch {
		case o.name == "e" || strings.HasPrefix(o.name, "exp"):
			scripts = append(scripts, o.value)
		case o.name == "f" || strings.HasPrefix(o.name, "fi"):
			c.cm.unknown("runs a script of sed from a file")
		}
	}
	if len(scripts) == 0 && !c.has("f", "file") && len(operands) > 0 {
		scripts, operands = operands[:1], operands[1:]
	}
	for _, s := range scripts {
		if s.text == "" && inPlace && len(operands) > 0 { // BSD: -i ''
			s, operands = operands[0], operands[1:]
		}
		if !quietSed(s) {
			c.cm.unknown("a script of sed that may write files or run commands")
		}
	}
	for _, w := range operands {
		if w.maybeOption() {
			c.cm.unknown("an option that only the shell will know")
		}
		if c.read(w); inPlace {
			c.write(w)
		}
	}
	c.cm.add("reads what it is given", action.DataRead)
	return source{}
}

var (
	sedPlain = regexp.MustCompile(`^[0-9,$!~+ ]*(/[^/\\\n]*/[I]?)?(,[0-9$+~]*(/[^/\\\n]*/[I]?)?)?[ !]*(p|d|q|=|D|P|n|N|h|H|g|G|x|l|Q|q[0-9]*|[{]?p;q[}]?|p;[0-9]*q|[0-9]*q)?$`)
	sedEdit  = regexp.MustCompile(`^([0-9,$!]*|/[^/\\\n]*/)?(s|y)(.)`)
)

// quietSed reports whether each command of a script only prints or edits what flows through.
func quietSed(w word) bool {
	if !w.known() && w.hole {
		return false
	}
	rest := strings.TrimSpace(w.text)
	for rest != "" {
		m := sedEdit.FindStringSubmatch(rest)
		if m == nil {
			head, after, _ := cutSed(rest)
			if !sedPlain.MatchString(strings.TrimSpace(strings.Trim(head, "{} "))) {
				return false
			}
			rest = strings.TrimSpace(after)
			continue
		}
		delim := m[3]
		if delim == "\\" || delim == "\n" {
			return false
		}
		body := rest[len(m[0]):]
		for range 2 {
			end := -1
			for i := 0; i < len(body); i++ {
				if body[i] == '\\' {
					i++
					continue
				}
				if strings.HasPrefix(body[i:], delim) {
					end = i
					break
				}
			}
			if end < 0 {
				return false
			}
			body = body[end+len(delim):]
		}
		flags, after, _ := cutSed(body)
		if m[2] == "s" && strings.Trim(strings.TrimSpace(flags), "gpIi0123456789mM }") != "" || m[2] == "y" && strings.TrimSpace(flags) != "" {
			return false
		}
		rest = strings.TrimSpace(after)
	}
	return true
}

func cutSed(s string) (head, after string, ok bool) {
	i := strings.IndexAny(s, ";\n")
	if i < 0 {
		return s, "", false
	}
	// A semicolon inside of an address ends nothing; then the head matches no pattern and is refused.
	return s[:i], s[i+1:], true
}

// awk runs a program that may write files, open pipes and run commands.
func awk(c *call) source {
	t := &tool{first: true, value: map[string]bool{"F": true, "v": true, "f": true, "field-separator": true, "assign": true, "file": true, "e": true, "source": true, "E": true, "i": true, "l": true, "include": true, "load": true, "o": true, "p": true, "d": true}}
	opts, operands := t.args(c.argv[1:])
	c.opts = opts
	var programs []word
	for _, o := range opts {
		switch o.name {
		case "F", "v", "field-separator", "assign", "version", "n", "N", "S", "sandbox", "posix", "P", "csv", "k":
			if o.value.hole && o.name != "v" && o.name != "F" {
				c.cm.unknown("an option that only the shell will know")
			}
		case "e", "source":
			programs = append(programs, o.value)
		default:
			c.cm.unknown("a program of awk that isn't in the text, or an option on no list")
		}
	}
	if len(programs) == 0 && len(operands) > 0 {
		programs, operands = operands[:1], operands[1:]
	}
	for _, p := range programs {
		if p.hole || !quietAwk(p.text) {
			c.cm.unknown("a program of awk that may write files or run commands")
		}
	}
	for _, w := range operands {
		if name, _, ok := strings.Cut(w.text, "="); ok && syntax.ValidName(name) {
			continue
		}
		c.read(w)
	}
	c.cm.add("reads what it is given", action.DataRead)
	return source{}
}

var (
	awkTexts = regexp.MustCompile(`"(?:[^"\\\n]|\\.)*"`)
	awkLoud  = regexp.MustCompile(`\bsystem\b|\bgetline\b|\||@|\bENVIRON\b|\bextension\b|\bfflush\b|\bPROCINFO\b|\bclose\b|\bARG[VC]\b`)
	awkPrint = regexp.MustCompile(`\bprintf?\b[^;}]*>`)
	awkRegex = regexp.MustCompile(`(^|[^\w)\]\s"$])\s*/(?:[^/\\\n]|\\.)*/`)
)

// quietAwk reports whether a program only computes and prints.
func quietAwk(p string) bool {
	if secretText(p) || strings.Contains(p, "/inet") {
		return false
	}
	p = awkTexts.ReplaceAllString(p, `""`)
	if strings.Count(p, `"`)%2 != 0 || strings.Contains(p, "\\\n") {
		return false
	}
	bare := awkRegex.ReplaceAllString(p, "$1 ")
	bare = strings.ReplaceAll(bare, "||", " ")
	// What is left out as a pattern could hide code if it were a division: both readings must be quiet.
	whole := strings.ReplaceAll(p, "||", " ")
	loud := func(s string) bool { return awkLoud.MatchString(s) || awkPrint.MatchString(s) }
	if !loud(whole) {
		return true
	}
	return !loud(bare) && !strings.Contains(strings.ReplaceAll(bare, "//", ""), "/")
}

// vim edits: a person does it, or commands that it is given.
func vim(c *call) source {
	for _, w := range c.argv[1:] {
		if strings.HasPrefix(w.text, "-") || strings.HasPrefix(w.text, "+") || w.hole {
			c.cm.unknown("an editor that is given commands")
		} else if w.known() {
			c.write(w)
		}
	}
	c.cm.add("an editor can run commands", action.DataWrite, action.Execute)
	return source{}
}

// find lists files; its actions delete, write and run.
func find(c *call) source {
	c.cm.add("lists files", action.DataRead)
	ws := c.argv[1:]
	for len(ws) > 0 && (ws[0].text == "-H" || ws[0].text == "-L" || ws[0].text == "-P" || strings.HasPrefix(ws[0].text, "-O") || ws[0].text == "-D") {
		ws = ws[1+min(btoi(ws[0].text == "-D"), len(ws)-1):]
	}
	var roots []word
	for len(ws) > 0 && !strings.HasPrefix(ws[0].text, "-") && ws[0].text != "(" && ws[0].text != "!" {
		if ws[0].maybeOption() {
			c.cm.unknown("an option that only the shell will know")
		}
		roots, ws = append(roots, ws[0]), ws[1:]
	}
	if len(roots) == 0 {
		roots = []word{{text: "."}}
	}
	c.target(roots[0])
	names := []string{}
	printed := true
	for i := 0; i < len(ws); i++ {
		w := ws[i]
		arg := func() word {
			if i+1 < len(ws) {
				i++
				return ws[i]
			}
			return word{}
		}
		switch w.text {
		case "-name", "-iname", "-path", "-ipath", "-wholename", "-regex", "-iregex", "-lname":
			if p := arg(); strings.HasSuffix(w.text, "name") {
				names = append(names, p.text)
			}
		case "-type", "-newer", "-mtime", "-mmin", "-atime", "-amin", "-ctime", "-cmin", "-size", "-maxdepth", "-mindepth", "-perm", "-user", "-group", "-links", "-inum", "-samefile", "-printf", "-fstype", "-uid", "-gid", "-xtype", "-regextype", "-used", "-newermt", "-newerct", "-anewer", "-cnewer":
			arg()
		case "-print", "-print0", "-ls", "-prune", "-quit", "-o", "-or", "-a", "-and", "-not", "!", "(", ")", "-empty", "-executable", "-readable", "-writable", "-follow", "-xdev", "-mount", "-depth", "-d", "-true", "-false", "-daystart", "-nouser", "-nogroup", "-noleaf", ",", "-warn", "-nowarn", "-ignore_readdir_race":
		case "-delete":
			printed = false
			c.cm.add("deletes what it finds", action.DataDelete)
			for _, r := range roots {
				c.remove(r)
			}
		case "-fprint", "-fprint0", "-fls":
			c.write(arg())
		case "-fprintf":
			c.write(arg())
			arg()
		case "-exec", "-execdir", "-ok", "-okdir":
			var inner []word
			for i++; i < len(ws) && ws[i].text != ";" && (ws[i].text != "+" || len(inner) == 0 || inner[len(inner)-1].text != "{}"); i++ {
				inner = append(inner, ws[i])
			}
			c.findExec(inner, found(roots, names))
		case "-files0-from":
			c.cm.unknown("begins where a file says")
			arg()
		default:
			c.cm.unknown("an option of find that isn't on a list")
		}
	}
	if !printed {
		return source{}
	}
	return source{names: found(roots, names)}
}

// found are the names that a search gives, as patterns.
func found(roots []word, names []string) []word {
	if len(names) == 0 {
		names = []string{"*"}
	}
	var out []word
	for _, r := range roots {
		for _, n := range names {
			out = append(out, word{text: path.Join(r.text, n), glob: true, hole: r.hole || strings.Contains(n, hole)})
			if root := canonical(r.text); len(strings.Trim(n, "*?")) < 2 && holdsSecrets(root) {
				out = append(out, word{text: path.Join(root, ".ssh/*"), glob: true})
			}
		}
	}
	for i := range out {
		if !strings.HasPrefix(out[i].text, "/") && !strings.HasPrefix(out[i].text, "~") {
			out[i].text = "./" + out[i].text
		}
	}
	return out
}

func (c *call) findExec(inner, names []word) {
	var out []word
	for _, w := range inner {
		switch {
		case w.text == "{}":
			out = append(out, names...)
		case strings.Contains(w.text, "{}"):
			out = append(out, word{text: strings.ReplaceAll(w.text, "{}", hole), hole: true})
		default:
			out = append(out, w)
		}
	}
	if len(out) > 0 && strings.Contains(inner[0].text, "{}") {
		c.cm.unknown("runs what it finds")
		return
	}
	c.inner(out, source{none: true})
}
