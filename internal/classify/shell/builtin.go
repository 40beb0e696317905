package shell

import (
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
)

// builtins run no program of PATH.
const builtins = " echo printf cd true false : test [ read set shift unset pwd exit return break continue wait trap eval alias unalias type umask history "

// handler judges a command that no table can describe; nil where there is none.
func handler(name string) func(*call) source {
	switch name {
	case "echo":
		return echo
	case "printf":
		return printf
	case "cd", "pushd", "popd":
		return cd
	case "read", "readarray", "mapfile", "getopts":
		return read
	case "set", "shopt", "enable", "bind":
		return set
	case "shift":
		return shift
	case "unset", "unalias":
		return unset
	case "eval":
		return eval
	case ".", "source":
		return sourceFile
	case "trap":
		return trap
	case "alias":
		return alias
	case "exec":
		return execInto
	case "env":
		return env
	case "find", "gfind":
		return find
	case "sed", "gsed":
		return sed
	case "hash":
		return hash
	case "[", "test":
		return test
	case "ex", "vi", "vim", "nvim", "view", "nano", "emacs", "pico", "joe", "micro", "hx", "ed":
		return vim
	case "psql":
		return psql
	case "sqlite3", "sqlite":
		return sqlite
	case "mysql", "mariadb":
		return mysql
	case "redis-cli", "valkey-cli", "keydb-cli":
		return redis
	case "curl":
		return curl
	case "wget", "wget2":
		return wget
	case "sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "rbash", "fish", "csh", "tcsh", "pwsh", "powershell", "yash", "nu", "elvish", "xonsh":
		return runShell
	case "awk", "gawk", "mawk", "nawk":
		return awk
	case "python", "python2", "python3", "pypy", "pypy3", "perl", "ruby", "node", "nodejs", "deno", "php", "lua", "luajit", "Rscript", "R", "julia", "tclsh", "wish", "ghci", "runghc", "scala", "kotlin", "groovy", "java", "jshell", "elixir", "iex", "erl", "escript", "ts-node", "tsx", "guile", "racket", "sbcl", "clisp", "octave", "gdb", "lldb", "m4", "bc", "dc", "expect", "ipython", "jupyter", "irb", "gnuplot", "qjs", "d8":
		return interpreter
	}
	return nil
}

// static joins known words; ok is false where one isn't known.
func static(ws []word) (string, bool) {
	var parts []string
	for _, w := range ws {
		if w.hole || w.glob || w.source != nil {
			return "", false
		}
		parts = append(parts, w.text)
	}
	return strings.Join(parts, " "), true
}

func echo(c *call) source {
	c.cm.harmless = "prints text"
	ws := c.argv[1:]
	end, escapes := "\n", false
	for len(ws) > 0 && len(ws[0].text) > 1 && ws[0].text[0] == '-' && strings.Trim(ws[0].text[1:], "neE") == "" {
		if strings.Contains(ws[0].text, "n") {
			end = ""
		}
		escapes = strings.Contains(ws[0].text, "e")
		ws = ws[1:]
	}
	text, ok := static(ws)
	if !ok {
		return c.sized(ws)
	}
	if escapes {
		text = unescape(text, true)
	}
	if strings.Contains(text, hole) {
		return source{}
	}
	return source{known: true, text: text + end}
}

// sized is the output of echo or printf with words that are patterns: names of files.
func (c *call) sized(ws []word) source {
	for _, w := range ws {
		if w.hole || !w.glob {
			return source{}
		}
	}
	return source{names: ws}
}

