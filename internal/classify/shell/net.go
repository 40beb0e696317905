package shell

import (
	"net/url"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
)

const curlOptions = "A b c C d D e E F H K m o P Q r t T u U w x X y Y z " +
	"data data-ascii data-binary data-raw data-urlencode json form form-string url-query request url output output-dir header user-agent referer cookie cookie-jar dump-header config max-time connect-timeout retry retry-delay retry-max-time range user upload-file write-out proxy " +
	"proxy-user proxy-header noproxy preproxy socks4 socks4a socks5 socks5-hostname cacert capath cert cert-type key key-type pass ciphers resolve connect-to interface dns-servers unix-socket abstract-unix-socket trace trace-ascii stderr libcurl netrc-file limit-rate speed-limit speed-time " +
	"max-filesize max-redirs time-cond form-escape quote mail-from mail-rcpt mail-auth aws-sigv4 oauth2-bearer etag-save etag-compare hsts alt-svc engine egd-file random-file local-port keepalive-time proto proto-default proto-redir parallel-max create-file-mode crlfile pinnedpubkey doh-url expect100-timeout happy-eyeballs-timeout-ms service-name delegation login-options rate telnet-option tls-max tls13-ciphers variable continue-at"

func valueSet(names string) map[string]bool {
	out := map[string]bool{}
	for _, n := range strings.Fields(names) {
		out[n] = true
	}
	return out
}

// curl fetches, and sends what it is told to send.
func curl(c *call) source {
	t := &tool{value: valueSet(curlOptions)}
	opts, operands := t.args(c.argv[1:])
	c.opts = opts
	if c.has("version", "V", "help", "h", "manual", "M") && len(operands) == 0 {
		c.cm.harmless = "shows its version"
		return source{}
	}
	urls := operands
	sends, method, loud := false, "", false
	for _, w := range c.argv[1:] {
		if w.maybeOption() && !slices.ContainsFunc(operands, func(o word) bool { return o.text == w.text }) && strings.HasPrefix(w.text, "-") {
			c.cm.unknown("an option that only the shell will know")
		}
	}
	for _, o := range opts {
		v := o.value
		if t.takes(o.name) && !t.value[o.name] && !strings.Contains(" head netrc crlf parallel form ", " "+o.name+" ") {
			c.cm.unknown("the beginning of an option")
		}
		switch o.name {
		case "w", "write-out":
			if file, ok := strings.CutPrefix(v.text, "@"); ok {
				c.read(word{text: file, hole: v.hole})
			}
			if strings.Contains(v.text, "output{") || v.hole {
				c.cm.add("writes a file", action.DataWrite)
			}
		case "d", "data", "data-ascii", "data-binary", "data-raw", "data-urlencode", "json", "F", "form", "form-string", "url-query":
			if sends = true; o.name != "data-raw" && o.name != "form-string" {
				if _, file, ok := strings.Cut(v.text, "@"); ok && (strings.HasPrefix(v.text, "@") || o.name == "data-urlencode" || o.name == "url-query" || strings.Contains(v.text, "=@")) || strings.HasPrefix(v.text, "@") {
					file, _, _ = strings.Cut(file, ";")
					c.read(word{text: file, hole: strings.Contains(file, hole)})
				} else if _, file, ok := strings.Cut(v.text, "=<"); ok {
					c.read(word{text: file, hole: strings.Contains(file, hole)})
				}
			}
		case "T", "upload-file":
			sends = true
			c.read(v)
		case "X", "request":
			method = strings.ToUpper(v.text)
		case "o", "output", "D", "dump-header", "c", "cookie-jar", "trace", "trace-ascii", "stderr", "libcurl", "etag-save", "output-dir", "hsts", "alt-svc":
			c.write(v)
		case "O", "remote-name", "remote-name-all", "J", "remote-header-name":
			c.cm.add("writes a file", action.DataWrite)
		case "K", "config", "engine", "Q", "quote", "P", "proto-default", "telnet-option", "variable", "ftp-port", "delegation":
			c.cm.unknown("an option of curl that does what a file says")
		case "x", "proxy", "preproxy", "socks4", "socks4a", "socks5", "socks5-hostname", "connect-to", "resolve", "doh-url", "unix-socket", "abstract-unix-socket", "interface":
			loud = true
			c.hostOf(v.text)
			if strings.HasSuffix(o.name, "unix-socket") {
				c.cm.unknown("talks to a local service through its socket")
			}
		case "url":
			urls = append(urls, v)
		case "E", "cert", "key", "cacert", "netrc-file":
			if o.name != "cacert" {
				c.cm.add("uses a stored credential", action.SecretAccess)
			}
		case "n", "netrc", "netrc-optional":
			c.cm.add("uses a stored credential", action.SecretAccess)
		case "b", "cookie", "H", "header":
			if file, ok := strings.CutPrefix(v.text, "@"); ok {
				sends = true
				c.read(word{text: file, hole: v.hole})
			} else if v.hole {
				c.cm.add("sends a value that only the shell knows", action.DataExport)
			} else if (o.name == "b" || o.name == "cookie") && !strings.Contains(v.text, "=") {
				c.read(v)
			}
		case "mail-from", "mail-rcpt":
			c.cm.add("sends mail", action.MessageSend)
		}
	}
	if c.sends(urls, sends, method, loud) && !c.has("o", "output", "O", "remote-name", "remote-name-all") {
		return source{from: "net"}
	}
	return source{}
}

