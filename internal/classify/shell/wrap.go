package shell

import (
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
)

// wrapTools run the command that follows them.
const wrapTools = `
nohup setsid stdbuf ionice chrt taskset nice catchsegv chronic eatmydata unbuffer fakeroot firejail systemd-inhibit caffeinate rlwrap proxychains proxychains4 torsocks torify setarch linux32 linux64 dbus-launch xvfb-run ^ | n adjustment c p i o e s a
 : X
timeout gtimeout ^ | k s kill-after signal
 : X2
time gtime hyperfine ^ | f o format output
 -o --output : W
 : X
strace ltrace ^ | e s u E a b O S X P I
 -o : W
 -p --attach : exec secret =
 : X
chroot ^ | userspec groups
 : exec X2
nsenter ^ | t S G
 : exec priv X
unshare bwrap ^ | R w S G map-user map-group
 : exec X
systemd-run pkexec gosu setpriv capsh dbus-run-session doas ^ | u p M H C
 : exec X
sudo ^ | u g p C h D R T U r t close-from user group prompt chdir chroot host
 -e --edit : priv write
 -R --chroot -D --chdir : ? =
 -i --login -s --shell : SUDOSHELL
 +l|list : read
 +v|k|K|V|validate|version : none
 +edit|e : W
 : SUDO
flock ^ | w E timeout conflict-exit-code
 -c --command : S
 : FLOCK
watch ^ | n interval d q
 : WATCH
entr nodemon watchexec ^ | 
 : exec X
dotenv direnv with-env ^ |
 : exec ?
su runuser | s c g G w shell command session-command
 -s --shell : exec =
 -c --command --session-command : S
 : exec priv
xargs gxargs ^ | a d E I L n P s arg-file delimiter max-args max-procs max-lines max-chars replace
 -a --arg-file : R
 --process-slot-var : ? =
 : XARGS
parallel ^ | j a S I C N jobs arg-file sshlogin results joblog
 -S --sshlogin --sshloginfile : session =
 -a --arg-file : R
 : PARALLEL
busybox toybox ^ |
 : X
coproc command builtin ^ | 
 +v|V : none
 : X
ssh ^ | b c D E e F I i J L l m O o p Q R S W w B
 -o : SSHOPT
 +V : none
 -F -S -I -E -w -W : ? =
 -D -L -R : network =
 -i : =
 : SSH
mosh autossh sshpass |
 : session exec ?
man apropos whatis | P p s S L M H l C r X
 -P --pager -H --html -X -C --config-file -M --manpath --preprocessor : ? =
 -l --local-file : R
 @*/* : R
 : none
info | d f k n I
 -o --output --dribble : W
 --restore --init-file : ?
 -f --file : R
 @*/* : R
 : none
npm-run-all concurrently |
 : exec
`

// special are the roles of operands that no word of the tables describes.
func special(role string) func(*call, []word) source {
	switch role {
	case "SUDO":
		return sudo
	case "SUDOSHELL":
		return sudoShell
	case "FLOCK":
		return flock
	case "WATCH":
		return watch
	case "XARGS":
		return xargs
	case "PARALLEL":
		return parallel
	case "SSH":
		return ssh
	case "SSHOPT":
		return sshOption
	case "PASS":
		return pass
	case "OWNED":
		return owned
	case "TEE":
		return tee
	case "GREP":
		return grep
	case "FD":
		return fd
	case "ZIP":
		return zip
	case "DD":
		return dd
	case "PRINTENV":
		return printenv
	case "DIG":
		return dig
	case "MAIL":
		return mail
	case "OUT":
		return output
	case "GOENV":
		return goEnv
	case "JQ":
		return jq
	case "GOTOOL":
		return goTool
	case "PYMOD":
		return coverageModule
	case "GORUN":
		return goRun
	case "FMT":
		return format
	case "FMTOPT":
		return formatOption
	case "NPX":
		return npx
	case "UVRUN":
		return uvRun
	case "GITCONFIG":
		return gitConfigOption
	case "GITREAD":
		return gitRead
	case "GITCONFREAD":
		return gitConfRead
	case "GITCONF":
		return gitConf
	case "GITFOREACH":
		return gitForeach
	case "GITPUSHF":
		return gitPushForce
	case "GITPUSH":
		return gitPush
	case "GHAPI":
		return ghAPI
	case "TFREAD":
		return tfRead
	case "TFSTATE":
		return tfState
	case "AWSS3", "GCS", "RCLONE":
		return objectCopy
	case "BQ":
		return bq
	case "KUBEFILE":
		return kubeFile
	case "KUBEGET":
		return kubeGet
	case "KUBEAPPLY":
		return kubeApply
	case "KUBECHANGE":
		return kubeChange
	case "KUBEDELETE":
		return kubeDelete
	case "KUBEEXEC":
		return kubeExec
	case "DOCKERRUN":
		return dockerRun
	case "DOCKEREXEC":
		return dockerExec
	case "COMPOSE":
		return compose
	case "NC":
		return netcat
	case "SCP":
		return scp
	case "HTTPIE":
		return httpie
	case "TAR":
		return tar
	case "RSYNC":
		return rsync
	}
	return nil
}

func sudo(c *call, ws []word) source {
	c.cm.add("runs with another's rights", action.Execute)
	for len(ws) > 0 && strings.Contains(ws[0].text, "=") && !strings.HasPrefix(ws[0].text, "=") {
		name, v, _ := strings.Cut(ws[0].text, "=")
		c.cm.setVar(name, word{text: v, hole: ws[0].hole}, true)
		ws = ws[1:]
	}
	if len(ws) == 0 {
		c.cm.add("opens a shell with another's rights", action.PrivilegeChange)
		return source{}
	}
	return c.inner(ws, c.in)
}

