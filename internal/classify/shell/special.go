package shell

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
)

// pass is cat: what flows in flows on.
func pass(c *call, ws []word) source {
	if len(ws) == 0 && len(c.opts) == 0 {
		c.cm.add("reads what it is given", action.DataRead)
		return c.in
	}
	return c.role("R", ws)
}

var jqEnv = regexp.MustCompile(`(^|[^.\w"])(str)?env\b|\$ENV|\$__prog_args`)

// jq is a filter: its program may look at variables, and load files.
func jq(c *call, ws []word) source {
	for i, w := range ws {
		c.mention(w)
		if i > 0 {
			c.read(w)
			continue
		}
		low := strings.ToLower(w.text)
		switch {
		case w.hole:
			c.cm.add("a filter that only the shell will know", action.Unknown)
		case jqEnv.MatchString(w.text):
			c.cm.add("a filter that may show variables, and what is secret in them", action.SecretAccess)
		case strings.Contains(low, "load") || strings.Contains(low, "import ") || strings.Contains(low, "include ") || strings.Contains(low, "system") || secretText(w.text):
			c.cm.unknown("a filter that loads files")
		}
	}
	c.cm.add("reads what it is given", action.DataRead)
	return source{}
}

// owned is an option whose value must lie in the working copy.
func owned(c *call, ws []word) source {
	for _, w := range ws {
		if p := c.abs(w); !c.own(w) && (c.cm.verb != "git" || inTemp(p) || w.hole) {
			c.cm.unknown("works outside of the working copy")
		} else if !c.own(w) {
			c.cm.plain = true
		}
	}
	return source{}
}

// tee writes what flows through.
func tee(c *call, ws []word) source {
	c.cm.add("reads what it is given", action.DataRead)
	for _, w := range ws {
		c.write(w)
	}
	return c.in
}

// grep reads; with -r all below.
func grep(c *call, ws []word) source {
	recursive := c.has("r", "R", "recursive", "dereference-recursive") || slices.Contains([]string{"rg", "ag", "ack"}, c.cm.verb)
	files := ws
	if !c.has("e", "f", "regexp", "file", "files") && len(ws) > 0 {
		files = ws[1:]
	}
	for _, w := range files {
		if recursive {
			c.readTree(w)
		} else {
			c.read(w)
		}
	}
	if len(files) == 0 && recursive {
		c.readTree(word{text: "."})
	}
	c.cm.add("reads what it is given", action.DataRead)
	if len(files) == 0 && !recursive {
		return source{names: c.in.names}
	}
	if c.has("l", "L", "files-with-matches", "files-without-match", "files") {
		return source{names: slices.Clone(files)}
	}
	return source{}
}

func fd(c *call, ws []word) source {
	c.cm.add("lists files", action.DataRead)
	roots := []word{{text: "."}}
	if len(ws) > 1 {
		roots = ws[1:]
	}
	return source{names: found(roots, nil)}
}

func zip(c *call, ws []word) source {
	if len(ws) > 0 {
		c.write(ws[0])
		for _, w := range ws[1:] {
			c.readTree(w)
		}
	}
	c.cm.add("writes an archive", action.DataWrite)
	return source{}
}

func dd(c *call, ws []word) source {
	c.cm.add("copies blocks", action.DataRead)
	for _, w := range ws {
		name, value, _ := strings.Cut(w.text, "=")
		v := word{text: value, hole: w.hole}
		switch name {
		case "if":
			c.read(v)
		case "of":
			if c.write(v); !keepsNothing(value) {
				c.cm.add("writes over what a file holds", action.DataDelete)
			}
		case "bs", "ibs", "obs", "count", "skip", "seek", "conv", "status", "iflag", "oflag", "cbs":
		default:
			c.cm.unknown("an operand that isn't on a list")
		}
	}
	return source{}
}

func printenv(c *call, ws []word) source {
	c.cm.add("prints variables", action.DataRead)
	if len(ws) == 0 {
		c.cm.add("prints variables, and what is secret in them", action.SecretAccess)
	}
	for _, w := range ws {
		if !w.known() || secretName(w.text) {
			c.cm.add("prints a variable whose name says that it holds a secret", action.SecretAccess)
		}
	}
	return source{}
}

