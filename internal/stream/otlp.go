package stream

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	logs "go.opentelemetry.io/proto/slim/otlp/logs/v1"
)

// OTLPOptions of a receiver of OpenTelemetry logs over HTTP (OTLP 1.x, binary protobuf).
type OTLPOptions struct {
	URL     string // whole, such as https://collector:4318/v1/logs
	Client  *http.Client
	Headers map[string]string // of each request: credentials
	Node    string
	Version string
}

type otlp struct{ o OTLPOptions }

// NewOTLP calls nobody yet.
func NewOTLP(o OTLPOptions) Sink { return &otlp{o} }

func (s *otlp) Close() { s.o.Client.CloseIdleConnections() }

func text(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: strings.ToValidUTF8(s, "\ufffd")}}
}

func attribute(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: text(value)}
}

// logRecord is an event as OpenTelemetry's data model of logs has it.
func logRecord(e *Event) (*logs.LogRecord, error) {
	h, err := e.head()
	if err != nil {
		return nil, err
	}
	r := &logs.LogRecord{
		TimeUnixNano: uint64(h.Time.UnixNano()), ObservedTimeUnixNano: uint64(time.Now().UnixNano()),
		Body: text(string(e.Leaf)), EventName: "assent." + h.Type,
		SeverityNumber: [...]logs.SeverityNumber{logs.SeverityNumber_SEVERITY_NUMBER_INFO, logs.SeverityNumber_SEVERITY_NUMBER_WARN, logs.SeverityNumber_SEVERITY_NUMBER_ERROR}[h.weight()],
		SeverityText:   [...]string{"INFO", "WARN", "ERROR"}[h.weight()],
		Attributes: []*common.KeyValue{
			attribute("assent.log", e.Log), attribute("assent.lane", e.Lane), attribute("log.record.uid", e.ID()), attribute("assent.hash", e.hash()),
			{Key: "assent.index", Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: e.Index}}},
		},
	}
	if id, err := hex.DecodeString(h.Detail.Trace); err == nil && len(id) == 16 {
		r.TraceId = id
	}
	for _, a := range [...][2]string{
		{"assent.node", e.Node},
		{"assent.actor", h.Actor},
		{"assent.subject", h.Subject},
		{"assent.person", h.Person},
		{"session.id", h.Session},
		{"assent.gate", h.Gate},
		{"assent.resource", h.Resource},
		{"deployment.environment.name", h.Env},
		{"assent.decision", h.Decision},
		{"assent.approval", h.Approval},
		{"assent.grant", h.Grant},
		{"assent.outcome", h.Outcome},
	} {
		if a[1] != "" {
			r.Attributes = append(r.Attributes, attribute(a[0], a[1]))
		}
	}
	if len(h.Kinds) > 0 {
		kinds := &common.ArrayValue{}
		for _, k := range h.Kinds {
			kinds.Values = append(kinds.Values, text(k))
		}
		r.Attributes = append(r.Attributes, &common.KeyValue{Key: "assent.kinds", Value: &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: kinds}}})
	}
	return r, nil
}

func (s *otlp) Send(ctx context.Context, events []Event) error {
	scope := &logs.ScopeLogs{Scope: &common.InstrumentationScope{Name: "github.com/assenthq/assent", Version: s.o.Version}}
	for i := range events {
		r, err := logRecord(&events[i])
		if err != nil {
			return err
		}
		scope.LogRecords = append(scope.LogRecords, r)
	}
	var said collector.ExportLogsServiceResponse
	if err := s.o.send(ctx, &collector.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{Resource: s.o.resource(), ScopeLogs: []*logs.ScopeLogs{scope}}}}, &said); err != nil {
		return err
	}
	if n := said.GetPartialSuccess().GetRejectedLogRecords(); n > 0 {
		// The protocol forbids sending them again, and doesn't say which they are.
		return &Refused{n, "partial_success of OTLP"}
	}
	return nil
}

func zip(body []byte) ([]byte, error) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(body); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 64 << 10

// post sends a body and returns the answer to it, if it is 2xx. What else the
// receiver says is in no error: it may repeat credentials.
func post(ctx context.Context, client *http.Client, url string, body []byte, head func(http.Header)) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	head(req.Header)
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("sending: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // only read
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case res.StatusCode/100 == 2:
		return answer, err
	case res.StatusCode == http.StatusRequestEntityTooLarge:
		return nil, ErrTooLarge
	}
	err = &StatusError{res.StatusCode}
	if in, ok := retryAfter(res.Header.Get("Retry-After")); ok {
		return nil, &RetryAfter{err, in}
	}
	return nil, err
}

// A StatusError is an answer that isn't 2xx.
type StatusError struct{ Status int }

func (e *StatusError) Error() string {
	return "the receiver answered " + strconv.Itoa(e.Status) + hint(e.Status)
}

func hint(status int) string {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return ": check the stream's credentials"
	case status == http.StatusNotFound:
		return ": check the stream's url"
	case status/100 == 3:
		return ": a redirect isn't followed; give the address it leads to"
	}
	return ""
}

// retryAfter reads the header of RFC 9110 section 10.2.3.
func retryAfter(s string) (time.Duration, bool) {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 {
		return time.Duration(min(n, 3600)) * time.Second, true
	}
	if t, err := http.ParseTime(s); err == nil {
		return min(max(time.Until(t), 0), time.Hour), true
	}
	return 0, false
}
