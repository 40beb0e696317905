package stream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// WebhookOptions of a receiver of batches of CloudEvents (JSON batch format), signed as Standard Webhooks has it.
type WebhookOptions struct {
	URL    string
	Client *http.Client
	// Sign names and signs a request; nil where Headers hold what the receiver trusts.
	Sign    func(req http.Header, id string, body []byte)
	Headers map[string]string
	// Lines sends one JSON object a line in place of CloudEvents.
	Lines bool
}

type hook struct{ o WebhookOptions }

// NewWebhook calls nobody yet.
func NewWebhook(o WebhookOptions) (Sink, error) {
	if o.Sign == nil && len(o.Headers) == 0 {
		return nil, errors.New("a webhook needs secrets to sign with, or headers with a credential: its receiver could not tell us from others")
	}
	return &hook{o}, nil
}

func (s *hook) Close() { s.o.Client.CloseIdleConnections() }

// cloudEvent is an event as CloudEvents 1.0 has it.
type cloudEvent struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Time        time.Time       `json:"time"`
	ContentType string          `json:"datacontenttype"`
	Data        json.RawMessage `json:"data"`
}

func (s *hook) Send(ctx context.Context, events []Event) error {
	var body bytes.Buffer
	for i := range events {
		e := &events[i]
		line, err := e.JSON()
		if err != nil {
			return err
		}
		switch {
		case s.o.Lines:
			body.Write(line)
			body.WriteByte('\n')
			continue
		case i == 0:
			body.WriteByte('[')
		default:
			body.WriteByte(',')
		}
		h, err := e.head()
		if err != nil {
			return err
		}
		own, err := json.Marshal(cloudEvent{"1.0", e.ID(), e.Log, "dev.assent.record." + h.Type, h.Time, "application/json", json.RawMessage("0")})
		if err != nil {
			return err
		}
		body.Write(own[:len(own)-2])
		body.Write(line) // as it is: its hash is of these bytes
		body.WriteByte('}')
	}
	kind := "application/x-ndjson"
	if !s.o.Lines {
		body.WriteByte(']')
		kind = "application/cloudevents-batch+json"
	}
	// The same batch has the same id, however often it is sent.
	sum := sha256.Sum256([]byte(events[0].ID() + " " + events[len(events)-1].ID()))
	_, err := post(ctx, s.o.Client, s.o.URL, body.Bytes(), func(h http.Header) {
		h.Set("Content-Type", kind)
		for name, value := range s.o.Headers {
			h.Set(name, value)
		}
		if s.o.Sign != nil {
			s.o.Sign(h, "batch_"+hex.EncodeToString(sum[:16]), body.Bytes())
		}
	})
	return err
}
