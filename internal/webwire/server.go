package webwire

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// Limits of a server. The zero value has the defaults.
type Limits struct {
	Header      time.Duration // for a request's head; 10 s
	Idle        time.Duration // between requests; 2 min
	Stall       time.Duration // that a body may take beyond a second for each KiB; 30 s
	HeaderBytes int           // of a head; 64 KiB
	Streams     int           // of one HTTP/2 connection at once; 100
	Grace       time.Duration // for requests under way when Serve's ctx ends; 5 s
}

func (l *Limits) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&l.Header, 10*time.Second)
	set(&l.Idle, 2*time.Minute)
	set(&l.Stall, 30*time.Second)
	set(&l.Grace, 5*time.Second)
	if l.HeaderBytes <= 0 {
		l.HeaderBytes = 64 << 10
	}
	if l.Streams <= 0 {
		l.Streams = 100
	}
}

// Server is an http.Server with the limits set, for connections of a Listener. Request.Body of what it serves is read
// at a pace: a client that sends less than 1 KiB a second, beyond Stall, has its body ended with an error.
// http.Server bounds rapid resets itself: handlers that run, even of streams that are gone, count as Streams, and
// four times as many may wait before the connection is ended.
func Server(h http.Handler, l Limits, log *slog.Logger) *http.Server {
	l.defaults()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true) // a Listener lets it through only where it was told to
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Body != nil && r.Body != http.NoBody {
				r.Body = pace(w, r, l.Stall)
			}
			if r.Header["Upgrade"] != nil || r.Method == http.MethodConnect {
				defer taken(r)
			}
			h.ServeHTTP(w, r)
		}),
		Protocols: protocols, DisableGeneralOptionsHandler: true,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			switch c := c.(type) {
			case *Conn:
				return c.context(ctx)
			case *tlsConn:
				return c.Conn.context(ctx)
			}
			return ctx
		},
		ReadHeaderTimeout: l.Header, IdleTimeout: l.Idle, MaxHeaderBytes: l.HeaderBytes,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: l.Streams, MaxReadFrameSize: 64 << 10, MaxDecoderHeaderTableSize: 4 << 10,
			MaxReceiveBufferPerConnection: 1 << 20, MaxReceiveBufferPerStream: 256 << 10,
			SendPingTimeout: l.Idle / 2, PingTimeout: 15 * time.Second, WriteByteTimeout: defaultStall,
		},
		ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateHijacked {
				Aside(c)
			}
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Serve serves the connections of l, checked, until ctx ends; then requests have l.Grace to end, and their contexts end
// when it is over. It closes l.
func Serve(ctx context.Context, l net.Listener, h http.Handler, lim Limits, o Options, log *slog.Logger) error {
	lim.defaults()
	requests, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	srv := Server(h, lim, log)
	srv.BaseContext = func(net.Listener) context.Context { return requests }
	done := make(chan error, 1)
	go func() { done <- srv.Serve(Listener(l, o)) }()
	select {
	case err := <-done:
		_ = srv.Close()
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), lim.Grace)
	defer cancel()
	if srv.Shutdown(grace) != nil {
		hangUp()
		_ = srv.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Unhurried lifts the pace from r's body: for calls that stay open, such as streams of gRPC, once they are permitted.
func Unhurried(r *http.Request) {
	if p, is := r.Body.(*paced); is {
		p.off = true
		if p.h1 {
			_ = p.deadline(time.Time{})
		}
	}
}

// connKey is where a request's context has its *Conn.
type connKey struct{}

// context is what the contexts of c's requests are made of. It ends when the client goes away.
func (c *Conn) context(ctx context.Context) context.Context {
	ctx, c.in.gone = context.WithCancel(ctx)
	return context.WithValue(ctx, connKey{}, c)
}

// taken ends the context of a connection that r's handler took over: it is done with it.
func taken(r *http.Request) {
	if c, is := r.Context().Value(connKey{}).(*Conn); is && c.aside {
		c.in.gone()
	}
}

// paced is a body that must arrive at a rate. Time in which nobody reads it does not count.
type paced struct {
	io.ReadCloser
	deadline func(time.Time) error // of reads
	w        http.ResponseWriter
	conn     *Conn // of HTTP/1, if it is ours
	h1, off  bool
	stall    time.Duration
	until    time.Time     // the deadline that is set, of HTTP/1
	left     time.Duration // of stall: what the client has before it must have sent something
}

func pace(w http.ResponseWriter, r *http.Request, stall time.Duration) *paced {
	p := &paced{ReadCloser: r.Body, w: w, deadline: http.NewResponseController(w).SetReadDeadline, h1: r.ProtoMajor == 1, stall: stall, left: stall}
	p.conn, _ = r.Context().Value(connKey{}).(*Conn)
	if p.h1 { // if nobody reads it, net/http will, after the reply
		p.until = time.Now().Add(stall)
		_ = p.deadline(p.until)
	}
	return p
}

func (p *paced) Read(b []byte) (int, error) {
	if p.off {
		n, err := p.ReadCloser.Read(b)
		return n, p.broken(err)
	}
	from := time.Now()
	if p.h1 {
		if until := from.Add(p.left); until.Sub(p.until).Abs() > p.stall/8 { // it costs a system's timer each time
			p.until = until
			_ = p.deadline(until)
		}
	} else { // a deadline would end the stream also while nobody reads
		t := time.AfterFunc(p.left, func() { _ = p.deadline(time.Unix(1, 0)) })
		defer t.Stop()
	}
	n, err := p.ReadCloser.Read(b)
	p.left = min(p.left+time.Duration(n)*(time.Second/leastRate), p.stall) - time.Since(from)
	if err == nil && p.left <= 0 {
		err = os.ErrDeadlineExceeded
	}
	if errors.Is(err, io.EOF) && p.h1 {
		_ = p.deadline(time.Time{}) // it is the connection's
	}
	return n, p.broken(err)
}

// broken ends an HTTP/1 connection whose body did not end well after the reply, and finds the Refusal that net/http
// has told in other words.
func (p *paced) broken(err error) error {
	if err == nil || errors.Is(err, io.EOF) || !p.h1 {
		return err
	}
	p.w.Header().Set("Connection", "close")
	if p.conn != nil && p.conn.bad != nil {
		return p.conn.bad
	}
	return err
}