func printf(c *call) source {
	c.cm.harmless = "prints text"
	ws := c.argv[1:]
	if len(ws) > 0 && len(ws[0].text) > 2 && strings.HasPrefix(ws[0].text, "-v") {
		ws = append([]word{{text: "-v"}, {text: ws[0].text[2:], hole: ws[0].hole}}, ws[1:]...)
	}
	if len(ws) > 0 && ws[0].text == "-v" {
		if len(ws) < 2 || !ws[1].known() || strings.ContainsAny(ws[1].text, "[$`") {
			c.cm.unknown("sets a variable that only the shell will know")
			c.sc.lost = true
			return source{}
		}
		c.sc.set(ws[1].text, unknownValue())
		c.cm.setVar(ws[1].text, word{text: hole, hole: true}, false)
		return source{}
	}
	if len(ws) > 0 && ws[0].text == "--" {
		ws = ws[1:]
	}
	if len(ws) == 0 || !ws[0].known() {
		return source{}
	}
	if len(ws) == 1 && !strings.Contains(ws[0].text, "%") {
		return source{known: true, text: unescape(ws[0].text, false)}
	}
	rest, ok := static(ws[1:])
	f := unescape(ws[0].text, false)
	if !ok || strings.Count(f, "%") != 1 || !strings.Contains(f, "%s") || len(ws) != 2 {
		return source{}
	}
	return source{known: true, text: strings.Replace(f, "%s", rest, 1)}
}

func cd(c *call) source {
	c.cm.harmless = "changes the directory"
	ws := c.argv[1:]
	for len(ws) > 0 && strings.HasPrefix(ws[0].text, "-") && len(ws[0].text) > 1 {
		ws = ws[1:]
	}
	switch {
	case len(ws) == 0 && c.cm.verb == "cd":
		c.sc.dir, c.sc.away = "~", false
	case len(ws) != 1 || !ws[0].known() || ws[0].text == "-" || strings.HasPrefix(ws[0].text, "+"):
		c.sc.away = true
	case strings.HasPrefix(ws[0].text, "/") || strings.HasPrefix(ws[0].text, "~"):
		c.sc.dir, c.sc.away = c.abs(ws[0]), false
	case !c.sc.away:
		c.sc.dir = c.abs(ws[0])
	}
	return source{}
}

func read(c *call) source {
	c.cm.harmless = "sets variables"
	for _, w := range c.argv[1:] {
		switch {
		case !w.known() || strings.ContainsAny(w.text, "[$`"):
			c.sc.lost = true
			if w.hole || strings.ContainsAny(w.text, "$`") {
				c.cm.unknown("sets variables that only the shell will know")
			}
		case strings.HasPrefix(w.text, "-") && strings.Contains(w.text, "C"):
			c.cm.unknown("runs a callback")
		case strings.HasPrefix(w.text, "-") && strings.Contains(w.text, "a") && !strings.HasSuffix(w.text, "a"):
			c.sc.lost = true // -aNAME
		case !strings.HasPrefix(w.text, "-"):
			c.sc.set(w.text, unknownValue())
			if variableOfCommands(w.text) && w.text != "IFS" {
				c.cm.setVar(w.text, word{text: hole, hole: true}, true)
				c.sc.taint = w.text
			}
		}
	}
	c.sc.set("REPLY", unknownValue())
	c.sc.set("MAPFILE", unknownValue())
	return source{}
}

// quietShopt are options of shopt after which this analysis still holds.
const quietShopt = " nullglob failglob globstar extglob inherit_errexit checkwinsize cmdhist histappend pipefail errexit nounset "

func set(c *call) source {
	c.cm.harmless = "sets options of the shell"
	ws := c.argv[1:]
	if c.cm.verb == "bind" || c.cm.verb == "enable" {
		if len(ws) > 0 {
			c.cm.unknown("loads or binds commands of the shell")
		}
		return source{}
	}
	if len(ws) == 0 && c.cm.verb == "set" {
		c.cm.add("prints variables, and what is secret in them", action.DataRead, action.SecretAccess)
	}
	for i, w := range ws {
		if c.cm.verb == "set" && (w.text == "--" || !strings.HasPrefix(w.text, "-") && !strings.HasPrefix(w.text, "+") && i == 0 || w.maybeOption()) {
			if w.text == "--" {
				i++
			}
			c.sc.args = append([]word{}, ws[i:]...)
			if slices.ContainsFunc(c.sc.args, func(w word) bool { return w.multi || w.glob }) {
				c.sc.args = nil
			}
			break
		}
		if c.cm.verb == "shopt" {
			if !strings.HasPrefix(w.text, "-") && !strings.Contains(quietShopt, " "+w.text+" ") {
				c.cm.unknown("changes what later words and variables mean")
				c.sc.lost = true
			}
			continue
		}
		if strings.HasPrefix(w.text, "-") && !strings.HasPrefix(w.text, "--") && strings.Contains(w.text, "k") || w.text == "keyword" {
			c.cm.unknown("makes arguments assignments")
		}
	}
	return source{}
}

