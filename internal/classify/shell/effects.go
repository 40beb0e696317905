package shell

import (
	"net"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
)

// words for kinds in the tables.
func kindOf(w string) action.Kind {
	switch w {
	case "read":
		return action.DataRead
	case "write":
		return action.DataWrite
	case "delete":
		return action.DataDelete
	case "export":
		return action.DataExport
	case "schema":
		return action.SchemaChange
	case "priv":
		return action.PrivilegeChange
	case "ident":
		return action.IdentityChange
	case "secret":
		return action.SecretAccess
	case "exec":
		return action.Execute
	case "code":
		return action.CodeChange
	case "deploy":
		return action.Deploy
	case "create":
		return action.InfraCreate
	case "infra":
		return action.InfraChange
	case "destroy":
		return action.InfraDestroy
	case "network":
		return action.NetworkChange
	case "fetch":
		return action.NetFetch
	case "msg":
		return action.MessageSend
	case "pay":
		return action.Payment
	case "llm":
		return action.LLMCall
	case "tool":
		return action.ToolCall
	case "session":
		return action.SessionOpen
	case "audit":
		return action.AuditChange
	case "config":
		return action.ConfigChange
	case "?":
		return action.Unknown
	}
	return ""
}

func kindsOf(words []string) []action.Kind {
	var out []action.Kind
	for _, w := range words {
		if k := kindOf(w); k != "" {
			out = append(out, k)
		}
	}
	return out
}

// abs is the canonical path of a word, seen from the shell's directory.
func (c *call) abs(w word) string {
	p := w.text
	home := c.a.c.Home
	if home != "" && (p == home || strings.HasPrefix(p, home+"/")) {
		p = "~" + p[len(home):]
	}
	if !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "~") && !strings.HasPrefix(p, hole) {
		if dir := or(c.sc.dir, c.a.c.Dir); dir != "" {
			p = strings.TrimSuffix(dir, "/") + "/" + p
		}
	}
	return canonical(p)
}

// own reports whether a path lies in the working copy.
func (c *call) own(w word) bool {
	if w.hole && (w.multi || strings.HasPrefix(w.text, hole)) || c.sc.away && !strings.HasPrefix(w.text, "/") {
		return false
	}
	p := c.abs(w)
	if dir := c.a.c.Dir; dir != "" {
		d := canonical(dir)
		return d != "/" && (p == d || strings.HasPrefix(p, d+"/"))
	}
	return !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "~") && p != ".." && !strings.HasPrefix(p, "../")
}

// ownDir reports whether the command runs in the working copy.
func (c *call) ownDir() bool { return c.own(word{text: "."}) }

// read notes that a file's content is read.
func (c *call) read(w word) {
	if w.source != nil || w.text == "-" || w.text == "/dev/stdin" {
		c.cm.add("reads what others give it", action.DataRead)
		return
	}
	c.cm.add("reads files", action.DataRead)
	if w.hole && (w.multi || strings.Contains(path.Base(w.text), hole)) {
		c.cm.add("which file it reads only the shell will know", action.Unknown)
	}
	p := c.abs(w)
	if kinds := readKinds(p, w.glob || w.hole); len(kinds) > 1 {
		c.cm.add("reads a file that holds secrets", kinds...)
	}
	if w.glob && holdsSecrets(p) {
		c.cm.add("reads a directory below which secrets lie", action.SecretAccess)
	}
	c.a.reads = append(c.a.reads, w.show())
	c.target(w)
}

// readTree notes that all below a directory is read.
func (c *call) readTree(w word) {
	c.read(w)
	if p := c.abs(w); holdsSecrets(p) {
		c.cm.add("reads a directory below which secrets lie", action.SecretAccess)
	}
}

// write notes that a file is written or replaced.
func (c *call) write(w word) {
	if w.source != nil || w.text == "-" && !w.hole {
		return
	}
	p := c.abs(w)
	if kinds := writeKinds(p, w.glob || w.hole); len(kinds) > 0 {
		c.cm.add("writes a file", action.DataWrite)
		for _, k := range kinds {
			c.cm.add(writeWhy(k), k)
		}
		c.a.writes = append(c.a.writes, w.show())
	} else {
		c.cm.harmless = or(c.cm.harmless, "nothing is kept of it")
	}
	if w.hole && (w.multi || strings.HasPrefix(w.text, hole)) {
		c.cm.add("which file it writes only the shell will know", action.Unknown)
	}
	c.target(w)
}

