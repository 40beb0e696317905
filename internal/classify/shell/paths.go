package shell

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/assenthq/assent/action"
)

// A pathRule says what a file of a certain name means. Patterns without a
// leading slash hold at any depth; "**" at the end is the directory and all below.
type pathRule struct {
	pattern []string
	rooted  bool
	below   bool
	kinds   []action.Kind
}

// secretPaths are files that hold credentials; those after "!" don't.
const secretPaths = `
.ssh/** .gnupg/** .aws/credentials .aws/sso/** .aws/cli/cache/** .azure/** .config/gcloud/** .kube/config .kube/*.config
.docker/config.json .config/containers/auth.json .netrc _netrc .pgpass .my.cnf .mylogin.cnf .npmrc .yarnrc.yml .pypirc .git-credentials
.config/git/credentials .config/gh/hosts.yml .config/hub .config/glab-cli/** .env .env.* *.env .envrc /etc/shadow* /etc/gshadow* /etc/master.passwd
/etc/krb5.keytab *.keytab /etc/ssl/private/** /etc/ssh/ssh_host_* *.pem *.key *.p12 *.pfx *.jks *.keystore *.kdbx *.ppk *.ovpn
id_rsa id_dsa id_ecdsa id_ed25519 .vault-token .terraform.d/** .terraformrc *.tfstate *.tfstate.backup /run/secrets/** /var/run/secrets/**
/proc/*/environ /proc/*/mem /proc/*/task/*/environ /proc/*/task/*/mem /proc/*/fd/** /proc/*/task/*/fd/** /proc/kcore /dev/mem /dev/kmem secrets.* secrets/** credentials credentials.* service-account*.json *-sa.json
.bash_history .zsh_history .psql_history .mysql_history .python_history .node_repl_history .histfile .cargo/credentials* .gem/credentials .m2/settings.xml
.gradle/gradle.properties .config/op/** .password-store/** cookies.sqlite key4.db logins.json Keychains/** .config/rclone/** .rclone.conf .s3cfg .boto
.config/doctl/** .databrickscfg .snowsql/** .composer/auth.json .htpasswd wp-config.php .claude.json .claude/.credentials.json .codex/auth.json
.gemini/oauth_creds.json /etc/kubernetes/*.conf /etc/kubernetes/pki/** /etc/rancher/** kubeconfig kubeconfig.* .fly/config.yml .config/heroku/**
.config/stripe/** .config/sops/** .age/** keys.txt /etc/wireguard/** /etc/ipsec.secrets /etc/ppp/*-secrets .chef/*.pem .vault_pass* vault-password*
.config/google-chrome/** .mozilla/** operator.json assent-data/keys/** /etc/assent/keys/** /var/lib/assent/keys/**
! /proc/self/fd/* /proc/thread-self/fd/* .ssh/known_hosts .ssh/known_hosts.old .ssh/config *.pub .ssh/authorized_keys .env.example .env.sample .env.template .env.dist .env.defaults
`

