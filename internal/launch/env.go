package launch

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assenthq/assent/client"
)

// ShimsVariable names the directory of links that assent run puts before PATH. A
// command that came through one of them finds the real program behind it.
const ShimsVariable = "ASSENT_SHIMS"

func valueOf(env []string, name string) string {
	for _, kv := range slices.Backward(env) {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			return v
		}
	}
	return ""
}

// withoutShims takes the directory of links out of PATH.
func withoutShims(env []string) []string {
	shims := valueOf(env, ShimsVariable)
	if shims == "" {
		return env
	}
	out := slices.Clone(env)
	for i, kv := range out {
		if k, v, _ := strings.Cut(kv, "="); k == "PATH" {
			dirs := slices.DeleteFunc(filepath.SplitList(v), func(d string) bool { return d == shims })
			out[i] = "PATH=" + strings.Join(dirs, string(os.PathListSeparator))
		}
	}
	return out
}

// matters says that a variable changes which program runs, what it loads, or which
// system it reaches.
func matters(name string) bool {
	switch name {
	case "PATH", "HOME", "SHELL", "IFS", "CDPATH", "BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP",
		"NODE_OPTIONS", "NODE_PATH", "PERL5OPT", "PERL5LIB", "RUBYOPT", "RUBYLIB", "JAVA_TOOL_OPTIONS", "CLASSPATH", "KUBECONFIG", "EDITOR", "VISUAL", "PAGER",
		"http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "DATABASE_URL", "SSH_AUTH_SOCK":
		return true
	}
	for _, prefix := range []string{"LD_", "DYLD_", "BASH_FUNC_", "AWS_", "AZURE_", "ARM_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_", "TF_", "GIT_", "DOCKER_", "HELM_", "PG", "MYSQL_", "VAULT_", "NPM_CONFIG_", "npm_config_", "CARGO_", "GO", "PIP_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// describeEnv names what matters of env, with a digest of its values under a key of this account.
func describeEnv(env []string) (*client.CommandEnv, error) {
	values := map[string]string{}
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok && matters(k) && sendable(k) && (k != "PGAPPNAME" || !strings.HasPrefix(v, "assent/")) { // which only says what led to it
			values[k] = v
		}
	}
	key, err := valuesKey()
	if err != nil {
		return nil, err
	}
	out := &client.CommandEnv{}
	mac := hmac.New(sha256.New, key)
	for k := range values {
		out.Names = append(out.Names, k)
	}
	slices.Sort(out.Names)
	for _, k := range out.Names {
		fmt.Fprintf(mac, "%d %s %d %s\n", len(k), k, len(values[k]), values[k])
	}
	out.Digest = hex.EncodeToString(mac.Sum(nil))
	return out, nil
}

// valuesKey is the key of digests of values, made once for an account: without it nobody
// guesses a value from its digest.
func valuesKey() ([]byte, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil, fmt.Errorf("finding a place for the key of digests: %w (set HOME)", err)
	}
	file := filepath.Join(dir, "assent", "values.key")
	if key, err := os.ReadFile(file); err == nil && len(key) == sha256.Size {
		return key, nil
	}
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, fmt.Errorf("keeping the key of digests: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), "values-*") // 0600
	if err != nil {
		return nil, fmt.Errorf("keeping the key of digests: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(key)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		if err = os.Link(tmp.Name(), file); os.IsExist(err) { // another made it meanwhile
			var other []byte
			if other, err = os.ReadFile(file); err == nil && len(other) == sha256.Size {
				return other, nil
			}
			err = os.Rename(tmp.Name(), file) // it was cut short
		}
	}
	if err != nil {
		return nil, fmt.Errorf("keeping the key of digests: %w", err)
	}
	return key, nil
}

// LeadsTo has what the command asks for in its turn name run as what led to it. It
// changes nothing that was asked about.
func (p *Prepared) LeadsTo(run string) {
	session, name := "", ""
	env := make([]string, 0, len(p.env)+1)
	for _, v := range p.env {
		k, value, _ := strings.Cut(v, "=")
		switch k {
		case "ASSENT_PARENT":
			continue
		case "ASSENT_SESSION":
			session = value
		case "PGAPPNAME":
			name = value
			if strings.HasPrefix(name, "assent/") { // ours, as assent run sets it
				continue
			}
		}
		env = append(env, v)
	}
	env = append(env, "ASSENT_PARENT="+run)
	if strings.HasPrefix(name, "assent/") {
		env = append(env, "PGAPPNAME=assent/"+session+"/"+run)
	}
	p.env = env
}
