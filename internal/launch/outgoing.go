package launch

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the format of Java's trust stores; it protects nothing there
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf16"
)

// storePassword is the one that Java's own trust stores have. It keeps nothing secret.
const storePassword = "changeit"

// inPlace are the variables by which common runtimes are told which certificates to
// trust in the place of the system's.
func inPlace() []string {
	return []string{
		"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE", "PIP_CERT", "npm_config_cafile", "YARN_HTTPS_CA_FILE_PATH",
		"CARGO_HTTP_CAINFO", "DENO_CERT", "NIX_SSL_CERT_FILE", "BUNDLE_SSL_CA_CERT", "HEX_CACERTS_PATH", "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
	}
}

// Outgoing are the variables that lead a program's HTTP through proxy, whose
// authority's certificates (PEM) are then trusted beside those of this machine.
// Hosts of direct, and this machine, are reached without it. remove takes away the
// files that the variables name; they are in a directory of this account alone.
func Outgoing(env []string, proxy *url.URL, ca []byte, direct []string) (set []string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "assent-ca-*")
	if err != nil {
		return nil, nil, fmt.Errorf("keeping the certificate of the proxy: %w", err)
	}
	remove = func() { _ = os.RemoveAll(dir) }
	own, all, store := filepath.Join(dir, "proxy.pem"), filepath.Join(dir, "all.pem"), filepath.Join(dir, "all.jks")
	both := append(systemCertificates(env), ca...)
	for file, content := range map[string][]byte{own: ca, all: both, store: trustStore(both, time.Now())} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			remove()
			return nil, nil, fmt.Errorf("keeping the certificate of the proxy: %w", err)
		}
	}
	add := func(name, value string) { set = append(set, name+"="+value) }
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"} {
		add(name, proxy.String())
		add(strings.ToLower(name), proxy.String())
	}
	around := append([]string{"localhost", "127.0.0.1", "::1"}, direct...)
	add("NO_PROXY", strings.Join(around, ","))
	add("no_proxy", strings.Join(around, ","))
	for _, name := range inPlace() {
		add(name, all)
	}
	add("NODE_EXTRA_CA_CERTS", own) // beside what Node.js trusts
	add("NODE_USE_ENV_PROXY", "1")  // from 22.21 and 24 on its fetch looks at the variables
	add("JAVA_TOOL_OPTIONS", javaOptions(valueOf(env, "JAVA_TOOL_OPTIONS"), proxy, store, around))
	return set, remove, nil
}

// javaOptions are an address and a trust store. Java prints them, so no credential is among them.
func javaOptions(before string, proxy *url.URL, store string, around []string) string {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"https": "443"}[proxy.Scheme]
	}
	if port == "" {
		port = "80"
	}
	options := []string{"-Djavax.net.ssl.trustStore=" + store, "-Djavax.net.ssl.trustStoreType=JKS", "-Djavax.net.ssl.trustStorePassword=" + storePassword}
	for _, scheme := range []string{"http", "https"} {
		options = append(options, "-D"+scheme+".proxyHost="+proxy.Hostname(), "-D"+scheme+".proxyPort="+port)
	}
	hosts := make([]string, len(around))
	for i, h := range around {
		if strings.Contains(h, ":") {
			h = "[" + h + "]"
		}
		hosts[i] = h
	}
	// Basic is what the gate asks for, and what Java leaves out for tunnels unless told otherwise.
	options = append(options, "-Dhttp.nonProxyHosts="+strings.Join(hosts, "|"), "-Djdk.http.auth.tunneling.disabledSchemes=")
	return strings.TrimSpace(before + " " + strings.Join(options, " "))
}

// systemCertificates are those that this machine trusts, where they are one file.
func systemCertificates(env []string) []byte {
	for _, file := range []string{valueOf(env, "SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"} {
		if b, err := os.ReadFile(file); file != "" && err == nil {
			return append(b, '\n')
		}
	}
	return nil
}

// trustStore is certificates as a Java key store (JKS, version 2) of trusted
// entries, which every Java reads and nothing here has to be added for.
func trustStore(text []byte, now time.Time) []byte {
	var entries bytes.Buffer
	n := uint32(0)
	put := func(w *bytes.Buffer, v any) { _ = binary.Write(w, binary.BigEndian, v) } // never fails
	word := func(s string) {
		put(&entries, uint16(len(s)))
		entries.WriteString(s)
	}
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		n++
		put(&entries, uint32(2)) // a trusted certificate
		word(fmt.Sprintf("c%d", n))
		put(&entries, now.UnixMilli())
		word("X.509")
		put(&entries, uint32(len(b.Bytes)))
		entries.Write(b.Bytes)
	}
	var out bytes.Buffer
	put(&out, uint32(0xfeedfeed))
	put(&out, uint32(2))
	put(&out, n)
	out.Write(entries.Bytes())
	h := sha1.New() //nolint:gosec // as above
	for _, c := range utf16.Encode([]rune(storePassword)) {
		h.Write([]byte{byte(c >> 8), byte(c)})
	}
	h.Write([]byte("Mighty Aphrodite"))
	h.Write(out.Bytes())
	return h.Sum(out.Bytes())
}

// Direct is the host of an address, host:port or URL, for the list of what is reached without a proxy.
func Direct(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Hostname()
	}
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip != nil && ip.IsUnspecified() {
		return ""
	}
	return host
}

// Outgoing leads what the command asks for over HTTP through a gate. It changes
// nothing that was asked about.
func (p *Prepared) Outgoing(set []string) {
	names := map[string]bool{}
	for _, kv := range set {
		k, _, _ := strings.Cut(kv, "=")
		names[k] = true
	}
	env := make([]string, 0, len(p.env)+len(set))
	for _, kv := range p.env {
		if k, _, _ := strings.Cut(kv, "="); !names[k] {
			env = append(env, kv)
		}
	}
	p.env = append(env, set...)
}