// writtenPaths say what writing a file means beyond data.write.
const writtenPaths = `
.bashrc .bash_profile .bash_login .bash_logout .bash_aliases .profile .zshrc .zshenv .zprofile .zlogin .kshrc .inputrc .xinitrc .xprofile .config/fish/** /etc/profile /etc/profile.d/** /etc/bash.bashrc /etc/bashrc /etc/zsh/** /etc/environment .pam_environment : config exec
.github/workflows/** .github/actions/** .gitlab-ci.yml .circleci/** Jenkinsfile azure-pipelines.yml .travis.yml bitbucket-pipelines.yml .drone.yml .buildkite/** cloudbuild.yaml .woodpecker.yml .woodpecker/** .tekton/** : config code exec
.git/** .gitconfig .config/git/** .husky/** .pre-commit-config.yaml lefthook.yml .gitmodules .gitattributes : config exec
CODEOWNERS : config code
.claude/** .claude.json CLAUDE.md AGENTS.md GEMINI.md .mcp.json .cursor/** .cursorrules .codex/** .gemini/** .windsurf/** .aider* .config/goose/** .continue/** .github/copilot-instructions.md .vscode/** .idea/** : config
/etc/assent/** assent.yaml assent.yml assent.json assent-data/** /var/lib/assent/** .assent/** : config
assent.db* assent-data/spool/** assent-data/checkpoint /var/lib/assent/spool/** /var/lib/assent/checkpoint /var/log/audit/** /var/log/auth.log* /var/log/secure* /var/log/wtmp* /var/log/btmp* /var/log/lastlog /var/log/journal/** /etc/audit/** : audit
assent-data/keys/** /etc/sudoers /etc/sudoers.d/** /etc/passwd /etc/shadow /etc/group /etc/gshadow /etc/pam.d/** /etc/security/** /etc/polkit-1/** .ssh/authorized_keys* .ssh/rc /etc/ssh/** : priv config
/etc/cron* /etc/cron.d/** /etc/cron.daily/** /etc/cron.hourly/** /etc/cron.weekly/** /etc/cron.monthly/** /var/spool/cron/** /etc/systemd/** /lib/systemd/** /usr/lib/systemd/** .config/systemd/** .config/autostart/** /etc/init.d/** /etc/rc.local /etc/rc*.d/** LaunchAgents/** LaunchDaemons/** /etc/ld.so.* /etc/ld.so.conf.d/** /etc/udev/** /etc/modprobe.d/** : config exec
/etc/hosts /etc/hosts.* /etc/resolv.conf /etc/nsswitch.conf /etc/iptables/** /etc/nftables* /etc/network/** /etc/netplan/** /etc/NetworkManager/** /etc/wireguard/** : network config
/etc/** /proc/** /sys/** .ssh/** .aws/** .kube/** .config/** .docker/** .gnupg/** .npmrc .pypirc .netrc .curlrc .wgetrc .vimrc .screenrc .tmux.conf .psqlrc .gdbinit .editorconfig : config
/usr/** /bin/** /sbin/** /lib/** /lib64/** /boot/** /opt/** .local/bin/** .local/lib/** go/bin/** .cargo/bin/** : config exec
/dev/sd* /dev/hd* /dev/vd* /dev/xvd* /dev/nvme* /dev/mmcblk* /dev/disk/** /dev/mapper/** /dev/md* /dev/dm-* /dev/loop* /dev/mem /dev/kmem /dev/port : delete infra
`

type pathTables struct{ secret, notSecret, written []pathRule }

var paths = sync.OnceValue(func() pathTables {
	var t pathTables
	secret, not, _ := strings.Cut(secretPaths, "!")
	for _, p := range strings.Fields(secret) {
		t.secret = append(t.secret, newPathRule(p, nil))
	}
	for _, p := range strings.Fields(not) {
		t.notSecret = append(t.notSecret, newPathRule(p, nil))
	}
	for _, line := range strings.Split(strings.TrimSpace(writtenPaths), "\n") {
		patterns, kinds, _ := strings.Cut(line, " : ")
		for _, p := range strings.Fields(patterns) {
			t.written = append(t.written, newPathRule(p, kindsOf(strings.Fields(kinds))))
		}
	}
	return t
})

func newPathRule(p string, kinds []action.Kind) pathRule {
	r := pathRule{kinds: kinds, rooted: strings.HasPrefix(p, "/")}
	if cut, ok := strings.CutSuffix(p, "/**"); ok {
		p, r.below = cut, true
	}
	r.pattern = strings.Split(strings.ToLower(strings.Trim(p, "/")), "/")
	return r
}

// matches reports whether p, which may hold wildcards itself, can be what the rule names.
func (r *pathRule) matches(parts []string, rooted, wild bool) bool {
	if r.rooted && !rooted {
		return false
	}
	last := len(parts) - len(r.pattern)
	for at := 0; at <= last; at++ {
		if r.rooted && at > 0 {
			break
		}
		if !r.below && at != last {
			continue
		}
		ok := true
		for i, want := range r.pattern {
			if !partMatches(want, parts[at+i], wild, len(r.pattern) > 1 || r.rooted) {
				ok = false
				break
			}
		}
		if ok {
			return true
		}
	}
	return false
}

// partMatches compares one name of a path with one of a rule; both may be patterns.
func partMatches(rule, part string, wild, inside bool) bool {
	if ok, err := path.Match(rule, part); err == nil && ok {
		return true
	}
	if !wild || !strings.ContainsAny(part, "*?[") {
		return strings.EqualFold(rule, part) // letters that only file systems fold
	}
	if len(strings.Trim(part, "*?")) < 2 && !strings.HasPrefix(part, ".") {
		return inside // "*" alone finds no dot file; in a directory that is named it does
	}
	ok, err := path.Match(part, strings.NewReplacer("*", "\x01", "?", "\x01").Replace(rule))
	return err != nil || ok
}

