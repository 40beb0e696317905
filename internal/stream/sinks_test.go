package stream_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/freeport"
	"github.com/assenthq/assent/internal/stream"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pair is a certificate for 127.0.0.1 as files, and who signed it.
func pair(t *testing.T, dir string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	c := s.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	must(t, err)
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	must(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o600))
	must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	pool = x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return cert, key, pool
}

// receiver is a real rsyslogd that writes what it reads of each message as a line of JSON.
type receiver struct {
	dir, file, address string
	cmd                *exec.Cmd
}

func startReceiver(t *testing.T, dir, cert, key, address string) *receiver {
	t.Helper()
	bin, err := exec.LookPath("rsyslogd")
	if err != nil {
		bin = "/usr/sbin/rsyslogd"
	}
	r := &receiver{dir: dir, file: filepath.Join(dir, "received"), address: address}
	_, port, err := net.SplitHostPort(address)
	must(t, err)
	conf := fmt.Sprintf(`global(workDirectory=%q maxMessageSize="128k" DefaultNetstreamDriverCAFile=%q DefaultNetstreamDriverCertFile=%q DefaultNetstreamDriverKeyFile=%q)
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
input(type="imtcp" port=%q address="127.0.0.1")
template(name="parsed" type="list" option.jsonf="on") {
  property(outname="pri" name="pri" format="jsonf")
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="id" name="msgid" format="jsonf")
  property(outname="data" name="structured-data" format="jsonf")
  property(outname="version" name="protocol-version" format="jsonf")
  property(outname="msg" name="msg" format="jsonf")
}
*.* action(type="omfile" file=%q template="parsed" asyncWriting="off")
`, dir, cert, cert, key, port, r.file)
	must(t, os.WriteFile(filepath.Join(dir, "rsyslog.conf"), []byte(conf), 0o600))
	r.cmd = exec.Command(bin, "-n", "-f", filepath.Join(dir, "rsyslog.conf"), "-i", filepath.Join(dir, "pid"))
	var said bytes.Buffer
	r.cmd.Stdout, r.cmd.Stderr = &said, &said
	must(t, r.cmd.Start())
	t.Cleanup(r.stop)
	for end := time.Now().Add(20 * time.Second); ; {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return r
		}
		if time.Now().After(end) {
			t.Fatalf("rsyslogd doesn't listen: %s", said.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (r *receiver) stop() {
	if r.cmd.ProcessState == nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
	}
}

type received struct{ Pri, Time, Host, App, ID, Data, Version, Msg string }

func (r *receiver) messages(t *testing.T) (out []received) {
	t.Helper()
	f, err := os.Open(r.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	must(t, err)
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m received
		if json.Unmarshal(lines.Bytes(), &m) == nil && m.App == "assent" { // rsyslogd tells of itself too
			out = append(out, m)
		}
	}
	return out
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := freeport.Address()
	must(t, err)
	return address
}

func TestSyslogIsReadByRsyslogOverTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key, pool := pair(t, dir)
	r := startReceiver(t, dir, cert, key, freeAddress(t))
	out, err := stream.NewSyslog(stream.SyslogOptions{Address: r.address, TLS: &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}, Facility: 13, Limit: 8192, Version: `1"]\`})
	must(t, err)
	long := fmt.Sprintf(`{"index":2,"time":"2026-11-23T10:00:00.000002Z","type":"alarm","title":%q}`, strings.Repeat("ä", 9000))
	events := []stream.Event{
		{Log: "test/log", Lane: stream.Decisions, Index: 0, Leaf: leaf(0)},
		{Log: "test/log", Lane: stream.Traffic, Node: "node 1", Index: 1, Leaf: []byte(`{"index":1,"time":"2026-11-23T10:00:00.000001Z","type":"request","decision":"deny","verb":"line\nline"}`)},
		{Log: "test/log", Lane: stream.Decisions, Index: 2, Leaf: []byte(long)},
	}
	must(t, out.Send(t.Context(), events))
	got := waitFor(t, func() []received { return r.messages(t) }, 3)
	for i, want := range []received{
		{Pri: "110", ID: "request"}, {Pri: "108", ID: "request", Host: "node_1"}, {Pri: "105", ID: "alarm"},
	} {
		m := got[i]
		if m.Pri != want.Pri || m.ID != want.ID || want.Host != "" && m.Host != want.Host || m.Version != "1" || m.Time != fmt.Sprintf("2026-11-23T10:00:00.00000%dZ", i) && i > 0 || !strings.Contains(m.Data, `swVersion="1\"\]\\"`) {
			t.Errorf("message %d is %+v", i, m)
		}
		var e struct {
			Index  int64
			Hash   string
			Cut    int
			Record json.RawMessage
			Part   struct{ Type string }
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(m.Msg, "\ufeff")), &e); err != nil || e.Index != int64(i) {
			t.Fatalf("message %d says %q: %v", i, m.Msg, err)
		}
		sum := evidence.LeafHash(events[i].Leaf)
		if e.Hash != base64.StdEncoding.EncodeToString(sum[:]) {
			t.Errorf("message %d has another hash", i)
		}
		if i < 2 && string(e.Record) != string(events[i].Leaf) || i == 2 && (e.Cut != len(long) || e.Part.Type != "alarm" || e.Record != nil) {
			t.Errorf("message %d says %s", i, m.Msg)
		}
	}
	// A receiver with another certificate gets nothing.
	other, err := stream.NewSyslog(stream.SyslogOptions{Address: r.address, TLS: &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}, Limit: 2048})
	must(t, err)
	if err := other.Send(t.Context(), events[:1]); err == nil || !strings.Contains(err.Error(), "TLS with") {
		t.Error(err)
	}
	out.Close()
}

func waitFor[T any](t *testing.T, read func() []T, n int) []T {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if got := read(); len(got) >= n {
			return got
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d arrived", len(read()), n)
		}
	}
}

// TestSyslogReceiverKilled kills the receiver again and again while records come:
// none is missing in the end.
func TestSyslogReceiverKilled(t *testing.T) {
	dir := t.TempDir()
	cert, key, pool := pair(t, dir)
	r := startReceiver(t, dir, cert, key, freeAddress(t))
	out, err := stream.NewSyslog(stream.SyslogOptions{Address: r.address, TLS: &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}, Facility: 13, Limit: 8192})
	must(t, err)
	l := &lane{}
	f := follow(t, l, &sink{}, filepath.Join(dir, "at"), true)
	f.Sink = out
	f.Wait = nil
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() { f.Run(ctx) })
	const n = 400
	for i := range n {
		l.mu.Lock()
		l.next = int64(i + 1)
		l.mu.Unlock()
		if i%100 == 60 {
			r.stop()
			r = startReceiver(t, dir, cert, key, r.address)
		}
		time.Sleep(5 * time.Millisecond)
	}
	seen := map[int64]bool{}
	for end := time.Now().Add(40 * time.Second); len(seen) < n && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		for _, m := range r.messages(t) {
			var e struct{ Index int64 }
			must(t, json.Unmarshal([]byte(strings.TrimPrefix(m.Msg, "\ufeff")), &e))
			seen[e.Index] = true
		}
	}
	cancel()
	work.Wait()
	if len(seen) != n {
		for i := range int64(n) {
			if !seen[i] {
				t.Errorf("record %d never arrived", i)
			}
		}
	}
}

func TestSyslogRefusesWhatCouldNotBeMeant(t *testing.T) {
	for _, o := range []stream.SyslogOptions{{Address: "host", Limit: 4096}, {Address: "host:1", Limit: 100}, {Address: "host:1", Limit: 4096, Facility: 24}} {
		if _, err := stream.NewSyslog(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestOTLP(t *testing.T) {
	var got []*collector.ExportLogsServiceRequest
	answer := func(w http.ResponseWriter) {}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		z, err := gzip.NewReader(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("Authorization") != "Bearer x" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		b, err := io.ReadAll(z)
		m := &collector.ExportLogsServiceRequest{}
		if err != nil || proto.Unmarshal(b, m) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		got = append(got, m)
		answer(w)
	}))
	defer srv.Close()
	out := stream.NewOTLP(stream.OTLPOptions{URL: srv.URL + "/v1/logs", Client: srv.Client(), Headers: map[string]string{"Authorization": "Bearer x"}, Node: "n", Version: "1"})
	events := []stream.Event{{Log: "test/log", Lane: stream.Decisions, Index: 7, Leaf: leaf(7)}, {Log: "test/log", Lane: stream.Traffic, Node: "n", Index: 8, Leaf: []byte(`{"index":8,"time":"2026-11-23T10:00:00.000001Z","type":"alarm","kinds":["sql.read","data.export"],"detail":{"what":"\ud800","trace":"0af7651916cd43dd8448eb211c80319c"}}`)}}
	must(t, out.Send(t.Context(), events))
	rs := got[0].GetResourceLogs()[0]
	recs := rs.GetScopeLogs()[0].GetLogRecords()
	if len(recs) != 2 || rs.GetResource().GetAttributes()[0].GetValue().GetStringValue() != "assent" {
		t.Fatalf("%v", got)
	}
	attrs := map[string]string{}
	for _, a := range recs[0].GetAttributes() {
		attrs[a.GetKey()] = a.GetValue().GetStringValue()
	}
	if recs[0].GetBody().GetStringValue() != string(leaf(7)) || recs[0].GetEventName() != "assent.request" || recs[0].GetSeverityText() != "INFO" || attrs["assent.actor"] != "bot" || attrs["assent.decision"] != "allow" || attrs["log.record.uid"] != "test/log/7" ||
		recs[0].GetTimeUnixNano() != uint64(time.Date(2026, 11, 23, 10, 0, 0, 1000, time.UTC).UnixNano()) {
		t.Errorf("%v", recs[0])
	}
	if recs[1].GetSeverityNumber() != 17 || hex.EncodeToString(recs[1].GetTraceId()) != "0af7651916cd43dd8448eb211c80319c" || recs[0].GetTraceId() != nil {
		t.Errorf("%v", recs[1])
	}

	for _, c := range []struct {
		answer func(http.ResponseWriter)
		check  func(error) bool
	}{
		{func(w http.ResponseWriter) { w.Header().Set("Retry-After", "7"); w.WriteHeader(503) }, func(err error) bool {
			var later *stream.RetryAfter
			return errors.As(err, &later) && later.In == 7*time.Second
		}},
		{func(w http.ResponseWriter) { w.WriteHeader(413) }, func(err error) bool { return errors.Is(err, stream.ErrTooLarge) }},
		{func(w http.ResponseWriter) { w.WriteHeader(401); _, _ = io.WriteString(w, "token secret is wrong") }, func(err error) bool {
			return strings.Contains(err.Error(), "credentials") && !strings.Contains(err.Error(), "secret")
		}},
		{func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>") }, func(err error) bool { return strings.Contains(err.Error(), "isn't OTLP") }},
		{func(w http.ResponseWriter) {
			b, _ := proto.Marshal(&collector.ExportLogsServiceResponse{PartialSuccess: &collector.ExportLogsPartialSuccess{RejectedLogRecords: 1, ErrorMessage: "no"}})
			_, _ = w.Write(b)
		}, func(err error) bool {
			var refused *stream.Refused
			return errors.As(err, &refused) && refused.N == 1
		}},
	} {
		answer = c.answer
		if err := out.Send(t.Context(), events); err == nil || !c.check(err) {
			t.Errorf("%v", err)
		}
	}
}

func TestWebhookBatches(t *testing.T) {
	type request struct {
		head http.Header
		body []byte
	}
	var got []request
	srv := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = append(got, request{r.Header, b})
	}))
	defer srv.Close()
	sign := func(h http.Header, id string, body []byte) { h.Set("Webhook-Id", id+"/"+strconv.Itoa(len(body))) }
	events := []stream.Event{{Log: "test/log", Lane: stream.Decisions, Index: 7, Leaf: leaf(7)}, {Log: "test/log", Lane: stream.Decisions, Index: 8, Leaf: leaf(8)}}
	for _, lines := range []bool{false, true, false} {
		out, err := stream.NewWebhook(stream.WebhookOptions{URL: srv.URL, Client: srv.Client(), Sign: sign, Lines: lines})
		must(t, err)
		must(t, out.Send(t.Context(), events))
	}
	var batch []struct {
		SpecVersion, ID, Source, Type string
		Data                          struct {
			Index  int64
			Record json.RawMessage
		}
	}
	must(t, json.Unmarshal(got[0].body, &batch))
	if len(batch) != 2 || batch[1].ID != "test/log/8" || batch[1].Type != "dev.assent.record.request" || batch[1].SpecVersion != "1.0" || string(batch[1].Data.Record) != string(leaf(8)) || got[0].head.Get("Content-Type") != "application/cloudevents-batch+json" {
		t.Errorf("%s", got[0].body)
	}
	if n := bytes.Count(got[1].body, []byte("\n")); n != 2 || got[1].head.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%s", got[1].body)
	}
	if got[0].head.Get("Webhook-Id") != got[2].head.Get("Webhook-Id") || got[0].head.Get("Webhook-Id") == "" {
		t.Error("what is sent again bears another id")
	}
	if _, err := stream.NewWebhook(stream.WebhookOptions{URL: srv.URL, Client: srv.Client()}); err == nil {
		t.Error("a webhook without a credential was taken")
	}
}

// TestWhatABrokenConnectionSwallowedIsSentAgain has a receiver that accepts and reads nothing before it goes.
func TestWhatABrokenConnectionSwallowedIsSentAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = l.Close() }()
	out, err := stream.NewSyslog(stream.SyslogOptions{Address: l.Addr().String(), Limit: 4096})
	must(t, err)
	defer out.Close()
	must(t, out.Send(t.Context(), []stream.Event{{Log: "l", Lane: stream.Decisions, Index: 1, Leaf: leaf(1)}}))
	first, err := l.Accept()
	must(t, err)
	must(t, first.(*net.TCPConn).SetLinger(0))
	must(t, first.Close())
	second := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			second <- err.Error()
			return
		}
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		r, all := bufio.NewReader(c), ""
		for strings.Count(all, `"hash"`) < 2 && err == nil {
			var b byte
			b, err = r.ReadByte()
			all += string(b)
		}
		second <- all
	}()
	next := []stream.Event{{Log: "l", Lane: stream.Decisions, Index: 2, Leaf: leaf(2)}}
	for end := time.Now().Add(10 * time.Second); out.Send(t.Context(), next) != nil && time.Now().Before(end); {
	}
	if got := <-second; !strings.Contains(got, `"index":1,"hash"`) || strings.Index(got, `"index":1,`) > strings.Index(got, `"index":2,`) {
		t.Errorf("the second connection got %q", got)
	}
}
