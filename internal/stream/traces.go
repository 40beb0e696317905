package stream

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	spans "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/assenthq/assent/internal/trace"
)

type traces struct{ o OTLPOptions }

// NewTraces is a receiver of OpenTelemetry's traces over HTTP (OTLP 1.x, binary protobuf). It calls nobody yet.
func NewTraces(o OTLPOptions) trace.Sink { return &traces{o} }

func (s *traces) Close() { s.o.Client.CloseIdleConnections() }

// Send implements trace.Sink.
func (s *traces) Send(ctx context.Context, batch []*trace.Span) (int, error) {
	scope := &spans.ScopeSpans{Scope: &common.InstrumentationScope{Name: "github.com/assenthq/assent", Version: s.o.Version}}
	for _, one := range batch {
		scope.Spans = append(scope.Spans, span(one))
	}
	var said collector.ExportTraceServiceResponse
	err := s.o.send(ctx, &collector.ExportTraceServiceRequest{ResourceSpans: []*spans.ResourceSpans{{Resource: s.o.resource(), ScopeSpans: []*spans.ScopeSpans{scope}}}}, &said)
	var later *RetryAfter
	var answered *StatusError
	switch {
	case errors.Is(err, ErrTooLarge) && len(batch) > 1:
		half := len(batch) / 2
		first, err := s.Send(ctx, batch[:half])
		if err != nil {
			return 0, err
		}
		second, err := s.Send(ctx, batch[half:])
		return first + second, err
	case errors.As(err, &later):
		return 0, &trace.Later{Err: err, In: later.In}
	case errors.Is(err, ErrTooLarge), errors.As(err, &answered) && !again(answered.Status):
		return 0, fmt.Errorf("%w: %w", err, trace.ErrNever)
	}
	return int(min(said.GetPartialSuccess().GetRejectedSpans(), int64(len(batch)))), err
}

// again says that OTLP has a request sent again after such an answer.
func again(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// span is s as OpenTelemetry's data model has it.
func span(s *trace.Span) *spans.Span {
	out := &spans.Span{
		TraceId: s.Trace[:], SpanId: s.Span[:], Name: s.Name, Kind: spans.Span_SpanKind(s.Kind),
		StartTimeUnixNano: uint64(s.Start.UnixNano()), EndTimeUnixNano: uint64(s.End.UnixNano()), Status: &spans.Status{},
		Flags: flags(true, s.Kind == trace.Server && s.Parent != [8]byte{}),
	}
	if s.Parent != [8]byte{} {
		out.ParentSpanId = s.Parent[:]
	}
	if !s.Link.IsZero() {
		out.Links = []*spans.Span_Link{{TraceId: s.Link.Trace[:], SpanId: s.Link.Span[:], Flags: flags(s.Link.Sampled, true)}}
	}
	if s.Failed {
		out.Status.Code = spans.Status_STATUS_CODE_ERROR
	}
	for _, a := range s.Attributes {
		out.Attributes = append(out.Attributes, &common.KeyValue{Key: a.Key, Value: value(a)})
	}
	return out
}

// flags are those of W3C, and whether the other span is somebody else's.
func flags(sampled, remote bool) uint32 {
	out := uint32(spans.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
	if sampled {
		out |= 1
	}
	if remote {
		out |= uint32(spans.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
	}
	return out
}

func value(a trace.Attribute) *common.AnyValue {
	switch {
	case len(a.Texts) > 0:
		list := &common.ArrayValue{}
		for _, t := range a.Texts {
			list.Values = append(list.Values, text(t))
		}
		return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: list}}
	case a.Text != "":
		return text(a.Text)
	}
	return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: a.N}}
}

// resource is who sends.
func (o *OTLPOptions) resource() *resource.Resource {
	return &resource.Resource{Attributes: []*common.KeyValue{attribute("service.name", "assent"), attribute("service.instance.id", o.Node), attribute("service.version", o.Version)}}
}

// send sends a message and reads the answer into said.
func (o *OTLPOptions) send(ctx context.Context, m, said proto.Message) error {
	body, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("writing OTLP: %w", err)
	}
	packed, err := zip(body)
	if err != nil {
		return err
	}
	answer, err := post(ctx, o.Client, o.URL, packed, func(h http.Header) {
		h.Set("Content-Type", "application/x-protobuf")
		h.Set("Content-Encoding", "gzip")
		for name, value := range o.Headers {
			h.Set(name, value)
		}
	})
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(answer, said); err != nil {
		return errors.New("the receiver's answer isn't OTLP: it may have taken nothing")
	}
	return nil
}
