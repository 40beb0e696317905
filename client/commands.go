package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// A Command is what this machine would run: Argv without a shell, or the bash source
// Script. docs/commands.md says what each member is for.
type Command struct {
	Argv   []string `json:"argv,omitempty"`
	Script string   `json:"script,omitempty"`

	Dir  string `json:"dir"`
	Home string `json:"home,omitempty"`
	Host string `json:"host"`
	User string `json:"user"`

	Binary  *CommandFile    `json:"binary,omitempty"`
	Files   []CommandFile   `json:"files,omitempty"`
	Stdin   *CommandStdin   `json:"stdin,omitempty"`
	Env     *CommandEnv     `json:"env,omitempty"`
	Preview *CommandPreview `json:"preview,omitempty"`
	Context *CommandContext `json:"context,omitempty"`
}

// A CommandFile is a file as it is now. Content is sent where it is text of at most 1 MiB.
type CommandFile struct {
	Path    string  `json:"path"`
	SHA256  string  `json:"sha256"`
	Content *string `json:"content,omitempty"`
}

// A CommandStdin is what the command would read.
type CommandStdin struct {
	SHA256  string  `json:"sha256,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`
	Content *string `json:"content,omitempty"`
	Live    bool    `json:"live,omitempty"` // it comes while the command runs
}

// A CommandEnv names the variables that change what a command does, with a digest of their values.
type CommandEnv struct {
	Names  []string `json:"names,omitempty"`
	Digest string   `json:"digest,omitempty"`
}

// A CommandPreview is what a tool here says that the command would do; nil counts are unknown.
type CommandPreview struct {
	Tool     string    `json:"tool"`
	Creates  *int64    `json:"creates,omitempty"`
	Changes  *int64    `json:"changes,omitempty"`
	Destroys *int64    `json:"destroys,omitempty"`
	Detail   string    `json:"detail,omitempty"`
	Digest   string    `json:"digest,omitempty"`
	Why      string    `json:"why,omitempty"`
	Time     time.Time `json:"time"`
}

// A CommandContext is the asker's own words.
type CommandContext struct {
	Reason  string `json:"reason,omitempty"`
	Ticket  string `json:"ticket,omitempty"`
	Session string `json:"session,omitempty"`
	Intent  string `json:"intent,omitempty"`
	Parent  string `json:"parent,omitempty"`
}

// A CommandAnswer permits one run, or says what it waits for.
type CommandAnswer struct {
	Run     string            `json:"run"` // "" while it waits
	Masks   map[string]string `json:"masks"`
	Pending *CommandPending   `json:"pending"`
}

// A CommandPending is what a command waits for.
type CommandPending struct {
	Approval string    `json:"approval"`
	URL      string    `json:"url"`
	Who      string    `json:"who"`
	Expires  time.Time `json:"expires"`
}

// A RunOutcome is how a command ended.
type RunOutcome struct {
	Ran    bool   `json:"ran"`
	Exit   int    `json:"exit,omitempty"`
	Signal string `json:"signal,omitempty"` // "KILL"
	Bytes  int64  `json:"bytes,omitempty"`
	Millis int64  `json:"millis,omitempty"`
}

// AskCommand asks whether c may run here, waiting for people for up to 50 seconds of wait. more
// says that it is asked again at once after a wait. An answer without a Run is no permission.
func (c *Client) AskCommand(ctx context.Context, cmd *Command, wait time.Duration, more bool) (*CommandAnswer, error) {
	body := struct {
		*Command
		Wait int  `json:"wait,omitempty"`
		More bool `json:"more,omitempty"`
	}{cmd, int(min(max(wait, 0), 50*time.Second) / time.Second), more}
	resp, err := c.send(ctx, http.MethodPost, "/v1/commands", nil, body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var out CommandAnswer
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&out); err != nil {
		return nil, fmt.Errorf("the answer to a command is not what it should be: %w", err)
	}
	if permitted := resp.StatusCode == http.StatusOK && out.Run != ""; permitted != (out.Pending == nil) || !permitted && out.Run != "" {
		return nil, fmt.Errorf("the answer to a command says neither yes nor what it waits for")
	}
	return &out, nil
}

// An Environment is what a program needs to know to work through a server's gates.
type Environment struct {
	URL      string            `json:"url"`
	Gates    []EnvironmentGate `json:"gates"`
	Commands string            `json:"commands"` // the gate that takes the caller's commands
	Egress   *Egress           `json:"egress"`   // nil: there is no gate of HTTP on its way out
}

// An EnvironmentGate is one gate that listens.
type EnvironmentGate struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Address  string `json:"address"` // host:port
	Env      string `json:"env"`
	Database string `json:"database"`
	TLS      bool   `json:"tls"`
	Region   string `json:"region"` // of a gate of AWS

	CA string `json:"ca"` // of a gate of Kubernetes: what clients are to trust (PEM); "": what their machine knows

	Providers []EnvironmentProvider `json:"providers"` // of a gate of language models
}

// An EnvironmentProvider is a provider of models behind a gate, at /NAME.
type EnvironmentProvider struct {
	Name string `json:"name"`
	API  string `json:"api"` // whose API it speaks: openai or anthropic
}

// An Egress is a proxy that HTTP goes out through.
type Egress struct {
	Proxy string `json:"proxy"` // without a credential
	CA    string `json:"ca"`    // certificate of the authority that it signs with (PEM)
}

// Environment asks which gates there are.
func (c *Client) Environment(ctx context.Context) (*Environment, error) {
	var out Environment
	if err := c.do(ctx, http.MethodGet, "/v1/environment", nil, nil, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// AWSCredentials are a short-lived key pair for gates of AWS.
type AWSCredentials struct {
	AccessKeyID     string    `json:"AccessKeyId"`
	SecretAccessKey string    `json:"SecretAccessKey"`
	Token           string    `json:"Token"`
	Expiration      time.Time `json:"Expiration"`
}

// AWSCredentials asks for a key pair.
func (c *Client) AWSCredentials(ctx context.Context) (*AWSCredentials, error) {
	var out AWSCredentials
	if err := c.do(ctx, http.MethodGet, "/v1/aws/credentials", nil, nil, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// MaskOutput masks a piece of what a run printed: whole lines.
func (c *Client) MaskOutput(ctx context.Context, run, text string) (string, error) {
	type body struct {
		Text string `json:"text"`
	}
	var out body
	err := c.do(ctx, http.MethodPost, "/v1/commands/"+url.PathEscape(run)+"/output", nil, body{text}, &out)
	return out.Text, err
}

// EndRun tells how a run ended.
func (c *Client) EndRun(ctx context.Context, run string, o RunOutcome) error {
	return c.do(ctx, http.MethodPost, "/v1/commands/"+url.PathEscape(run)+"/outcome", nil, o, nil)
}