func writeWhy(k action.Kind) string {
	switch k {
	case action.PrivilegeChange:
		return "writes a file that says who may do what"
	case action.AuditChange:
		return "writes a log that others rely on"
	case action.ConfigChange:
		return "writes settings"
	case action.Execute:
		return "writes a file that is run later"
	case action.CodeChange:
		return "writes a file that says how code is built or reviewed"
	case action.NetworkChange:
		return "writes settings of the network"
	case action.DataDelete, action.InfraChange:
		return "writes a device"
	}
	return "writes a file"
}

// remove notes that a file or directory is deleted.
func (c *call) remove(w word) {
	c.cm.add("deletes files", action.DataDelete)
	for _, k := range writeKinds(c.abs(w), w.glob || w.hole) {
		if k != action.DataWrite {
			c.cm.add("deletes a file that others rely on", k)
		}
	}
	c.a.writes = append(c.a.writes, w.show())
	c.target(w)
}

func (c *call) target(w word) {
	if c.cm.target == "" {
		c.cm.target = w.show()
	}
}

func (c *call) host(h string) {
	if h = strings.Trim(h, "[]"); h != "" {
		c.a.hosts = append(c.a.hosts, strings.ReplaceAll(h, hole, "…"))
		if c.cm.target == "" {
			c.cm.target = strings.ReplaceAll(h, hole, "…")
		}
	}
}

// URLKinds says what fetching a URL means: a read of this machine, or of the
// network; of credentials where a cloud's metadata service answers.
func URLKinds(raw string) []action.Kind {
	kinds, _, _ := urlKinds(raw)
	return kinds
}

func urlKinds(raw string) (kinds []action.Kind, host, file string) {
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return []action.Kind{action.NetFetch, action.Unknown}, "", ""
	}
	host = strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	switch {
	case strings.EqualFold(u.Scheme, "file"):
		return ReadKinds(u.Path), "", u.Path
	case host == "" || strings.Contains(host, hole):
		return []action.Kind{action.NetFetch, action.Unknown}, host, ""
	case host == "169.254.169.254" || host == "metadata.google.internal" || host == "metadata" || host == "fd00:ec2::254" || host == "169.254.170.2" || host == "100.100.100.200":
		return []action.Kind{action.NetFetch, action.SecretAccess}, host, ""
	case loopback(host):
		return []action.Kind{action.DataRead}, host, ""
	}
	return []action.Kind{action.NetFetch}, host, ""
}

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// secretName reports names of variables that hold credentials.
func secretName(name string) bool {
	up := strings.ToUpper(name)
	for _, part := range []string{"PASSWORD", "PASSWD", "SECRET", "TOKEN", "APIKEY", "API_KEY", "ACCESS_KEY", "PRIVATE_KEY", "CREDENTIAL"} {
		if strings.Contains(up, part) && up == name {
			return true
		}
	}
	return up == name && (strings.HasSuffix(up, "_PAT") || strings.HasSuffix(up, "_PWD") && up != "OLDPWD" || strings.HasSuffix(up, "_PASS") || up == "PGPASSFILE")
}

func (cm *command) secretVar() {
	cm.verb = "variable"
	cm.add("uses a variable whose name says that it holds a secret", action.SecretAccess)
}