// output is -o of a compiler: in the working copy it is ordinary.
func output(c *call, ws []word) source {
	for _, w := range ws {
		if keepsNothing(w.text) {
			continue
		}
		if !c.own(w) || len(writeKinds(c.abs(w), w.glob)) > 1 {
			c.write(w)
		}
	}
	return source{}
}

func goEnv(c *call, _ []word) source {
	if c.has("w", "u") {
		c.cm.add("changes settings of the toolchain", action.ConfigChange, action.Execute)
	}
	c.cm.add("shows settings of the toolchain", action.DataRead)
	return source{}
}

// goTool is go tool NAME: a tool that the module names is judged as a program of that name.
func goTool(c *call, _ []word) source {
	c.cm.harmless = "runs another command"
	for i, w := range c.argv {
		if w.text == "tool" {
			return c.inner(c.argv[i+1:], c.in)
		}
	}
	c.cm.unknown("runs what isn't named")
	return source{}
}

// coverageModule is coverage run -m: only test runners are ordinary.
func coverageModule(c *call, ws []word) source {
	if len(ws) != 1 || ws[0].text != "pytest" && ws[0].text != "unittest" {
		c.cm.unknown("runs a module of the interpreter's")
	}
	return source{}
}

func goRun(c *call, ws []word) source {
	if len(ws) > 0 && (ws[0].hole || strings.Contains(ws[0].text, "@")) {
		c.cm.add("fetches and runs code of others", action.NetFetch, action.Unknown)
	}
	c.cm.add("runs a program of the working copy", action.Execute)
	return source{}
}

// format is a formatter that writes files in place.
func format(c *call, ws []word) source {
	if len(ws) == 0 {
		ws = []word{{text: "."}}
	}
	for _, w := range ws {
		if w.text != "-" && (!c.own(w) || len(writeKinds(c.abs(w), w.glob)) > 1) {
			c.write(w)
		}
	}
	c.cm.ordinary()
	return source{}
}

// formatOption is the option that makes a checker write: its files must be the working copy's.
func formatOption(c *call, _ []word) source {
	for _, w := range c.argv[1:] {
		if !strings.HasPrefix(w.text, "-") && (!c.own(w) || len(writeKinds(c.abs(w), w.glob)) > 1) {
			c.write(w)
		}
	}
	return source{}
}

// npx runs a package's program: one on the list is judged as such if it is installed.
func npx(c *call, ws []word) source {
	if len(ws) == 0 {
		c.cm.unknown("runs what flows in")
		return source{}
	}
	installed := c.has("no-install", "no")
	if t := toolbox()[ws[0].text]; t == nil || !ws[0].known() || strings.Contains(ws[0].text, "@") {
		c.cm.add("fetches and runs code of others", action.NetFetch, action.Execute, action.Unknown)
	} else if !installed {
		c.cm.harmless = "runs another command"
	}
	c.cm.harmless = "runs another command"
	if strings.ContainsAny(ws[0].text, "@/") {
		return source{}
	}
	return c.inner(packageCommand(ws), c.in)
}

func packageCommand(ws []word) []word { return ws }

func uvRun(c *call, ws []word) source {
	c.cm.harmless = "runs another command"
	for _, w := range c.argv[1:] {
		if strings.HasPrefix(w.text, "--with") || w.text == "-w" {
			c.cm.add("fetches code of others", action.NetFetch, action.Execute)
		}
	}
	// Options before the command are uv's; those after it belong to the command.
	for i, w := range c.argv {
		if i > 1 && len(ws) > 0 && w.text == ws[0].text {
			return c.inner(c.argv[i:], c.in)
		}
	}
	c.cm.unknown("runs what isn't named")
	return source{}
}

// gitConfigOption is git -c name=value: settings can hold commands.
func gitConfigOption(c *call, ws []word) source {
	for _, w := range ws {
		name, value, _ := strings.Cut(w.text, "=")
		if w.hole || !quietSetting(name, value) {
			c.cm.unknown("a setting of git that may run a command")
		}
		if body, ok := strings.CutPrefix(value, "!"); ok {
			c.shell(word{text: body, hole: w.hole}, nil, source{})
		}
	}
	return source{}
}

