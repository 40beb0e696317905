package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/aws"
	"github.com/assenthq/assent/internal/policy"
	"github.com/spf13/cobra"
)

func (a *app) classifyAWSCmd() *cobra.Command {
	var o classifyFlags
	c := &cobra.Command{
		Use:   "aws [SERVICE:OPERATION...]",
		Short: "Kinds, verdict and reasons of AWS requests",
		Long: `Say which kinds of effect each request has, what policy would answer, and why.

Arguments are operations by name, such as ec2:TerminateInstances; what only
parameters tell is then not known. Or JSON lines with "service", "method",
"path", "query", "headers" and "body" (and "id") on standard input: service is
the one that the request is signed for. Nothing is sent.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.classifier(cmd, o)
			if err != nil {
				return err
			}
			judge, err := aws.New(aws.Options{})
			if err != nil {
				return err
			}
			for _, arg := range args {
				service, op, ok := strings.Cut(arg, ":")
				if !ok {
					return usage(cmd, "%q: want SERVICE:OPERATION, such as s3:DeleteObject", arg)
				}
				if err := a.printClassified(arg, cl.aws("", judge.Named(service, op), nil)); err != nil {
					return err
				}
			}
			if len(args) > 0 {
				return nil
			}
			return a.classifyLines(`{"service":"s3","method":"DELETE","path":"/bucket/key"}`, `"service", "method" and "path" (and "query", "headers", "body", "id")`, func(line []byte) (string, classified, bool) {
				var l struct {
					ID, Service, Method, Path, Query, Body string
					Headers                                map[string]string
				}
				if err := json.Unmarshal(line, &l); err != nil || l.Service == "" || l.Method == "" || l.Path == "" {
					return "", classified{}, false
				}
				r := aws.Request{Scope: l.Service, Method: l.Method, Path: l.Path, Query: l.Query, Header: http.Header{}, Body: []byte(l.Body)}
				for name, v := range l.Headers {
					r.Header.Set(name, v)
				}
				an, err := judge.Classify(r)
				return l.Method + " " + l.Path, cl.aws(l.ID, an, err), true
			})
		},
	}
	o.bind(c)
	return c
}

// aws decides an analysis as a gate would, with nothing known but the request.
func (c *classifier) aws(id string, an *aws.Analysis, err error) classified {
	out := classified{ID: id, Kinds: []string{}, Why: append([]string{}, an.Why...)}
	var refused *aws.Refused
	if errors.As(err, &refused) {
		out.Verdict, out.Why = policy.Deny.String(), []string{"refused: " + refused.Reason}
		return out
	}
	for _, k := range an.Kinds {
		out.Kinds = append(out.Kinds, string(k))
	}
	if an.Harmless != "" {
		out.Verdict, out.Why = policy.Allow.String(), append(out.Why, "harmless: "+an.Harmless)
		return out
	}
	act := &action.Action{
		Kinds: an.Kinds, Verb: an.Verb, Target: an.Target, Title: an.Title, Shape: an.Shape, Reversible: an.Reversible, Objects: an.Objects, Columns: an.Columns,
		Resource: action.Resource{URN: "aws:example", Type: "aws", Env: c.env}, Statement: an.Statement, Payload: []byte(an.Statement),
		Subject: "person:someone", Actors: []action.Link{{ID: c.actor + ":someone", Type: c.actor}},
		Data: action.Data{Rows: an.Limit, Destination: an.Destination, Inferred: len(an.Inferred) > 0 && c.classed(an.Inferred)},
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
