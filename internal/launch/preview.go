package launch

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/assenthq/assent/client"
)

const (
	previewTime = 5 * time.Minute // a plan of a large place takes minutes
	maxPlan     = 64 << 20        // bytes that a tool may print for a preview
	maxDetail   = 64 << 10        // of them that people are shown
)

// errNoPreview says why a tool that has previews has none for a command.
type errNoPreview string

func (e errNoPreview) Error() string { return string(e) }

// preview asks the tool itself what the command would do, where it can tell without
// doing it. It runs before anybody was asked: a plan reads, and runs what its
// configuration names. A tool that can't say is no reason not to ask.
func (p *Prepared) preview(ctx context.Context) {
	if p.r.NoPreview || p.r.Script != "" || p.script() {
		return
	}
	var look func(context.Context, []string) (*client.CommandPreview, error)
	tool := filepath.Base(p.r.Argv[0])
	switch tool {
	case "terraform", "tofu":
		look = p.terraform
	case "kubectl":
		look = p.kubectl
	default:
		return
	}
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	got, err := look(ctx, p.r.Argv)
	if got == nil && err == nil {
		return // nothing that changes anything
	}
	if err != nil {
		got = &client.CommandPreview{Why: "it could not say"}
		var why errNoPreview
		if errors.As(err, &why) {
			got.Why = why.Error()
		}
	}
	got.Tool, got.Time = tool, time.Now().UTC()
	if len(got.Detail) > maxDetail {
		cut := strings.LastIndexByte(got.Detail[:maxDetail], '\n') + 1
		got.Detail = got.Detail[:cut] + "… and more that is not shown\n"
	}
	if !sendable(got.Detail) {
		got.Detail = strings.ToValidUTF8(strings.ReplaceAll(got.Detail, "\ufffd", "?"), "?")
	}
	p.question.Preview = got
}

// tool runs the command's own program with other arguments, and returns what it
// printed with its exit status.
func (p *Prepared) tool(ctx context.Context, args []string, input bool) ([]byte, int, error) {
	cmd := exec.CommandContext(ctx, opened(p.binary, p.path), args...)
	cmd.Args[0] = p.r.Argv[0]
	cmd.Dir, cmd.Env = p.dir, append(append([]string{}, p.env...), "TF_IN_AUTOMATION=1", "TF_INPUT=0")
	if input && p.input.spool != nil && p.input.rest == nil {
		cmd.Stdin = io.NewSectionReader(p.input.spool, 0, p.input.bytes)
	}
	cmd.WaitDelay = lingering
	out := &bounded{max: maxPlan}
	cmd.Stdout, cmd.Stderr = out, io.Discard
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return out.Bytes(), exit.ExitCode(), nil
	}
	return out.Bytes(), 0, err
}

// bounded keeps what is written up to max, and fails past it.
type bounded struct {
	bytes.Buffer
	max int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.max {
		return 0, errors.New("the tool printed too much")
	}
	return b.Buffer.Write(p)
}

// bind is a digest of what a tool planned, values among it, under the account's key.
func bind(planned ...[]byte) (string, error) {
	key, err := valuesKey()
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	for _, b := range planned {
		fmt.Fprintf(mac, "%d ", len(b))
		mac.Write(b)
	}
	return hex.EncodeToString(mac.Sum(nil)), nil
}

// privateDir is a directory of ours alone that Close removes.
func (p *Prepared) privateDir() (string, error) {
	dir, err := os.MkdirTemp("", "assent-plan-*")
	if err == nil {
		p.dirs = append(p.dirs, dir)
	}
	return dir, err
}