// quietSetting reports settings of git that run nothing.
func quietSetting(name, value string) bool {
	low := strings.ToLower(name)
	if low == "core.pager" || low == "pager.log" || low == "pager.diff" {
		return value == "cat" || value == "" || value == "less"
	}
	for _, p := range []string{
		"user.", "color.", "advice.", "log.", "status.", "column.", "init.defaultbranch", "commit.gpgsign", "tag.gpgsign", "core.quotepath", "core.autocrlf", "core.safecrlf", "core.abbrev", "core.filemode", "diff.renames", "diff.algorithm", "diff.context",
		"diff.mnemonicprefix", "diff.noprefix", "merge.conflictstyle", "pull.rebase", "pull.ff", "push.default", "push.autosetupremote", "rebase.autosquash", "rebase.autostash", "fetch.prune", "grep.", "blame.", "branch.sort", "tag.sort", "gc.auto", "protocol.version", "rerere.enabled", "core.ignorecase", "core.longpaths",
	} {
		if strings.HasPrefix(low, p) {
			return !strings.HasPrefix(value, "!")
		}
	}
	return false
}

// gitRead is a command of git that shows: content of secrets and options that run programs apart.
func gitRead(c *call, ws []word) source {
	c.cm.add("reads the repository", action.DataRead)
	for _, w := range ws {
		if _, file, ok := strings.Cut(w.text, ":"); ok && slices.Contains(ReadKinds(file), action.SecretAccess) {
			c.cm.add("reads a file that holds secrets", action.SecretAccess)
		}
		if c.has("no-index") {
			c.read(w)
		} else if !strings.HasSuffix(c.cm.verb, "ls-files") && !strings.HasSuffix(c.cm.verb, "status") && !strings.HasSuffix(c.cm.verb, "check-ignore") {
			c.mention(w)
		}
	}
	if inTemp(c.abs(word{text: "."})) {
		c.cm.unknown("a repository whose settings may run a command")
	}
	if strings.HasSuffix(c.cm.verb, "grep") {
		if c.has("O") {
			c.cm.unknown("opens what it finds with a program")
		}
	}
	if strings.HasSuffix(c.cm.verb, "ls-files") {
		return source{names: []word{{text: "./*", glob: true}}}
	}
	return source{}
}

func gitConfRead(c *call, _ []word) source {
	c.cm.add("reads settings of git", action.DataRead)
	for _, w := range c.argv[1:] {
		if low := strings.ToLower(w.text); strings.HasPrefix(low, "credential") || strings.Contains(low, "extraheader") || strings.Contains(low, "token") {
			c.cm.add("reads a stored credential", action.SecretAccess)
		}
		if file := w.text[strings.LastIndex(w.text, "=")+1:]; slices.Contains(readKinds(c.abs(word{text: file}), w.glob || w.hole), action.SecretAccess) {
			c.cm.add("reads a file that holds secrets", action.SecretAccess)
		}
	}
	return source{}
}

// gitConf is git config NAME [VALUE].
func gitConf(c *call, ws []word) source {
	for len(ws) > 0 && (ws[0].text == "set" || ws[0].text == "add") {
		ws = append([]word(nil), ws[1:]...)
		if len(ws) == 1 {
			ws = append(ws, word{})
		}
	}
	if len(ws) == 1 && ws[0].known() && len(c.opts) == len(slices.DeleteFunc(slices.Clone(c.opts), func(g given) bool {
		return strings.HasPrefix(g.name, "unset") || strings.HasPrefix(g.name, "re") || strings.HasPrefix(g.name, "add") || g.name == "e" || g.name == "edit"
	})) && !slices.Contains([]string{"unset", "edit", "rename-section", "remove-section"}, ws[0].text) {
		return gitConfRead(c, ws)
	}
	c.cm.reversible = true
	c.cm.add("changes settings of git", action.ConfigChange)
	if len(ws) < 2 || ws[0].hole || ws[1].hole || !quietSetting(ws[0].text, ws[1].text) {
		c.cm.add("a setting of git that may run a command", action.Execute)
	}
	return source{}
}