// sends notes what a request to these URLs means; true: the reply is what others wrote.
func (c *call) sends(urls []word, sends bool, method string, loud bool) bool {
	if len(urls) == 0 {
		c.cm.add("fetches from the network", action.NetFetch)
	}
	net := false
	for _, u := range urls {
		kinds, host, file := urlKinds(u.text)
		if file != "" {
			c.read(word{text: file, hole: u.hole})
		}
		if strings.Contains(u.text, "{") || strings.Contains(u.text, "[") && !strings.Contains(u.text, "[:") {
			kinds = append(kinds, action.NetFetch) // several of them
		}
		local := len(kinds) == 1 && kinds[0] == action.DataRead && !loud
		if !local {
			net = true
		}
		c.host(host)
		if loud {
			kinds = append(kinds, action.NetFetch)
		}
		why := "fetches from the network"
		if local {
			why = "reads from this machine"
		}
		c.cm.add(why, kinds...)
		if p, err := url.Parse(u.text); err == nil && p.User != nil {
			c.cm.add("sends a password in a URL", action.SecretAccess)
		}
		carries := sends || u.hole || method != "" && method != "GET" && method != "HEAD" && method != "OPTIONS"
		switch {
		case !carries:
		case local:
			c.cm.add("changes what a service of this machine holds", action.DataWrite)
		case method == "DELETE":
			c.cm.add("asks a service to delete", action.DataDelete, action.DataExport)
		default:
			c.cm.add("sends data to the network", action.DataExport, action.NetFetch)
		}
	}
	if len(urls) == 0 && sends {
		c.cm.add("sends data to the network", action.DataExport)
	}
	return net || len(urls) == 0
}

const wgetOptions = "a A B D e i I l o O P Q R S t T U w X output-document output-file append-output input-file directory-prefix header post-data post-file body-data body-file method user-agent referer load-cookies save-cookies execute config tries timeout wait limit-rate quota " +
	"level accept reject include-directories exclude-directories domains exclude-domains user password use-askpass ca-certificate certificate private-key bind-address cut-dirs default-page base progress restrict-file-names local-encoding remote-encoding warc-file warc-header rejected-log choose-config"

