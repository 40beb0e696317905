package http

import (
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
)

// A hint is what a word in a path or an operation's name tells of requests that write. The first that fits counts.
type hint struct {
	words  string
	kinds  []action.Kind // of POST, PUT and PATCH
	delete []action.Kind
}

var hints = []hint{
	{"role roles permission permissions grant grants acl acls policy policies scope scopes membership admin admins", []action.Kind{action.PrivilegeChange}, []action.Kind{action.PrivilegeChange}},
	{"key keys apikey apikeys token tokens secret secrets credential credentials password passwords certificate certificates", []action.Kind{action.PrivilegeChange, action.SecretAccess}, []action.Kind{action.PrivilegeChange}},
	{"payment payments refund refunds charge charges payout payouts transfer transfers invoice invoices checkout subscription subscriptions order orders", []action.Kind{action.Payment}, []action.Kind{action.DataDelete}},
	{"audit auditlog", []action.Kind{action.AuditChange}, []action.Kind{action.AuditChange}},
	{"export exports download dump backup backups", []action.Kind{action.DataExport}, []action.Kind{action.DataDelete}},
	{"user users account accounts invite invites invitation invitations group groups team teams member members login session sessions", []action.Kind{action.IdentityChange}, []action.Kind{action.IdentityChange}},
	{"mail email emails message messages sms notification notifications notify send comment comments reply tweet", []action.Kind{action.MessageSend}, []action.Kind{action.DataDelete}},
	{"deploy deploys deployment deployments release releases rollout rollback publish", []action.Kind{action.Deploy}, []action.Kind{action.InfraDestroy}},
	{"run runs execute exec invoke trigger job jobs task tasks command commands script scripts workflow workflows", []action.Kind{action.Execute}, []action.Kind{action.DataDelete}},
	{"firewall network networks dns domain domains ingress route routes loadbalancer vpn subnet", []action.Kind{action.NetworkChange}, []action.Kind{action.NetworkChange}},
	{"server servers instance instances cluster clusters node nodes vm vms volume volumes bucket buckets database databases", []action.Kind{action.InfraChange}, []action.Kind{action.InfraDestroy}},
	{"schema schemas migration migrations table tables index indexes", []action.Kind{action.SchemaChange}, []action.Kind{action.SchemaChange}},
	{"webhook webhooks hook hooks callback callbacks setting settings config configuration preferences feature flag flags integration integrations", []action.Kind{action.ConfigChange}, []action.Kind{action.ConfigChange}},
	{"repo repos repository repositories commit commits branch branches merge pull file files content contents", []action.Kind{action.CodeChange}, []action.Kind{action.CodeChange}},
}

// readers are words for a POST that reads.
const readers = "search query queries lookup find list filter count preview validate verify check estimate calculate quote compare match batchget export"

// secrets are words for a GET that shows more than data.
const secrets = "secret secrets credential credentials password passwords apikey apikeys privatekey"

// guess says what an operation does, and from what that was guessed.
func guess(method string, said []string) (kinds []action.Kind, from string) {
	word := func(words string) string {
		for _, w := range said {
			if slices.Contains(strings.Fields(words), w) {
				return w
			}
		}
		return ""
	}
	switch method {
	case "GET", "HEAD", "OPTIONS":
		if w := word(secrets); w != "" {
			return []action.Kind{action.SecretAccess}, "a GET, and the word " + w
		}
		if w := word("export exports download dump backup"); w != "" {
			return []action.Kind{action.DataExport}, "a GET, and the word " + w
		}
		if w := word("run execute trigger send delete cancel approve reset logout unsubscribe confirm activate"); w != "" {
			return []action.Kind{action.Unknown}, "a GET, but the word " + w + " sounds as if it did more than read: say what"
		}
		return []action.Kind{action.DataRead}, "a GET"
	case "DELETE":
		for _, h := range hints {
			if w := word(h.words); w != "" {
				return h.delete, "a DELETE, and the word " + w
			}
		}
		return []action.Kind{action.DataDelete}, "a DELETE"
	case "POST":
		if w := word(readers); w != "" {
			if w == "export" {
				return []action.Kind{action.DataExport}, "the word " + w
			}
			return []action.Kind{action.DataRead}, "the word " + w + ": a POST that only reads; make sure that it does"
		}
	}
	for _, h := range hints {
		if w := word(h.words); w != "" {
			kinds = h.kinds
			if method == "POST" && slices.Contains(kinds, action.InfraChange) {
				kinds = []action.Kind{action.InfraCreate}
			}
			return kinds, "a " + method + ", and the word " + w
		}
	}
	return []action.Kind{action.DataWrite}, "a " + method + ", and nothing else tells"
}

// said are the words of an operation: of its name, then of its path from the end.
func said(id, path string) []string {
	var out []string
	add := func(s string) {
		start := 0
		for i := range len(s) + 1 {
			upper := i < len(s) && s[i] >= 'A' && s[i] <= 'Z' && i > 0 && (s[i-1] < 'A' || s[i-1] > 'Z')
			if i == len(s) || upper || !nameByte(s[i]) || s[i] == '_' {
				if i > start {
					out = append(out, strings.ToLower(s[start:i]))
				}
				start = i
				if i < len(s) && !upper {
					start = i + 1
				}
			}
		}
	}
	add(id)
	parts := strings.Split(path, "/")
	for _, p := range slices.Backward(parts) {
		if !strings.Contains(p, "{") {
			add(p)
		} else if _, after, ok := strings.Cut(p, "}"); ok {
			add(after)
		}
	}
	return out
}