func shift(c *call) source {
	c.cm.harmless = "drops arguments"
	if len(c.argv) > 1 || len(c.sc.args) == 0 {
		c.sc.args = nil
	} else {
		c.sc.args = c.sc.args[1:]
	}
	return source{}
}

func unset(c *call) source {
	c.cm.harmless = "forgets variables"
	for _, w := range c.argv[1:] {
		if !w.known() || strings.ContainsAny(w.text, "[$`") {
			c.cm.unknown("forgets what only the shell will know")
			c.sc.lost = true
		}
		c.sc.set(w.text, unknownValue())
		if w.text == "HISTFILE" {
			c.cm.add("keeps no history", action.ConfigChange)
		}
	}
	return source{}
}

func hash(c *call) source {
	c.cm.harmless = "remembers where programs are"
	for _, w := range c.argv[1:] {
		if strings.HasPrefix(w.text, "-p") || w.maybeOption() {
			c.cm.unknown("says which program a name runs")
			c.sc.taint = "hash"
		}
	}
	return source{}
}

func eval(c *call) source {
	c.cm.harmless = "runs a text"
	text := joined(c.argv[1:])
	if text.hole || slices.ContainsFunc(c.argv[1:], func(w word) bool { return w.glob }) {
		c.cm.unknown("runs a text that only the shell will know")
		c.sc.lost = true
		c.shell(word{text: strings.ReplaceAll(text.text, hole, "$ASSENT_UNKNOWN")}, nil, c.in)
		return source{}
	}
	via := c.sc.via
	c.sc.via = append(slices.Clone(via), "eval")
	out := c.a.script(text.text, c.sc)
	c.sc.via = via
	return out
}

func sourceFile(c *call) source {
	c.sc.lost = true
	c.cm.unknown("runs a file in this shell")
	for _, w := range c.argv[1:] {
		if w.source != nil && w.source.known {
			c.a.script(w.source.text, c.sc)
		}
		c.mention(w)
	}
	c.sc.taint = "source"
	return source{}
}

func trap(c *call) source {
	c.cm.harmless = "says what runs later"
	ws := c.argv[1:]
	for len(ws) > 0 && strings.HasPrefix(ws[0].text, "-") && len(ws[0].text) > 1 {
		ws = ws[1:]
	}
	if len(ws) > 1 && ws[0].text != "-" && ws[0].text != "" {
		n := c.sc.fork()
		n.lost = true // it runs whenever
		n.via = append(slices.Clone(n.via), "trap")
		if ws[0].hole {
			c.cm.unknown("runs a text later that only the shell will know")
		} else {
			c.a.script(ws[0].text, n)
		}
		if f, err := parse(ws[0].text); err == nil {
			if ch := c.sc.changesOf(f); ch.all || len(ch.names) > 0 {
				c.sc.lost = true // from now on, before any command
			}
		}
	}
	return source{}
}

func alias(c *call) source {
	c.cm.harmless = "names a command"
	for _, w := range c.argv[1:] {
		name, body, ok := strings.Cut(w.text, "=")
		if !ok {
			continue
		}
		if w.hole {
			c.cm.unknown("names a command that only the shell will know")
		}
		c.sc.aliases[name] = strings.ReplaceAll(body, hole, "$ASSENT_UNKNOWN")
		n := c.sc.fork()
		n.via = append(slices.Clone(n.via), "alias")
		delete(n.aliases, name)
		c.a.script(c.sc.aliases[name], n) // it may be used where nobody looks
	}
	return source{}
}

// execInto is exec: a command in place of this shell, or redirections for the rest of it.
func execInto(c *call) source {
	ws := c.argv[1:]
	for len(ws) > 0 && strings.HasPrefix(ws[0].text, "-") {
		if ws = ws[1:]; strings.HasSuffix(c.argv[1].text, "a") && len(ws) > 0 {
			ws = ws[1:]
		}
	}
	c.cm.harmless = "goes on as another command"
	if len(ws) == 0 {
		c.sc.stdin = source{}
		return source{}
	}
	return c.inner(ws, c.in)
}