// throughProc is p without a process's links to the root and to where it is, which
// lead to the whole file system: /proc/self/root/etc is /etc.
func throughProc(p string) string {
	rest, is := strings.CutPrefix(p, "/proc/")
	_, rest, below := strings.Cut(rest, "/")
	if is && below && strings.HasPrefix(rest, "task/") {
		_, rest, _ = strings.Cut(strings.TrimPrefix(rest, "task/"), "/")
	}
	link, rest, below := strings.Cut(rest, "/")
	if is && below && (link == "root" || link == "cwd") {
		return "/" + rest
	}
	return p
}

// canonical is a path with ~ for any home, and without "." and "..".
func canonical(p string) string {
	p = strings.TrimPrefix(p, "file://")
	if p == "" {
		return "."
	}
	p = path.Clean(p)
	for short := throughProc(p); short != p; short = throughProc(p) {
		p = short
	}
	for _, root := range []string{"/home/", "/Users/"} {
		if rest, ok := strings.CutPrefix(p, root); ok {
			_, below, _ := strings.Cut(rest, "/")
			return strings.TrimSuffix("~/"+below, "/")
		}
	}
	if rest, ok := strings.CutPrefix(p, "/root"); ok && (rest == "" || rest[0] == '/') {
		return "~" + rest
	}
	if strings.HasPrefix(p, "~") { // ~user
		_, below, _ := strings.Cut(p, "/")
		return strings.TrimSuffix("~/"+below, "/")
	}
	return p
}

// ReadKinds says what reading a file means, from its name alone.
func ReadKinds(p string) []action.Kind { return readKinds(canonical(p), false) }

// braced is {a,b} in a pattern of file names.
var braced = regexp.MustCompile(`\{[^{}]*\}`)

// PatternKinds says what reading the files means that a pattern finds.
func PatternKinds(p string) []action.Kind {
	for range 4 {
		p = braced.ReplaceAllString(p, "*")
	}
	return readKinds(canonical(p), true)
}

// HoldsSecrets reports directories below which a reader meets credentials, such as a home.
func HoldsSecrets(p string) bool { return holdsSecrets(canonical(p)) }

func readKinds(p string, wild bool) []action.Kind {
	kinds := []action.Kind{action.DataRead}
	p = strings.ReplaceAll(p, hole, "*")
	parts, rooted := strings.Split(strings.ToLower(strings.Trim(p, "/")), "/"), strings.HasPrefix(p, "/") // some file systems ignore case
	match := func(rules []pathRule) bool {
		for i := range rules {
			if rules[i].matches(parts, rooted, wild) {
				return true
			}
		}
		return false
	}
	t := paths()
	for i := range t.notSecret {
		if t.notSecret[i].matches(parts, rooted, false) {
			return kinds
		}
	}
	if match(t.secret) {
		kinds = append(kinds, action.SecretAccess)
	}
	return kinds
}

// WriteKinds says what writing a file means, from its name alone; none for a
// device that keeps nothing.
func WriteKinds(p string) []action.Kind { return writeKinds(canonical(p), false) }

func writeKinds(p string, wild bool) []action.Kind {
	if keepsNothing(p) {
		return nil
	}
	kinds := []action.Kind{action.DataWrite}
	p = strings.ReplaceAll(p, hole, "*")
	parts, rooted := strings.Split(strings.ToLower(strings.Trim(p, "/")), "/"), strings.HasPrefix(p, "/") // some file systems ignore case
	rules := paths().written
	for i := range rules {
		if rules[i].matches(parts, rooted, wild) {
			kinds = append(kinds, rules[i].kinds...)
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

func keepsNothing(p string) bool {
	switch p {
	case "/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/fd/1", "/dev/fd/2", "/dev/full", "/dev/fd/63", "/dev/zero":
		return true
	}
	return false
}

// holdsSecrets reports directories below which a reader meets credentials.
func holdsSecrets(p string) bool {
	switch p {
	case "/", "~", "/home", "/Users", "/etc", "/run", "/proc", "~/.config", "~/.aws", "~/.kube", "~/.docker", "/var/run", "/mnt", "/host", "/etc/ssl", "/etc/ssh":
		return true
	}
	return strings.HasPrefix(p, "/proc/") || strings.Trim(p, "/*") == "" && strings.HasPrefix(p, "/") || p == "~/*" || p == "~/.*"
}

// inTemp reports whether p lies in a directory for temporary files.
func inTemp(p string) bool {
	return strings.HasPrefix(p, "/tmp/") || strings.HasPrefix(p, "/var/tmp/") || p == "/tmp" || p == "/var/tmp"
}