// codeVariables say which code programs run; names ending or beginning so do too.
var (
	codeVariables = []string{
		"PATH", "ENV", "BASH_ENV", "PROMPT_COMMAND", "PS0", "PS1", "PS2", "PS4", "SHELL", "SHELLOPTS", "BASHOPTS", "EDITOR", "VISUAL", "PAGER", "BROWSER", "IFS",
		"LESSOPEN", "LESSCLOSE", "LESS", "CC", "CXX", "LD", "AR", "CPP", "AS", "HOME", "GOROOT", "GOPATH", "GOENV", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOTOOLCHAIN", "RUSTC", "CARGO", "MAKEFILES", "KUBECONFIG",
		"CLASSPATH", "TMPDIR", "CDPATH", "FPATH", "DISPLAY", "TERMINFO", "LOCPATH", "TZDIR", "HOSTALIASES", "PGSERVICEFILE", "PGSYSCONFDIR", "PSQLRC", "MAKE", "FC", "GIT_DIR", "GIT_WORK_TREE", "GLOBIGNORE",
	}
	codePrefixes = []string{"LD_", "DYLD_", "GIT_", "BASH_FUNC", "PERL5", "PYTHON", "RUBY", "NODE_", "NPM_", "npm_", "GCONV", "MALLOC_", "RUSTC_", "CARGO_", "DOCKER_", "SSH_", "SUDO_", "ASSENT_", "CLAUDE_", "GLIBC_", "XDG_", "JAVA_", "MAVEN_", "GRADLE_", "JDK_", "MAN", "VIM", "EX"}
	codeSuffixes = []string{"_OPTIONS", "OPTS", "_OPT", "_COMMAND", "_CMD", "PAGER", "EDITOR", "PATH", "FLAGS", "_WRAPPER", "_HOME", "_CONFIG", "CONFIG_FILE", "_PRELOAD", "_SHELL", "_EXEC", "RC", "_HOOK", "_HOOKS", "_PROMPT", "_PROGRAM", "_PLUGINS", "_PROXY", "_proxy", "_ENV_FILE", "_RSH", "_ASKPASS", "_LIB", "_LIBRARY", "_RUNNER", "_LINKER", "_ENDPOINT_URL", "ENDPOINT_URL"}
	// quietVariables change how something is shown or built, not which code runs.
	quietVariables = []string{
		"LANG", "LANGUAGE", "TZ", "NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS", "LINES", "CI", "DEBUG", "VERBOSE", "NODE_ENV", "RAILS_ENV", "RACK_ENV", "APP_ENV", "GOOS", "GOARCH", "CGO_ENABLED",
		"GOMAXPROCS", "GOGC", "GODEBUG", "RUST_BACKTRACE", "RUST_LOG", "LOG_LEVEL", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "PYTHONIOENCODING", "PYTHONUTF8", "SOURCE_DATE_EPOCH", "DEBIAN_FRONTEND", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "GOFIPS140", "GIT_TERMINAL_PROMPT", "GIT_OPTIONAL_LOCKS",
	}
)

func variableOfCommands(name string) bool {
	if strings.HasPrefix(name, "LC_") || slices.Contains(quietVariables, name) {
		return false
	}
	if slices.Contains(codeVariables, name) {
		return name != "IFS"
	}
	for _, p := range codePrefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	for _, s := range codeSuffixes {
		if strings.HasSuffix(name, s) && name != strings.ToLower(name) {
			return true
		}
	}
	return false
}

// setVar notes what setting a variable means for the commands that see it.
func (cm *command) setVar(name string, v word, exported bool) {
	switch {
	case name == "PATH" && keepsPath(v), harmlessValue(name, v):
	case name == "IFS" && exported:
	case variableOfCommands(name):
		cm.add("sets a variable that says which code runs", action.Execute, action.Unknown)
	}
	if !exported || strings.HasPrefix(name, "LC_") || slices.Contains(quietVariables, name) {
		return
	}
	cm.plain = true // what an unlisted variable does to a build nobody knows
}

// harmlessValue reports values of such a variable that name no code.
func harmlessValue(name string, v word) bool {
	switch {
	case !v.known() || name == "PATH" || name == "HOME" || name == "BASH_ENV" || name == "ENV":
		return false
	case v.text == "":
		return true
	case strings.HasSuffix(name, "PAGER") || strings.HasSuffix(name, "EDITOR"):
		return v.text == "cat" || v.text == "true" || v.text == "less" || v.text == ":"
	}
	for _, s := range []string{"PATH", "ENV", "COMMAND", "OPTIONS", "OPTS", "STARTUP", "HOME", "DIR", "PRELOAD", "SSH", "FLAGS", "CONFIG", "_LIB"} {
		if strings.HasSuffix(name, s) {
			return false
		}
	}
	return v.text == "0" || v.text == "1"
}

// keepsPath reports a PATH that only has directories of programs, in any order.
func keepsPath(v word) bool {
	if !v.known() || v.text == "" {
		return false
	}
	for _, d := range strings.Split(v.text, ":") {
		if !strings.Contains(systemDirs, " "+path.Clean(d)+" ") {
			return false
		}
	}
	return true
}