func sudoShell(c *call, _ []word) source {
	c.cm.add("opens a shell with another's rights", action.PrivilegeChange, action.Execute)
	return source{}
}

func flock(c *call, ws []word) source {
	if len(ws) > 0 {
		if c.write(ws[0]); len(ws) > 2 && (ws[1].text == "-c" || ws[1].text == "--command") {
			return c.shell(ws[2], nil, c.in)
		}
		return c.inner(ws[1:], c.in)
	}
	return source{}
}

func (c *call) has(names ...string) bool {
	return slices.ContainsFunc(c.opts, func(g given) bool { return slices.Contains(names, g.name) })
}

func (c *call) option(names ...string) (word, bool) {
	for _, g := range c.opts {
		if slices.Contains(names, g.name) {
			return g.value, true
		}
	}
	return word{}, false
}

func watch(c *call, ws []word) source {
	c.cm.harmless = "runs another command"
	if c.has("x", "exec") {
		return c.inner(ws, source{})
	}
	return c.shell(joined(ws), nil, source{})
}

// joined is words as one text, as programs make it that hand them to a shell.
func joined(ws []word) word {
	var out word
	for i, w := range ws {
		if i > 0 {
			out.text += " "
		}
		out.text += w.text
		out.hole = out.hole || w.hole || w.glob && !strings.Contains(w.text, hole) && false
	}
	return out
}

// xargs runs a command with names from what flows in.
func xargs(c *call, ws []word) source {
	if len(ws) == 0 {
		ws = []word{{text: "echo"}}
	}
	extra := []word{{text: hole, hole: true, multi: true}}
	switch {
	case c.in.names != nil:
		extra = c.in.names
	case c.in.known && !strings.ContainsAny(c.in.text, `'"\`):
		extra = nil
		for _, f := range strings.Fields(c.in.text) {
			extra = append(extra, word{text: f})
		}
	}
	c.cm.harmless = "runs another command"
	if r, ok := c.option("I", "replace", "i"); ok {
		mark := or(r.text, "{}")
		out := make([]word, len(ws))
		for i, w := range ws {
			if out[i] = w; strings.Contains(w.text, mark) {
				with := word{text: hole, hole: true, multi: false}
				if len(extra) == 1 {
					with = extra[0]
				}
				out[i].text = strings.ReplaceAll(w.text, mark, with.text)
				out[i].hole, out[i].glob = w.hole || with.hole, w.glob || with.glob
			}
		}
		return c.inner(out, source{none: true})
	}
	return c.inner(append(slices.Clone(ws), extra...), source{none: true})
}

// parallel makes a line for a shell of its command and its arguments.
func parallel(c *call, ws []word) source {
	command, extra := ws, []word{{text: hole, hole: true, multi: true}}
	for i, w := range ws {
		if strings.HasPrefix(w.text, ":::") {
			command, extra = ws[:i], ws[i+1:]
			break
		}
	}
	if len(command) == 0 {
		for _, w := range extra { // whole lines
			c.shell(w, nil, source{})
		}
		return source{}
	}
	c.cm.harmless = "runs another command"
	for _, x := range extra {
		line := joined(command)
		if strings.Contains(line.text, "{}") {
			line.text = strings.ReplaceAll(line.text, "{}", x.text)
		} else {
			line.text += " " + x.text
		}
		if x.hole { // the arguments are quoted for the shell: they stay words
			sc := c.sc.fork()
			sc.via = append(slices.Clone(sc.via), c.cm.verb)
			c.a.script(strings.ReplaceAll(line.text, hole, `"$ASSENT_UNKNOWN"`), sc)
			continue
		}
		c.shell(line, nil, source{})
	}
	return source{}
}

// ssh opens a session, or runs a command elsewhere.
func ssh(c *call, ws []word) source {
	c.cm.add("opens a session on another machine", action.SessionOpen)
	if len(ws) == 0 {
		return source{}
	}
	c.hostOf(ws[0].text)
	if ws[0].maybeOption() {
		c.cm.unknown("which machine it talks to only the shell will know")
	}
	if c.has("N", "f") {
		c.cm.add("opens a tunnel", action.NetworkChange)
	}
	if len(ws) == 1 {
		if !c.in.none {
			c.cm.unknown("what flows in is run on another machine")
		}
		return source{}
	}
	c.cm.add("runs a command on another machine", action.Execute)
	if !c.in.none {
		c.cm.add("sends what flows in to another machine", action.DataExport)
	}
	return c.shell(joined(ws[1:]), nil, c.in)
}

func sshOption(c *call, ws []word) source {
	for _, w := range ws {
		low := strings.ToLower(w.text)
		for _, bad := range []string{"proxycommand", "localcommand", "knownhostscommand", "proxyjump", "include", "pkcs11provider", "securitykeyprovider", "proxyusefdpass", "remotecommand", "sendenv", "xauthlocation", "controlpath"} {
			if w.hole || strings.HasPrefix(strings.TrimSpace(low), bad) {
				c.cm.unknown("an option of ssh that runs a command or goes elsewhere")
			}
		}
		if strings.Contains(low, "forward") {
			c.cm.add("opens a tunnel", action.NetworkChange)
		}
	}
	return source{}
}
