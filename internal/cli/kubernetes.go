package cli

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/assenthq/assent/client"
	"github.com/spf13/cobra"
)

func (a *app) kubernetesCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "kubernetes", Aliases: []string{"k8s"}, Short: "Lead kubectl through a gate"})
	c.AddCommand(a.kubeconfigCmd(), a.kubernetesTokenCmd())
	return c
}

func (a *app) kubeconfigCmd() *cobra.Command {
	var tokenFile, namespace string
	var static bool
	c := &cobra.Command{
		Use:   "kubeconfig [GATE]",
		Short: "Print a kubeconfig that leads through the Kubernetes gates",
		Long: `Print a kubeconfig with a context for each Kubernetes gate of the server, or for
GATE alone. kubectl asks assent kubernetes token for the credential each time it
starts, so that none stands in the file; with --static it stands there.

assent run sets KUBECONFIG to such a file by itself.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := actorToken(tokenFile)
			if err != nil {
				return err
			}
			api, err := client.New(a.server(), token, nil)
			if err != nil {
				return &exitError{exitConfig, err}
			}
			found, err := api.Environment(cmd.Context())
			if err != nil {
				return notPermitted(cmd.Context(), err)
			}
			k := kubeconfig{namespace: namespace, tokenFile: tokenFile}
			if static {
				k.token = token
			}
			b, err := k.write(found, strings.Join(args, ""))
			if err != nil {
				return err
			}
			if b == nil {
				return failf(exitUsage, "the server has no Kubernetes gate%s", map[bool]string{true: " of that name"}[len(args) > 0])
			}
			a.printf("%s", b)
			return nil
		},
	}
	c.Flags().StringVar(&tokenFile, "token-file", "", "file that holds the actor's credential (default $ASSENT_TOKEN)")
	c.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace of the contexts")
	c.Flags().BoolVar(&static, "static", false, "write the credential itself into the file")
	return c
}

func (a *app) kubernetesTokenCmd() *cobra.Command {
	var tokenFile string
	c := &cobra.Command{
		Use:   "token",
		Short: "Print the actor's credential in the form that kubectl asks for",
		Long: `Print an ExecCredential (client.authentication.k8s.io/v1) with the actor's
credential. kubectl runs this by itself, as kubeconfigs of
assent kubernetes kubeconfig tell it to.`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			token, err := actorToken(tokenFile)
			if err != nil {
				return err
			}
			return a.printJSON(map[string]any{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": map[string]string{"token": token}})
		},
	}
	c.Flags().StringVar(&tokenFile, "token-file", "", "file that holds the actor's credential (default $ASSENT_TOKEN)")
	return c
}

// A kubeconfig is how kubectl is led through gates
// (https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/). JSON is YAML too.
type kubeconfig struct {
	token     string // "": kubectl asks this program
	tokenFile string
	namespace string
}

// write returns the file with the gates of found, or with the one of that name; nil: there is none.
func (k kubeconfig) write(found *client.Environment, only string) ([]byte, error) {
	user := map[string]any{"token": k.token}
	if k.token == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("finding this program: %w", err)
		}
		args := []string{"kubernetes", "token"}
		if k.tokenFile != "" {
			file, err := filepath.Abs(k.tokenFile)
			if err != nil {
				return nil, fmt.Errorf("finding the credential: %w", err)
			}
			args = append(args, "--token-file", file)
		}
		user = map[string]any{"exec": map[string]any{"apiVersion": "client.authentication.k8s.io/v1", "command": self, "args": args, "interactiveMode": "Never"}}
	}
	var clusters, contexts []map[string]any
	for _, g := range found.Gates {
		if g.Type != "kubernetes" || only != "" && g.Name != only {
			continue
		}
		address, err := reached(g.Address, found.URL)
		if err != nil {
			return nil, fmt.Errorf("the address of gate %s: %w", g.Name, err)
		}
		cluster := map[string]any{"server": "https://" + address}
		if g.CA != "" {
			cluster["certificate-authority-data"] = base64.StdEncoding.EncodeToString([]byte(g.CA))
		}
		context := map[string]any{"cluster": g.Name, "user": "assent"}
		if k.namespace != "" {
			context["namespace"] = k.namespace
		}
		clusters = append(clusters, map[string]any{"name": g.Name, "cluster": cluster})
		contexts = append(contexts, map[string]any{"name": g.Name, "context": context})
	}
	if len(clusters) == 0 {
		return nil, nil
	}
	b, err := json.MarshalIndent(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": contexts[0]["name"], "clusters": clusters, "contexts": contexts,
		"users": []map[string]any{{"name": "assent", "user": user}},
	}, "", "  ")
	return append(b, '\n'), err
}

// reached is a gate's address as a client reaches it: one that listens everywhere is where the server is.
func reached(address, server string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		u, err := url.Parse(server)
		if err != nil {
			return "", err
		}
		host = u.Hostname()
	}
	return net.JoinHostPort(host, port), nil
}

// clusterVariables lead kubectl and other clients of Kubernetes to the gates; remove takes their file away again.
func clusterVariables(found *client.Environment) (set []string, remove func(), err error) {
	remove = func() {}
	b, err := kubeconfig{}.write(found, "")
	if err != nil || b == nil {
		return nil, remove, err
	}
	dir, err := os.MkdirTemp("", "assent-kubeconfig-*")
	if err != nil {
		return nil, remove, fmt.Errorf("keeping the kubeconfig: %w", err)
	}
	remove = func() { _ = os.RemoveAll(dir) }
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		remove()
		return nil, func() {}, fmt.Errorf("keeping the kubeconfig: %w", err)
	}
	return []string{"KUBECONFIG=" + file}, remove, nil
}