func gitForeach(c *call, ws []word) source {
	c.cm.harmless = "runs a text for each submodule"
	return c.shell(joined(ws), nil, source{})
}

func gitPush(c *call, ws []word) source {
	c.cm.add("changes what others work with", action.CodeChange)
	if len(ws) > 0 && (strings.Contains(ws[0].text, "://") || strings.Contains(ws[0].text, ":") || ws[0].hole) {
		c.hostOf(ws[0].text)
		c.cm.add("sends code to a place that the command names", action.DataExport)
	}
	return source{}
}

func gitPushForce(c *call, ws []word) source {
	gitPush(c, ws)
	c.cm.add("may drop what others have pushed", action.DataDelete)
	return source{}
}

// ghAPI is gh api PATH: a GET unless it says otherwise or carries fields.
func ghAPI(c *call, ws []word) source {
	method := "GET"
	for i, w := range c.argv[1:] {
		switch {
		case (w.text == "-X" || w.text == "--method") && i+2 < len(c.argv):
			method = strings.ToUpper(c.argv[i+2].text)
		case strings.HasPrefix(w.text, "-X") || strings.HasPrefix(w.text, "--method="):
			method = strings.ToUpper(strings.TrimPrefix(strings.TrimPrefix(w.text, "--method="), "-X"))
		case method == "GET" && (w.text == "-f" || w.text == "-F" || w.text == "--field" || w.text == "--raw-field" || w.text == "--input" || strings.HasPrefix(w.text, "--input=") || strings.HasPrefix(w.text, "--field=") || strings.HasPrefix(w.text, "--raw-field=")):
			method = "POST"
		case w.maybeOption():
			c.cm.unknown("an option that only the shell will know")
		}
	}
	if c.cm.add("asks the code host", action.NetFetch); method != "GET" && method != "HEAD" {
		c.cm.add("changes what is at the code host", action.CodeChange, action.ConfigChange)
		if method == "DELETE" {
			c.cm.add("deletes at the code host", action.DataDelete)
		}
	}
	_ = ws
	return source{from: "net"}
}

func tfRead(c *call, _ []word) source {
	c.cm.add("reads the configuration", action.DataRead)
	if strings.HasSuffix(c.cm.verb, " output") && c.has("json", "raw") || strings.HasSuffix(c.cm.verb, " show") && c.has("json") {
		c.cm.add("prints values that are hidden elsewhere", action.SecretAccess)
	}
	return source{}
}

func tfState(c *call, _ []word) source {
	if c.cm.add("reads the state", action.DataRead); strings.HasSuffix(c.cm.verb, "pull") {
		c.cm.add("prints the state with its secrets", action.SecretAccess)
	}
	return source{}
}

