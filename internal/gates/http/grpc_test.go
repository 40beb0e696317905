package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	reflectpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
)

// heard is the metadata that the service was last called with.
type heard chan metadata.MD

// service is test.Echo: Say answers with what it is told, Fail with a status, Chat each message.
func service(t *testing.T, h heard) string {
	t.Helper()
	s := grpc.NewServer()
	unary := func(f func(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, error)) func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
		return func(_ any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var in wrapperspb.StringValue
			if err := read(&in); err != nil {
				return nil, err
			}
			if md, ok := metadata.FromIncomingContext(ctx); ok {
				h <- md
			}
			return f(ctx, &in)
		}
	}
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.Echo", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			{MethodName: "Say", Handler: unary(func(ctx context.Context, in *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
				_ = grpc.SetTrailer(ctx, metadata.Pairs("x-owner", "ana.lopes@example.net"))
				return in, nil
			})},
			{MethodName: "Fail", Handler: unary(func(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
				return nil, status.Error(codes.NotFound, "no account of ana.lopes@example.net")
			})},
		},
		Streams: []grpc.StreamDesc{{StreamName: "Chat", ServerStreams: true, ClientStreams: true, Handler: func(_ any, st grpc.ServerStream) error {
			for {
				var in wrapperspb.StringValue
				if err := st.RecvMsg(&in); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				if err := st.SendMsg(&in); err != nil {
					return err
				}
			}
		}}},
	}, nil)
	healthpb.RegisterHealthServer(s, health.NewServer())
	reflection.Register(s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

func dialGRPC(t *testing.T, addr, token string) (*grpc.ClientConn, context.Context) {
	t.Helper()
	c, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(host))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return c, metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token, "x-forwarded-user", "admin")
}

func grpcGate(t *testing.T, a *gatetest.Authority) (string, heard) {
	t.Helper()
	h := make(heard, 10)
	up := service(t, h)
	return serve(t, newGate(t, up, a, func(o *Config) {
		p := new(http.Protocols)
		p.SetUnencryptedHTTP2(true)
		tr := &http.Transport{Protocols: p, DisableCompression: true}
		t.Cleanup(tr.CloseIdleConnections)
		o.Routes[0].Transport, o.Routes[0].Streams = tr, []string{"/test.Echo/Chat"}
	})), h
}

func TestGRPC(t *testing.T) {
	a := &gatetest.Authority{Mask: hide}
	addr, h := grpcGate(t, a)
	c, ctx := dialGRPC(t, addr, gatetest.Token)
	var out wrapperspb.StringValue
	var trailer metadata.MD
	if err := c.Invoke(ctx, "/test.Echo/Say", wrapperspb.String("to ana.lopes@example.net!"), &out, grpc.Trailer(&trailer)); err != nil {
		t.Fatal(err)
	}
	if out.Value != "to *********************!" || trailer.Get("x-owner")[0] != "[masked:email]" {
		t.Errorf("%q, %v", out.Value, trailer)
	}
	if md := <-h; len(md.Get("authorization"))+len(md.Get("x-forwarded-user")) > 0 || md.Get("x-forwarded-for")[0] != "127.0.0.1" {
		t.Errorf("the service was told %v", md)
	}
	err := c.Invoke(ctx, "/test.Echo/Fail", wrapperspb.String("x"), &out)
	if s := status.Convert(err); s.Code() != codes.NotFound || s.Message() != "no account of [masked:email]" {
		t.Errorf("an error of the service: %v", err)
	}
	st, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Echo/Chat")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "ana.lopes@example.net"} { // each is answered before the next is sent
		if err := st.SendMsg(wrapperspb.String(text)); err != nil {
			t.Fatal(err)
		}
		if err := st.RecvMsg(&out); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.Value, "ana") || len(out.Value) != len(text) {
			t.Errorf("%q came back as %q", text, out.Value)
		}
	}
	if err := st.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := st.RecvMsg(&out); !errors.Is(err, io.EOF) {
		t.Errorf("the end: %v", err)
	}
	if r, err := healthpb.NewHealthClient(c).Check(ctx, &healthpb.HealthCheckRequest{}); err != nil || r.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", r, err)
	}
	info, err := reflectpb.NewServerReflectionClient(c).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := info.Send(&reflectpb.ServerReflectionRequest{MessageRequest: &reflectpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	if r, err := info.Recv(); err != nil || len(r.GetListServicesResponse().GetService()) < 3 {
		t.Errorf("reflection: %v, %v", r, err)
	}
	_ = info.CloseSend()
	for _, act := range a.Actions() {
		want := action.Unknown
		if strings.HasPrefix(act.Target, "/grpc.") {
			want = action.DataRead
		}
		if act.Kinds[0] != want || act.Target == "" || act.Verb == "post" {
			t.Errorf("asked for %s %s %v", act.Verb, act.Target, act.Kinds)
		}
	}
}

// Refusals are statuses of gRPC, and the service hears nothing.
func TestGRPCRefused(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		token string
		want  codes.Code
		text  string
	}{
		"denied":    {&gate.Denied{Status: gate.StatusDenied, Reason: "not today: 100 % no\nä"}, gatetest.Token, codes.PermissionDenied, "not today: 100 % no\nä"},
		"pending":   {&gate.Denied{Status: gate.StatusPending, Reason: "people are asked", ID: "apr_7"}, gatetest.Token, codes.Unavailable, "apr_7"},
		"undecided": {io.ErrUnexpectedEOF, gatetest.Token, codes.Unavailable, "no decision"},
		"nobody":    {nil, "wrong", codes.Unauthenticated, "credential"},
	} {
		t.Run(name, func(t *testing.T) {
			addr, h := grpcGate(t, &gatetest.Authority{Decide: func(context.Context, *action.Action, func(gate.Held)) error { return c.err }})
			conn, ctx := dialGRPC(t, addr, c.token)
			err := conn.Invoke(ctx, "/test.Echo/Say", wrapperspb.String("x"), new(wrapperspb.StringValue))
			if s := status.Convert(err); s.Code() != c.want || !strings.Contains(s.Message(), c.text) {
				t.Errorf("%v, want %v with %q", err, c.want, c.text)
			}
			if len(h) > 0 {
				t.Error("the service heard of it")
			}
		})
	}
}
