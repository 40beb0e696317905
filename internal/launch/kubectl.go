package launch

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/assenthq/assent/client"
)

// kubectl asks the API server for a dry run: apply as a difference, in which kubectl
// hides what Secrets hold, and the others as names of what they would touch.
// https://kubernetes.io/docs/reference/kubectl/generated/kubectl_diff/
func (p *Prepared) kubectl(ctx context.Context, argv []string) (*client.CommandPreview, error) {
	at := kubectlVerb(argv)
	if at < 0 {
		return nil, nil
	}
	verb := argv[at]
	for _, w := range argv {
		if w == "--" {
			break
		}
		if strings.HasPrefix(w, "--dry-run") {
			return nil, nil
		}
		if w == "--raw" || strings.HasPrefix(w, "--raw=") || w == "--prune" || strings.HasPrefix(w, "--prune=") {
			return nil, errNoPreview("no dry run tells what " + w + " does")
		}
	}
	if verb == "apply" {
		return p.kubectlDiff(ctx, argv, at)
	}
	args := slices.DeleteFunc(slices.Clone(argv[1:]), func(w string) bool {
		return strings.HasPrefix(w, "-o=") || strings.HasPrefix(w, "--output=") || w == "--wait" || strings.HasPrefix(w, "--wait=")
	})
	if slices.Contains(args, "-o") || slices.Contains(args, "--output") {
		return nil, errNoPreview("it prints in a form of its own")
	}
	text, status, err := p.tool(ctx, append(args, "--dry-run=server", "-o", "name"), true)
	if err != nil || status != 0 {
		return nil, errNoPreview("its dry run failed")
	}
	n := int64(len(strings.Fields(string(text))))
	zero := int64(0)
	out := &client.CommandPreview{Creates: &zero, Changes: &zero, Destroys: &zero, Detail: string(text)}
	switch verb {
	case "delete":
		out.Destroys = &n
	case "create":
		out.Creates = &n
	default:
		out.Changes = &n
	}
	out.Digest, err = bind(text)
	return out, err
}

var (
	kubectlTemp = regexp.MustCompile(`\S*/(LIVE|MERGED)-\d+/`)
	kubectlTime = regexp.MustCompile(`(?m)^((?:---|\+\+\+) \S+)\t.*$`)
)

func (p *Prepared) kubectlDiff(ctx context.Context, argv []string, at int) (*client.CommandPreview, error) {
	args := slices.Clone(argv[1:])
	args[at-1] = "diff"
	args = slices.DeleteFunc(args, func(w string) bool { return w == "--wait" || strings.HasPrefix(w, "--wait=") })
	text, status, err := p.tool(ctx, args, true)
	if err != nil || status > 1 {
		return nil, errNoPreview("its difference can't be told")
	}
	// Names of temporary files and times differ each time, and say nothing.
	plain := kubectlTime.ReplaceAllString(kubectlTemp.ReplaceAllString(string(text), "$1/"), "$1")
	var creates, changes, destroys int64
	for _, one := range strings.Split("\n"+plain, "\ndiff ")[1:] {
		if strings.Contains(one, "\n@@ -0,0 +") {
			creates++
		} else {
			changes++
		}
	}
	if creates+changes == 0 && status == 1 {
		return nil, errNoPreview("its difference is not in a form that is known here")
	}
	digest, err := bind([]byte(plain))
	return &client.CommandPreview{Creates: &creates, Changes: &changes, Destroys: &destroys, Detail: plain, Digest: digest}, err
}

// kubectlVerb is the index of a subcommand that changes something; -1: of another, or none.
func kubectlVerb(argv []string) int {
	for i := 1; i < len(argv); i++ {
		switch w := argv[i]; {
		case w == "-n" || w == "--namespace" || w == "--context" || w == "--kubeconfig" || w == "--cluster" || w == "--user" || w == "-s" || w == "--server" || w == "--as" || w == "--as-group" || w == "--token" || w == "--request-timeout":
			i++
		case strings.HasPrefix(w, "-"):
		case slices.Contains([]string{"apply", "replace", "delete", "patch", "scale", "create"}, w):
			return i
		default:
			return -1
		}
	}
	return -1
}