// tar packs and unpacks; some of its options run programs.
func tar(c *call, _ []word) source {
	words := slices.Clone(c.argv[1:])
	if len(words) > 0 && !strings.HasPrefix(words[0].text, "-") && words[0].known() {
		words[0].text = "-" + words[0].text // the old style: letters first, then their values in order
		if i := strings.IndexByte(words[0].text, 'f'); i >= 0 {
			words[0].text = strings.Replace(words[0].text, "f", "", 1) + "f"
		}
	}
	t := &tool{value: valueSet("f C T X b g I K N V H F file directory files-from exclude-from exclude use-compress-program to-command checkpoint-action transform strip-components owner group mode mtime info-script new-volume-script rsh-command format suffix index-file listed-incremental rmt-command add-file blocking-factor record-size tape-length label warning pax-option totals newer after-date newer-mtime starting-file one-top-level volno-file xform")}
	opts, operands := t.args(words)
	c.opts = opts
	mode, file := "", word{text: "-"}
	for _, o := range opts {
		n := o.name
		is := func(full string) bool { return len(n) > 3 && strings.HasPrefix(full, n) }
		switch {
		case n == "t" || n == "c" || n == "x" || n == "r" || n == "u" || n == "A" || n == "d":
			mode = n
		case n == "list" || n == "create" || n == "extract" || n == "get" || n == "append" || n == "update" || n == "delete" || n == "diff" || n == "compare" || n == "concatenate" || n == "catenate":
			if mode = n[:1]; n == "get" || n == "extract" {
				mode = "x"
			}
		case n == "f" || n == "file":
			file = o.value
		case n == "I" || n == "F" || is("use-compress-program") || is("to-command") || is("checkpoint-action") || is("info-script") || is("new-volume-script") || is("rsh-command") || is("rmt-command"):
			if slices.Contains([]string{"gzip", "pigz", "zstd", "xz", "bzip2", "lz4", "pixz"}, o.value.text) {
				break
			}
			c.cm.unknown("an option of tar that runs a program")
			text := o.value
			text.text = strings.TrimPrefix(text.text, "exec=")
			c.shell(text, nil, source{})
		case n == "T" || is("files-from"):
			c.read(o.value)
			c.cm.unknown("files and options that another file names")
		case is("remove-files"):
			c.cm.add("deletes what it packed", action.DataDelete)
		case n == "P" || is("absolute-names"):
			c.cm.add("writes where the archive says", action.DataWrite)
		case n == "index-file" || n == "g" || is("listed-incremental"):
			c.write(o.value)
		}
	}
	for _, w := range words {
		if w.maybeOption() {
			c.cm.unknown("an option that only the shell will know")
			break
		}
	}
	if h, remote := remotePath(file); remote && !c.has("force-local") {
		c.host(h)
		c.cm.unknown("an archive on another machine, reached by a program")
	}
	toStdout := c.has("O", "to-stdout")
	switch mode {
	case "t", "d":
		c.read(file)
	case "x":
		if c.read(file); !toStdout {
			c.cm.add("unpacks files", action.DataWrite)
			if dir, ok := c.option("C", "directory"); ok {
				c.write(dir)
			}
		}
	case "c", "r", "u", "A":
		for _, w := range operands {
			c.readTree(w)
		}
		if file.text == "-" {
			c.cm.add("packs files", action.DataRead)
		} else {
			c.write(file)
		}
	default:
		c.cm.unknown("what it is asked to do isn't on a list")
	}
	return source{from: "file"}
}

// kubeFile is -f of kubectl.
func kubeFile(c *call, ws []word) source {
	for _, w := range ws {
		switch {
		case strings.Contains(w.text, "://"):
			c.cm.add("fetches from the network", action.NetFetch)
			c.hostOf(w.text)
		case !slices.Contains([]string{"logs", "exec"}, c.kubeVerb()):
			c.read(w)
		}
	}
	return source{}
}

func (c *call) kubeVerb() string {
	_, operands := toolbox()["kubectl"].args(c.argv[1:])
	if len(operands) == 0 {
		return ""
	}
	return operands[0].text
}

func kubeGet(c *call, ws []word) source {
	c.cm.add("reads the cluster", action.DataRead)
	if c.has("raw") {
		c.cm.add("asks the cluster for any path", action.SecretAccess)
	}
	for _, w := range ws {
		if low := strings.ToLower(w.text); (strings.Contains(low, "secret") || w.hole && strings.HasPrefix(w.text, hole) || low == "all,secret" || strings.HasPrefix(low, "token")) && !strings.HasSuffix(c.cm.verb, "describe") {
			c.cm.add("reads secrets of the cluster", action.SecretAccess)
		}
	}
	return source{}
}

var kubePrivileged = []string{"role", "clusterrole", "rolebinding", "clusterrolebinding", "serviceaccount", "sa"}

func kubeKind(ws []word) (what string) {
	for _, w := range ws {
		t, _, _ := strings.Cut(strings.ToLower(w.text), "/")
		if slices.Contains(kubePrivileged, strings.TrimSuffix(t, "s")) {
			return "priv"
		}
		if strings.HasPrefix(t, "networkpol") || t == "netpol" || strings.HasPrefix(t, "ingress") || t == "ing" || strings.HasPrefix(t, "service") || t == "svc" {
			what = "network"
		}
		if strings.HasPrefix(t, "secret") {
			what = "secret"
		}
	}
	return what
}

