package kubetest

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Seed puts a node, a pod on it and a few things with planted in their values into the namespace shop.
func (c *Cluster) Seed(planted string) error {
	objects := []string{
		`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}`,
		`{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"}}`,
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"shop"},"spec":{"nodeName":"n1","containers":[{"name":"c","image":"nginx:1.0","env":[{"name":"DB_PASSWORD","value":"` + planted + `"}]}]}}`,
		`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"db","namespace":"shop"},"stringData":{"password":"` + planted + `"}}`,
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"app","namespace":"shop"},"data":{"note":"password=` + planted + `"}}`,
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"nginx:1.0"}]}}}}`,
	}
	for _, o := range objects {
		if out, err := c.Kubectl(strings.NewReader(o), "create", "-f", "-"); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	status := fmt.Sprintf(`{"status":{"addresses":[{"type":"InternalIP","address":"127.0.0.1"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":%d}},"conditions":[{"type":"Ready","status":"True"}]}}`, c.Kubelet)
	if out, err := c.Kubectl(nil, "patch", "node", "n1", "--subresource=status", "--type=merge", "-p", status); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if out, err := c.Kubectl(nil, "-n", "shop", "patch", "pod", "web", "--subresource=status", "--type=merge", "-p", `{"status":{"phase":"Running","podIP":"10.1.2.3","podIPs":[{"ip":"10.1.2.3"}],"containerStatuses":[{"name":"c","ready":true,"restartCount":0,"image":"nginx:1.0","imageID":"x","state":{"running":{}}}]}}`); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// Kubectl is kubectl with the cluster's own credential.
func (c *Cluster) Kubectl(in io.Reader, args ...string) (string, error) {
	config, err := os.MkdirTemp("", "assent-direct-*")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(config) }()
	path := filepath.Join(config, "config")
	if err := WriteConfig(path, c.URL, c.CA, Token); err != nil {
		return "", err
	}
	return Kubectl(context.Background(), path, in, args...)
}

// WriteConfig writes a kubeconfig for the namespace shop.
func WriteConfig(path, server string, ca []byte, token string) error {
	return os.WriteFile(path, []byte(`{"apiVersion":"v1","kind":"Config","current-context":"x",
"clusters":[{"name":"x","cluster":{"server":"`+server+`","certificate-authority-data":"`+base64.StdEncoding.EncodeToString(ca)+`"}}],
"users":[{"name":"x","user":{"token":"`+token+`"}}],"contexts":[{"name":"x","context":{"cluster":"x","user":"x","namespace":"shop"}}]}`), 0o600)
}

// Kubectl runs kubectl with a kubeconfig, and returns all that it prints.
func Kubectl(ctx context.Context, config string, in io.Reader, args ...string) (string, error) {
	program, err := Program("kubectl")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"--cache-dir", filepath.Dir(config)}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+config, "HOME="+filepath.Dir(config))
	cmd.Stdin = in
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}
