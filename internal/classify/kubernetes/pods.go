package kubernetes

import (
	"encoding/json"
	"strings"

	"github.com/assenthq/assent/action"
)

// member judges one member of an object by its name, wherever it stands. Names
// are compared without case: some servers behind the API server do.
func (w *walker) member(name string, v any) {
	fold := strings.ToLower(name)
	if strings.HasPrefix(fold, "pod-security.kubernetes.io/") {
		w.out.add("it changes which pods the namespace lets run", action.PrivilegeChange)
	}
	if w.pods {
		w.pod(fold, v)
	}
	switch fold {
	case "replicas":
		if n, is := v.(json.Number); is {
			w.out.add("replicas " + clip(n.String(), 12))
		}
	case "kubectl.kubernetes.io/restartedat":
		w.out.add("it restarts what runs")
	}
	w.value(v)
}

// pod judges a member of a pod or its template: what takes the node, another's
// identity, or secrets.
func (w *walker) pod(name string, v any) {
	w.seen[name] = true
	switch name {
	case "hostpath":
		if v != nil {
			w.out.add("it mounts a path of the node", action.PrivilegeChange)
		}
	case "local":
		if m, is := v.(map[string]any); is && m["path"] != nil || v == (unread{}) {
			w.out.add("it mounts a path of the node", action.PrivilegeChange)
		}
	case "gitrepo":
		if v != nil {
			w.out.add("it has the node fetch a repository", action.PrivilegeChange, action.NetFetch)
		}
	case "sysctls":
		if list, is := v.([]any); v != nil && (!is || len(list) > 0) {
			w.out.add("it sets parameters of the kernel", action.PrivilegeChange)
		}
	case "privileged", "hostnetwork", "hostpid", "hostipc", "hostprocess":
		if on(v) {
			w.out.add(map[string]string{
				"privileged": "it runs privileged", "hostnetwork": "it uses the node's network",
				"hostpid": "it sees the node's processes", "hostprocess": "it runs as a process of the node", "hostipc": "it shares the node's memory",
			}[name], action.PrivilegeChange)
		}
	case "procmount", "type", "seccompprofile", "localhostprofile":
		if s, _ := v.(string); strings.EqualFold(s, "unmasked") || strings.EqualFold(s, "unconfined") || v == (unread{}) {
			w.out.add("it runs without the usual confinement", action.PrivilegeChange)
		}
	case "capabilities":
		if added(v) {
			w.out.add("it adds capabilities", action.PrivilegeChange)
		}
	case "serviceaccountname", "serviceaccount", "deprecatedserviceaccount":
		if s, is := v.(string); v != nil && (!is || s != "" && s != "default") {
			w.out.add(strings.TrimSpace("it runs as service account "+clip(s, 100)), action.PrivilegeChange)
		}
	case "nodename":
		if s, is := v.(string); v != nil && (!is || s != "") {
			w.out.add("it chooses its node", action.PrivilegeChange)
		}
	case "hostport":
		if n, is := v.(json.Number); v != nil && (!is || n.String() != "0") {
			w.out.add("it opens a port of the node", action.NetworkChange)
		}
	case "secretkeyref", "secretname", "secret":
		if v != nil {
			w.out.add("it is given a secret", action.SecretAccess)
		}
	case "serviceaccounttoken", "clustertrustbundle", "podcertificate":
		if v != nil {
			w.out.add("it is given a token or certificate of the cluster", action.SecretAccess)
		}
	case "image":
		if s, is := v.(string); is && s != "" {
			w.images = append(w.images, s)
		} else if v == (unread{}) {
			w.images = append(w.images, "copied from elsewhere")
		}
	}
	if strings.HasSuffix(name, "secretref") && v != nil {
		w.out.add("it is given a secret", action.SecretAccess)
	}
	if strings.HasPrefix(name, "container.apparmor.security.beta.kubernetes.io/") {
		if s, _ := v.(string); !strings.EqualFold(s, "runtime/default") {
			w.out.add("it runs without the usual confinement", action.PrivilegeChange)
		}
	}
}

// raw counts what stands in the text of YAML and was not met when it was read: the
// API server's parser may read it otherwise.
func (w *walker) raw(body []byte) {
	text := strings.ToLower(string(body))
	for _, name := range []string{"hostpath", "privileged", "hostnetwork", "hostpid", "hostipc", "capabilities", "serviceaccountname", "nodename", "secretkeyref", "secretname"} {
		if w.pods && !w.seen[name] && strings.Contains(text, name) {
			w.pod(name, unread{})
		}
	}
}

// on says that v is not plainly false. YAML has many words for true.
func on(v any) bool { return v != nil && v != false && v != "false" }

func added(v any) bool {
	m, is := v.(map[string]any)
	if !is {
		return v != nil
	}
	for k, e := range m {
		if !strings.EqualFold(k, "add") {
			continue
		}
		if list, is := e.([]any); e != nil && (!is || len(list) > 0) {
			return true
		}
	}
	return false
}