func wget(c *call) source {
	t := &tool{value: valueSet(wgetOptions)}
	opts, operands := t.args(c.argv[1:])
	c.opts = opts
	if c.has("version", "V", "help", "h") && len(operands) == 0 {
		c.cm.harmless = "shows its version"
		return source{}
	}
	sends, method, writes := false, "", true
	for _, o := range opts {
		v := o.value
		switch {
		case o.name == "O" || strings.HasPrefix("output-document", o.name) && len(o.name) > 7:
			if writes = false; v.text != "-" {
				c.write(v)
			}
		case o.name == "post-file" || o.name == "body-file":
			sends = true
			c.read(v)
		case strings.HasPrefix(o.name, "post-") || strings.HasPrefix(o.name, "body-"):
			sends = true
		case o.name == "method":
			method = strings.ToUpper(v.text)
		case o.name == "e" || strings.HasPrefix(o.name, "exec") || strings.HasPrefix(o.name, "conf") || strings.HasPrefix(o.name, "use-ask") || o.name == "i" || strings.HasPrefix(o.name, "input"):
			c.cm.unknown("an option of wget that does what a file says")
		case o.name == "o" || o.name == "a" || strings.HasPrefix(o.name, "output-f") || strings.HasPrefix(o.name, "append") || strings.HasPrefix(o.name, "save-c") || strings.HasPrefix(o.name, "P") || strings.HasPrefix(o.name, "directory-p"):
			c.write(v)
		case o.name == "spider":
			writes = false
		case o.name == "header" && v.hole:
			c.cm.add("sends a value that only the shell knows", action.DataExport)
		}
	}
	if writes {
		c.cm.add("writes a file", action.DataWrite)
	}
	if c.sends(operands, sends, method, false) && !writes {
		return source{from: "net"}
	}
	return source{}
}