func kubeApply(c *call, ws []word) source {
	c.cm.add("changes the cluster", action.InfraChange, action.Deploy)
	if k := kubeKind(ws); k != "" {
		c.cm.add("", kindsOf([]string{k})...)
	}
	if c.has("prune") {
		c.cm.add("deletes what is not listed", action.InfraDestroy)
	}
	if strings.HasSuffix(c.cm.verb, " run") {
		c.cm.add("runs a program in the cluster", action.Execute)
	}
	return source{}
}

func kubeChange(c *call, ws []word) source {
	c.cm.add("changes the cluster", action.InfraChange)
	c.cm.reversible = true
	if k := kubeKind(ws); k != "" {
		c.cm.add("", kindsOf([]string{k})...)
	}
	return source{}
}

func kubeDelete(c *call, ws []word) source {
	c.cm.add("deletes from the cluster", action.InfraDestroy)
	for _, w := range ws {
		t, _, _ := strings.Cut(strings.ToLower(w.text), "/")
		if slices.Contains([]string{"pvc", "persistentvolumeclaim", "persistentvolumeclaims", "pv", "persistentvolume", "persistentvolumes", "ns", "namespace", "namespaces"}, t) {
			c.cm.add("deletes data with it", action.DataDelete)
		}
	}
	return source{}
}

// kubeExec runs a command in a pod.
func kubeExec(c *call, ws []word) source {
	c.cm.add("runs a command in a pod", action.Execute)
	c.elsewhere(c.afterDashes(ws))
	return source{}
}

// afterDashes are the words of the command behind "--", or behind the first operand.
func (c *call) afterDashes(ws []word) []word {
	for i, w := range c.argv {
		if w.text == "--" {
			return c.argv[i+1:]
		}
	}
	return ws[min(1, len(ws)):]
}

// elsewhere runs words on another machine or in a container.
func (c *call) elsewhere(ws []word) {
	if len(ws) == 0 {
		c.cm.add("opens a session there", action.SessionOpen)
		return
	}
	sc := c.sc.fork()
	sc.dir, sc.away = "/", true
	sc.via = append(slices.Clone(c.sc.via), c.cm.verb)
	sc.funcs, sc.aliases = map[string]*function{}, map[string]string{}
	c.a.exec(sc, ws, c.in, nil)
	if base := path.Base(ws[0].text); len(ws) == 1 && slices.Contains([]string{"sh", "bash", "ash", "zsh", "dash"}, base) {
		c.cm.add("opens a session there", action.SessionOpen)
	}
}

const dockerRunOptions = "a c e h l m p u v w add-host annotation attach blkio-weight cap-add cap-drop cgroup-parent cgroupns cidfile cpu-period cpu-quota cpu-shares cpus cpuset-cpus device device-cgroup-rule dns dns-option dns-search domainname entrypoint env env-file expose gpus group-add health-cmd health-interval hostname ip ipc isolation label label-file link log-driver log-opt mac-address memory memory-swap mount name net network network-alias oom-score-adj pid pids-limit platform pod publish pull restart runtime secret security-opt shm-size stop-signal stop-timeout storage-opt sysctl tmpfs ulimit user userns uts volume volume-driver volumes-from workdir detach-keys"