func test(c *call) source {
	c.cm.harmless = "compares"
	for i, w := range c.argv[1:] {
		if next := i + 2; (w.text == "-v" || w.text == "-R") && next < len(c.argv) && (!c.argv[next].known() || strings.ContainsAny(c.argv[next].text, "[$`")) {
			c.cm.unknown("-v of a name that only the shell knows may run it")
		}
	}
	return source{}
}

// env runs a command with other variables, or prints them.
func env(c *call) source {
	c.cm.harmless = "runs another command"
	ws := c.argv[1:]
	for len(ws) > 0 {
		w := ws[0]
		name, value, isVar := strings.Cut(w.text, "=")
		switch {
		case w.maybeOption():
			c.cm.unknown("an option that only the shell will know")
			return c.inner(ws[1:], c.in)
		case strings.HasPrefix(w.text, "--chdir="):
			c.enter(word{text: value, hole: w.hole})
		case w.text == "-" || w.text == "-i" || w.text == "--ignore-environment" || w.text == "-0" || w.text == "--null" || w.text == "-v" || w.text == "--debug" || w.text == "--":
		case w.text == "-u" || w.text == "-C" || w.text == "--unset" || w.text == "--chdir" || w.text == "-a" || w.text == "--argv0":
			if strings.HasSuffix(w.text, "C") || strings.HasSuffix(w.text, "chdir") {
				c.enter(ws[min(1, len(ws)-1)])
			}
			ws = ws[min(1, len(ws)-1):]
		case strings.HasPrefix(w.text, "-S") || strings.HasPrefix(w.text, "--split-string") || strings.HasPrefix(w.text, "-vS") || strings.HasPrefix(w.text, "-iS"):
			return envSplit(c, ws)
		case strings.HasPrefix(w.text, "-u") || strings.HasPrefix(w.text, "--unset="):
		case strings.HasPrefix(w.text, "-"):
			c.cm.unknown("an option that isn't on a list")
		case isVar:
			c.cm.setVar(name, word{text: value, hole: w.hole}, true)
			if variableOfCommands(name) && !harmlessValue(name, word{text: value, hole: w.hole}) && (name != "PATH" || !keepsPath(word{text: value, hole: w.hole})) {
				c.sc = c.sc.fork()
				c.sc.taint = name
			}
		default:
			return c.inner(ws, c.in)
		}
		ws = ws[1:]
	}
	c.cm.add("prints variables, and what is secret in them", action.DataRead, action.SecretAccess)
	return source{}
}

// enter has what follows run in another directory.
func (c *call) enter(dir word) {
	c.sc = c.sc.fork()
	c.sc.dir, c.sc.away = c.abs(dir), !dir.known()
}

// envSplit is env -S: one text becomes words.
func envSplit(c *call, ws []word) source {
	text := ws[0].text[strings.Index(ws[0].text, "S")+1:]
	if strings.HasPrefix(ws[0].text, "--") {
		_, text, _ = strings.Cut(ws[0].text, "=")
	}
	rest := ws[1:]
	if text == "" && len(rest) > 0 {
		text, rest = rest[0].text, rest[1:]
	}
	if strings.Contains(text, hole) || strings.ContainsAny(text, "$\\") {
		c.cm.unknown("splits a text that isn't understood")
	}
	words := []word{{text: "env"}}
	for _, w := range splitEnv(strings.ReplaceAll(text, hole, "")) {
		words = append(words, word{text: w})
	}
	return c.inner(append(words, rest...), c.in)
}

// splitEnv splits as env -S does, for texts without variables and escapes; its caller says where there are some.
func splitEnv(text string) []string {
	var out []string
	var cur strings.Builder
	begun, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && i+1 < len(text):
			i++
			cur.WriteByte(text[i])
		case quote == 0 && (c == '\'' || c == '"'):
			quote, begun = c, true
		case quote == 0 && strings.IndexByte(" \t\n\v\f\r", c) >= 0:
			if begun {
				out = append(out, cur.String())
				cur.Reset()
			}
			begun = false
		case quote == 0 && !begun && c == '#':
			return out
		default:
			begun = true
			cur.WriteByte(c)
		}
	}
	if begun {
		out = append(out, cur.String())
	}
	return out
}
