package stream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// SyslogOptions of a receiver that speaks RFC 5424 over TLS (RFC 5425), or over TCP with octet counting (RFC 6587).
type SyslogOptions struct {
	Address  string      // host:port
	TLS      *tls.Config // nil: without TLS
	Facility int         // 0 to 23; RFC 5424 table 1
	Limit    int         // bytes of a message; a longer record goes without what it says. At least 2048
	Version  string      // of this program
}

// Syslog has no acknowledgement: what was written to a connection may never arrive.
// Messages of the last doubt before a connection broke are written again, so that
// a receiver gets them twice rather than not at all.
const doubt = 2 * time.Second

// syslogPatience is for one write.
const syslogPatience = 15 * time.Second

type syslog struct {
	o    SyslogOptions
	host string
	pid  string
	conn net.Conn
	gone chan struct{} // closed when the receiver hung up

	unsure []sent // written within doubt
}

type sent struct {
	at      time.Time
	message []byte
}

// NewSyslog calls nobody yet.
func NewSyslog(o SyslogOptions) (Sink, error) {
	if _, _, err := net.SplitHostPort(o.Address); err != nil {
		return nil, fmt.Errorf("syslog address %q: write host:port", o.Address)
	}
	if o.Facility < 0 || o.Facility > 23 {
		return nil, fmt.Errorf("syslog facility %d is none: 0 to 23, 13 is the log's own (RFC 5424 section 6.2.1)", o.Facility)
	}
	if o.Limit < 2048 {
		return nil, fmt.Errorf("a syslog limit of %d bytes: every receiver takes 2048 (RFC 5424 section 6.1)", o.Limit)
	}
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	return &syslog{o: o, host: host, pid: strconv.Itoa(os.Getpid())}, nil
}

func (s *syslog) Send(ctx context.Context, events []Event) error {
	var again []sent
	if s.conn != nil {
		select {
		case <-s.gone:
			s.drop()
		default:
		}
	}
	if s.conn == nil {
		if err := s.dial(ctx); err != nil {
			return err
		}
		again, s.unsure = s.unsure, nil
	}
	var b bytes.Buffer
	for _, a := range again {
		b.Write(a.message)
	}
	now := time.Now()
	fresh := make([]sent, 0, len(events))
	for i := range events {
		m, err := s.message(&events[i])
		if err != nil {
			return err
		}
		b.Write(m)
		fresh = append(fresh, sent{now, m})
	}
	deadline, ok := ctx.Deadline()
	if by := now.Add(syslogPatience); !ok || by.Before(deadline) {
		deadline = by
	}
	if err := s.conn.SetWriteDeadline(deadline); err != nil {
		s.drop()
		return err
	}
	if _, err := s.conn.Write(b.Bytes()); err != nil {
		s.drop()
		s.unsure = append(again, s.unsure...) // one of them is empty; the fresh ones come again by themselves
		return fmt.Errorf("writing to %s: %w", s.o.Address, err)
	}
	for len(s.unsure) > 0 && now.Sub(s.unsure[0].at) > doubt {
		s.unsure = s.unsure[1:]
	}
	for i := range again {
		again[i].at = now
	}
	s.unsure = append(append(s.unsure, again...), fresh...)
	return nil
}

func (s *syslog) dial(ctx context.Context) error {
	d := &net.Dialer{Timeout: 10 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", s.o.Address)
	if err != nil {
		return err
	}
	if s.o.TLS != nil {
		shaking, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		secure := tls.Client(conn, s.o.TLS)
		if err := secure.HandshakeContext(shaking); err != nil {
			return errors.Join(fmt.Errorf("TLS with %s: %w", s.o.Address, err), conn.Close())
		}
		conn = secure
	}
	gone := make(chan struct{})
	s.conn, s.gone = conn, gone
	go func() { // a receiver says nothing: what can be read is its end
		_, _ = io.Copy(io.Discard, conn)
		close(gone)
	}()
	return nil
}

func (s *syslog) drop() {
	_ = s.conn.Close() // it is of no use any more
	s.conn = nil
}

func (s *syslog) Close() {
	if s.conn != nil {
		s.drop()
	}
}

// message is one event as RFC 5424 section 6 has it, its length before it.
func (s *syslog) message(e *Event) ([]byte, error) {
	h, err := e.head()
	if err != nil {
		return nil, err
	}
	text, err := e.JSON()
	if err != nil {
		return nil, err
	}
	severity := [...]int{6, 4, 1}[h.weight()] // informational, warning, alert
	var b bytes.Buffer
	fmt.Fprintf(&b, "<%d>1 %s %s assent %s %s [origin software=\"assent\" swVersion=\"%s\"] \ufeff", s.o.Facility*8+severity,
		h.Time.UTC().Format("2006-01-02T15:04:05.000000Z07:00"), word(orElse(e.Node, s.host), 255), s.pid, word(h.Type, 32), param(s.o.Version))
	if b.Len()+len(text) > s.o.Limit {
		if text, err = e.short(&h); err != nil {
			return nil, err
		}
	}
	b.Write(text)
	return append(strconv.AppendInt(nil, int64(b.Len()), 10), append([]byte{' '}, b.Bytes()...)...), nil
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

// word is s as a field of the header: printable ASCII without spaces, or "-".
func word(s string, most int) string {
	out := []byte(s)
	for i, c := range out {
		if c <= ' ' || c > '~' {
			out[i] = '_'
		}
	}
	if len(out) == 0 {
		return "-"
	}
	return string(out[:min(len(out), most)])
}

// param is s as the value of a parameter of structured data.
func param(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`).Replace(strings.ToValidUTF8(s, "?"))
}