// dockerRun starts a container: mounts and rights reach out of it.
func dockerRun(c *call, _ []word) source {
	c.cm.add("starts a container", action.Execute)
	t := &tool{first: true, value: valueSet(dockerRunOptions)}
	words := c.argv[1:]
	for len(words) > 0 && words[0].text != "run" && words[0].text != "create" {
		words = words[1:]
	}
	opts, operands := t.args(words[min(1, len(words)):])
	c.opts = opts
	for _, o := range opts {
		v := o.value
		switch o.name {
		case "v", "volume", "mount", "device":
			from, _, _ := strings.Cut(v.text, ":")
			if o.name == "mount" {
				for _, f := range strings.Split(v.text, ",") {
					if key, val, _ := strings.Cut(f, "="); key == "source" || key == "src" {
						from = val
					}
				}
			}
			w := word{text: from, hole: strings.Contains(from, hole)}
			p := c.abs(w)
			if strings.HasPrefix(from, "/") || strings.HasPrefix(from, "~") || strings.HasPrefix(from, ".") || w.hole {
				if c.readTree(w); !strings.HasSuffix(v.text, ":ro") && !strings.Contains(v.text, ",ro") && !strings.Contains(v.text, "readonly") && !c.own(w) {
					c.write(w)
				}
			}
			if strings.HasSuffix(p, ".sock") || p == "/" || strings.HasPrefix(p, "/etc") || strings.HasPrefix(p, "/var/run") || strings.HasPrefix(p, "/proc") || o.name == "device" || w.hole {
				c.cm.add("reaches out of its container", action.PrivilegeChange, action.Unknown)
			}
		case "privileged", "cap-add", "security-opt", "pid", "ipc", "userns", "uts", "cgroupns", "group-add", "device-cgroup-rule", "sysctl":
			c.cm.add("has more rights than a container", action.PrivilegeChange)
		case "net", "network", "p", "publish", "P", "publish-all":
			c.cm.add("opens ports, or uses the machine's network", action.NetworkChange)
		case "env-file":
			c.read(v)
		}
	}
	c.cm.add("may fetch an image", action.NetFetch)
	if len(operands) > 1 {
		words := operands[1:]
		if e, ok := c.option("entrypoint"); ok {
			words = append([]word{e}, words...)
		}
		c.elsewhere(words)
	} else if len(operands) == 1 {
		c.cm.add("runs what its image says", action.Unknown)
	}
	return source{}
}

func dockerExec(c *call, _ []word) source {
	c.cm.add("runs a command in a container", action.Execute)
	t := &tool{first: true, value: valueSet("e u w env env-file user workdir detach-keys index")}
	words := c.argv[1:]
	for len(words) > 0 && words[0].text != "exec" {
		words = words[1:]
	}
	opts, operands := t.args(words[min(1, len(words)):])
	if c.opts = opts; c.has("privileged") {
		c.cm.add("has more rights than a container", action.PrivilegeChange)
	}
	c.elsewhere(operands[min(1, len(operands)):])
	return source{}
}

// compose is docker compose and docker-compose.
func compose(c *call, ws []word) source {
	t := &tool{first: true, value: valueSet("f p file project-name profile env-file project-directory ansi progress parallel")}
	if c.cm.verb == "docker-compose" || c.cm.verb == "podman-compose" {
		_, ws = t.args(c.argv[1:])
	} else {
		for i, w := range c.argv {
			if w.text == "compose" || w.text == "stack" {
				_, ws = t.args(c.argv[i+1:])
				break
			}
		}
	}
	if len(ws) == 0 || !ws[0].known() {
		c.cm.unknown("what it is asked to do isn't on a list")
		return source{}
	}
	c.cm.verb += " " + ws[0].text
	switch ws[0].text {
	case "config":
		c.cm.add("shows how containers would start, with their variables", action.DataRead)
		opts, _ := (&tool{value: valueSet("o output env-file")}).args(c.argv[1:])
		for _, o := range opts {
			switch o.name {
			case "o", "output":
				c.write(o.value)
			case "env-file":
				c.read(o.value)
			}
		}
	case "ps", "logs", "ls", "images", "top", "events", "port", "version", "services", "stats", "volumes":
		c.cm.add("shows containers", action.DataRead)
	case "exec", "run":
		c.cm.add("runs a command in a container", action.Execute)
		_, ops := (&tool{first: true, value: valueSet("e u w v p env user workdir entrypoint name volume publish label index")}).args(ws[1:])
		c.elsewhere(ops[min(1, len(ops)):])
	case "down", "rm", "kill", "stop":
		c.cm.add("removes containers", action.InfraChange, action.DataDelete)
	case "push":
		c.cm.add("publishes images", action.Deploy, action.DataExport)
	case "up", "build", "pull", "start", "restart", "create", "deploy", "watch", "scale", "pause", "unpause":
		c.cm.add("starts containers", action.InfraChange, action.Execute, action.NetFetch)
	default:
		c.cm.unknown("what it is asked to do isn't on a list")
	}
	return source{}
}
