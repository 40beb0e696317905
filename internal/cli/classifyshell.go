package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/shell"
	"github.com/assenthq/assent/internal/policy"
	"github.com/spf13/cobra"
)

func (a *app) classifyShellCmd() *cobra.Command {
	var o classifyFlags
	var argv bool
	c := &cobra.Command{
		Use:   "shell [COMMAND...]",
		Short: "Kinds, verdict and reasons of shell commands",
		Long: `Say which kinds of effect each command has, what policy would answer, and why.

Arguments are one bash script each; with --argv they are together one command
that no shell sees: --argv -- cmd args…. Or JSON lines with "script" or "argv"
(and "id") on standard input. The verdict is that of the built-in pack, or of
--policy, for an actor that has seen nothing it must not carry out. Nothing is run.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.classifier(cmd, o)
			if err != nil {
				return err
			}
			switch {
			case argv && len(args) == 0:
				return usage(cmd, "--argv wants a command behind --")
			case argv:
				return a.printClassified(strings.Join(args, " "), cl.shell("", shell.Argv(args, shell.Context{}), strings.Join(args, " ")))
			case len(args) > 0:
				for _, text := range args {
					if err := a.printClassified(text, cl.shell("", shell.Script(text, shell.Context{}), text)); err != nil {
						return err
					}
				}
				return nil
			}
			return a.classifyLines(`{"script":"ls -l"}`, `"script" or "argv" (and "id")`, func(line []byte) (string, classified, bool) {
				var l struct {
					ID     string    `json:"id"`
					Script *string   `json:"script"`
					Argv   *[]string `json:"argv"`
				}
				if err := json.Unmarshal(line, &l); err != nil || (l.Script == nil) == (l.Argv == nil) {
					return "", classified{}, false
				}
				if l.Script != nil {
					return *l.Script, cl.shell(l.ID, shell.Script(*l.Script, shell.Context{}), *l.Script), true
				}
				text := strings.Join(*l.Argv, " ")
				return text, cl.shell(l.ID, shell.Argv(*l.Argv, shell.Context{}), text), true
			})
		},
	}
	o.bind(c)
	c.Flags().BoolVar(&argv, "argv", false, "the arguments are one command and its words, for no shell")
	return c
}

// shell decides an analysis as a gate would, with nothing known but the text.
func (c *classifier) shell(id string, an shell.Analysis, text string) classified {
	out := classified{ID: id, Kinds: []string{}, Why: append([]string{}, an.Why...)}
	for _, k := range an.Kinds {
		out.Kinds = append(out.Kinds, string(k))
	}
	if an.Harmless != "" {
		out.Verdict, out.Why = policy.Allow.String(), append(out.Why, "harmless: "+an.Harmless)
		return out
	}
	act := &action.Action{
		Kinds: an.Kinds, Verb: an.Verb, Target: an.Target, Title: an.Title, Shape: an.Shape, Reversible: an.Reversible, Routine: an.Routine,
		Resource: action.Resource{URN: "command:example", Type: "command", Env: c.env}, Objects: an.Writes, Statement: text, Payload: []byte(text),
		Subject: "person:someone", Actors: []action.Link{{ID: c.actor + ":someone", Type: c.actor}},
		Data: action.Data{Destination: strings.Join(an.Hosts, ",")},
	}
	if act.Data.Destination == "" {
		act.Data.Destination = "client"
	}
	c.findData(act)
	in := policy.Input{Action: act, SubjectID: act.Subject, ActorID: act.Actors[0].ID, ActorType: c.actor, ActorOwner: act.Subject, Time: time.Now(), Tainted: policy.No}
	in.Weigh()
	d := c.set.Explain(&in)
	for _, h := range d.Rules {
		out.Why = append(out.Why, fmt.Sprintf("%s: rule %s of pack %s", h.Then, h.Rule, h.Pack))
	}
	out.Verdict = d.Verdict.String()
	return out
}