func httpie(c *call, ws []word) source {
	method, sends := "", false
	var urls []word
	for i, w := range ws {
		switch {
		case i == 0 && len(ws) > 1 && w.text == strings.ToUpper(w.text) && strings.Trim(w.text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "":
			method = w.text
		case len(urls) == 0:
			urls = []word{w}
		case strings.Contains(w.text, "@"):
			sends = true
			_, file, _ := strings.Cut(w.text, "@")
			c.read(word{text: file, hole: w.hole})
		case strings.Contains(w.text, "="):
			sends = true
		}
	}
	c.sends(urls, sends, method, false)
	return source{from: "net"}
}

func netcat(c *call, _ []word) source {
	c.cm.add("opens a connection", action.NetFetch)
	for i, w := range c.argv[1:] {
		t := strings.ToLower(w.text)
		if strings.HasPrefix(w.text, "-") && !strings.HasPrefix(w.text, "--") && strings.ContainsAny(w.text, "ec") || strings.HasPrefix(t, "--exec") || strings.HasPrefix(t, "--sh-exec") || strings.HasPrefix(t, "--lua") || strings.Contains(t, "exec:") || strings.Contains(t, "system:") || w.hole {
			c.cm.unknown("gives a program to the network")
		}
		if strings.HasPrefix(w.text, "-") && strings.Contains(w.text, "l") || strings.Contains(t, "listen") {
			c.cm.add("listens to the network", action.NetworkChange)
		}
		if !strings.HasPrefix(w.text, "-") && i < 6 && strings.Contains(w.text, ".") {
			c.hostOf(w.text)
		}
	}
	if !c.has("z") {
		c.cm.add("sends to the network what it is given", action.DataExport)
	}
	return source{from: "net"}
}

// remotePath reports words like host:path, and returns the host.
func remotePath(w word) (string, bool) {
	if strings.Contains(w.text, "://") {
		_, h, _ := urlKinds(w.text)
		return h, true
	}
	head, _, ok := strings.Cut(w.text, ":")
	if !ok || strings.Contains(head, "/") || head == "" {
		return "", false
	}
	if at := strings.LastIndex(head, "@"); at >= 0 {
		head = head[at+1:]
	}
	return head, true
}

// transfer is a copy between machines: the last word is where to.
func (c *call) transfer(ws []word) {
	if len(ws) == 0 {
		return
	}
	to := ws[len(ws)-1]
	for _, w := range ws[:len(ws)-1] {
		if h, remote := remotePath(w); remote {
			c.host(h)
			c.cm.add("fetches from another machine", action.NetFetch)
		} else {
			c.readTree(w)
		}
	}
	switch h, remote := remotePath(to); {
	case remote:
		c.host(h)
		c.cm.add("sends files to another machine", action.DataExport)
	case to.hole && strings.HasPrefix(to.text, hole):
		c.cm.unknown("where it sends only the shell will know")
		c.cm.add("may send files to another machine", action.DataExport)
	default:
		c.write(to)
	}
}

func scp(c *call, ws []word) source { c.transfer(ws); return source{} }

const rsyncOptions = "e f T B M rsh filter exclude include exclude-from include-from files-from rsync-path temp-dir compare-dest copy-dest link-dest backup-dir partial-dir bwlimit timeout port password-file log-file out-format chmod chown suffix max-size min-size block-size max-delete usermap groupmap sockopts address protocol iconv modify-window skip-compress compress-level info debug early-input remote-option write-batch read-batch only-write-batch stop-after stop-at outbuf contimeout checksum-choice compress-choice"

func rsync(c *call, _ []word) source {
	t := &tool{value: valueSet(rsyncOptions)}
	opts, operands := t.args(c.argv[1:])
	c.opts = opts
	for _, o := range opts {
		switch {
		case o.name == "e" || o.name == "rsh":
			if o.value.text != "ssh" && !strings.HasPrefix(o.value.text, "ssh -p ") && !strings.HasPrefix(o.value.text, "ssh -i ") {
				c.shell(o.value, nil, source{})
				c.cm.unknown("a program of the caller's carries the copy")
			}
		case strings.HasPrefix(o.name, "rsync-p") || o.name == "M" || strings.HasPrefix(o.name, "remote-op") || strings.HasPrefix(o.name, "early") || strings.HasPrefix(o.name, "daemon") || strings.HasPrefix(o.name, "config"):
			c.cm.unknown("an option of rsync that says which program runs")
		case strings.HasPrefix(o.name, "del") || strings.HasPrefix(o.name, "remove"):
			c.cm.add("deletes what is not on the other side", action.DataDelete)
		case o.name == "log-file" || strings.HasSuffix(o.name, "write-batch"):
			c.write(o.value)
		case o.name == "password-file":
			c.cm.add("uses a stored credential", action.SecretAccess)
		}
	}
	for _, w := range c.argv[1:] {
		if w.maybeOption() {
			c.cm.unknown("an option that only the shell will know")
			break
		}
	}
	if c.has("n", "dry-run") || len(operands) < 2 {
		for _, w := range operands {
			if h, remote := remotePath(w); remote {
				c.host(h)
				c.cm.add("asks another machine", action.NetFetch)
			}
		}
		c.cm.add("lists files", action.DataRead)
		return source{}
	}
	c.transfer(operands)
	return source{}
}

func dig(c *call, ws []word) source {
	c.cm.add("asks a name server", action.NetFetch)
	for _, w := range ws {
		if strings.HasPrefix(w.text, "+") {
			continue
		}
		if h := strings.TrimPrefix(w.text, "@"); w.hole {
			c.cm.add("sends in a name what only the shell knows", action.DataExport)
			c.host(h)
		} else {
			c.host(h)
		}
	}
	return source{from: "net"}
}

func mail(c *call, ws []word) source {
	for _, w := range ws {
		if _, domain, ok := strings.Cut(w.text, "@"); ok {
			c.host(domain)
		}
	}
	return source{}
}

// objectCopy is a copy from or to a bucket.
func objectCopy(c *call, ws []word) source {
	if len(ws) < 2 {
		c.cm.unknown("a copy without its ends")
		return source{}
	}
	remote := func(w word) bool {
		return strings.Contains(w.text, "://") || c.cm.verb != "aws s3 cp" && strings.Contains(w.text, ":") && !strings.HasPrefix(w.text, "/")
	}
	to, from := ws[len(ws)-1], ws[:len(ws)-1]
	for _, w := range from {
		if remote(w) {
			c.cm.add("reads from a bucket", action.DataRead)
			c.hostOf(w.text)
		} else {
			c.readTree(w)
		}
	}
	switch {
	case remote(to) || to.hole:
		c.hostOf(to.text)
		c.cm.add("copies to a bucket", action.DataExport, action.DataWrite)
	case to.text == "-":
		c.cm.add("reads from a bucket", action.DataExport)
	default:
		c.cm.add("copies out of a bucket", action.DataExport)
		c.write(to)
	}
	if c.has("delete", "d", "delete-unmatched-destination-objects") || strings.HasSuffix(c.cm.verb, "mv") {
		c.cm.add("deletes what is not on the other side", action.DataDelete)
	}
	return source{}
}
