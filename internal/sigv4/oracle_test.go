package sigv4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// A spec is a request that other signers sign.
type spec struct {
	Method, URL, Body, Service, Region, Time, ID, Secret, Token string
	Header                                                      map[string]string
	Presign                                                     bool
}

// specs draws requests with keys, parameters and headers that are awkward to write down.
func specs(n int, seed uint64) []spec {
	rnd := rand.New(rand.NewPCG(seed, 7))
	letters := []rune("abzAZ09-._~ !$&'()*+,;=:@/\"<>?#%[]{}|\\^`äß語\u00a0\U0001f600")
	word := func(max int) string {
		var b strings.Builder
		for range 1 + rnd.IntN(max) {
			b.WriteRune(letters[rnd.IntN(len(letters))])
		}
		return b.String()
	}
	var list []spec
	for range n {
		s := spec{Region: "eu-west-3", Time: noon.Format(stamp), ID: docID, Secret: docSecret, Header: map[string]string{}, Presign: rnd.IntN(3) == 0}
		s.Service = []string{"s3", "s3", "iam", "lambda"}[rnd.IntN(4)]
		s.Method = []string{"GET", "PUT", "POST", "DELETE", "HEAD"}[rnd.IntN(5)]
		if !s.Presign && (s.Method == "PUT" || s.Method == "POST") {
			s.Body = word(40)
		}
		key := "/bucket"
		for range rnd.IntN(4) {
			segment := strings.ReplaceAll(word(8), "/", "_")
			if segment == "." || segment == ".." {
				segment = "dots"
			}
			key += "/" + segment
		}
		s.URL = "https://gate.example:8443" + Escape(key, true)
		q := make([]string, 0, 4)
		for i := range rnd.IntN(4) {
			q = append(q, Escape(fmt.Sprint("p", i, word(4)), false)+"="+Escape(word(9), false))
		}
		if rnd.IntN(3) == 0 {
			q = append(q, "versions=")
		}
		if len(q) > 0 {
			s.URL += "?" + strings.Join(q, "&")
		}
		if rnd.IntN(2) == 0 {
			s.Token = "token/+=" + Escape(word(9), false)
		}
		if rnd.IntN(2) == 0 && !s.Presign {
			s.Header["X-Amz-Meta-Note"] = "  two   words "
		}
		if rnd.IntN(2) == 0 {
			s.Header["Content-Type"] = "text/plain; charset=utf-8"
		}
		list = append(list, s)
	}
	return list
}

// verifies holds that a request that another signer made verifies, and that it doesn't
// any more once it is another.
func verifies(t *testing.T, s spec, r *http.Request) {
	t.Helper()
	try := func(r *http.Request, secret string) error {
		shown, err := Read(r)
		if err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(s.Body))
		if shown.KeyID != s.ID || shown.Token != s.Token || shown.Scope.Service != s.Service || shown.Query != s.Presign {
			return fmt.Errorf("read as %+v", shown)
		}
		_, err = shown.Verify(secret, noon.Add(time.Minute), &sum)
		return err
	}
	if err := try(r, s.Secret); err != nil {
		t.Errorf("%s %s %v: %v", s.Method, r.URL, r.Header, err)
	}
	if err := try(r, s.Secret+" "); err == nil {
		t.Errorf("%s %s verifies with another secret", s.Method, r.URL)
	}
	other := r.Clone(context.Background())
	other.URL.Path, other.URL.RawPath = other.URL.Path+"x", ""
	if err := try(other, s.Secret); err == nil {
		t.Errorf("%s %s verifies with another path", s.Method, r.URL)
	}
}

// TestAgainstBotocore signs with the signer that boto3 and the AWS CLI use.
func TestAgainstBotocore(t *testing.T) {
	python, err := filepath.Abs("../../.cache/aws/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	var in, said bytes.Buffer
	list := specs(300, 1)
	for _, s := range list {
		if err := json.NewEncoder(&in).Encode(s); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(python, "testdata/sign.py")
	cmd.Stdin, cmd.Stderr = &in, &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("botocore (scripts/install brings it): %v: %s", err, said.String())
	}
	d := json.NewDecoder(bytes.NewReader(out))
	for _, s := range list {
		var got struct {
			URL    string
			Header map[string]string
		}
		if err := d.Decode(&got); err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequest(s.Method, got.URL, strings.NewReader(s.Body))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range got.Header {
			r.Header.Set(k, v)
		}
		verifies(t, s, r)
	}
}

// TestAgainstGo signs with the Go SDK's signer, and holds that ours makes the same
// signature of what goes on.
func TestAgainstGo(t *testing.T) {
	for _, s := range specs(300, 2) {
		r, err := http.NewRequest(s.Method, s.URL, strings.NewReader(s.Body))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range s.Header {
			r.Header.Set(k, v)
		}
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = s.Service == "s3" })
		payload := hexSum([]byte(s.Body))
		if s.Presign && s.Service == "s3" {
			payload = Unsigned
		}
		key := aws.Credentials{AccessKeyID: s.ID, SecretAccessKey: s.Secret, SessionToken: s.Token}
		if s.Presign {
			r.URL.RawQuery = strings.Trim(r.URL.RawQuery+"&X-Amz-Expires=900", "&")
			to, header, err := signer.PresignHTTP(context.Background(), key, r, payload, s.Service, s.Region, noon)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range header {
				r.Header[k] = v
			}
			if r.URL, err = url.Parse(to); err != nil {
				t.Fatal(err)
			}
			verifies(t, s, r)
			continue
		}
		if s.Service == "s3" {
			r.Header.Set("X-Amz-Content-Sha256", payload)
		}
		ours := r.Clone(context.Background())
		ours.ContentLength = -1 // the Go signer signs it too, we don't
		theirs := r.Clone(context.Background())
		theirs.ContentLength = 0
		if err := signer.SignHTTP(context.Background(), key, r, payload, s.Service, s.Region, noon); err != nil {
			t.Fatal(err)
		}
		verifies(t, s, r)
		if err := signer.SignHTTP(context.Background(), key, theirs, payload, s.Service, s.Region, noon); err != nil {
			t.Fatal(err)
		}
		if _, err := (Key{ID: s.ID, Secret: s.Secret, Token: s.Token}).Sign(ours, s.Region, s.Service, payload, noon); err != nil {
			t.Fatal(err)
		}
		if a, b := ours.Header.Get("Authorization"), theirs.Header.Get("Authorization"); a != b {
			t.Errorf("%s %s:\nours   %s\ntheirs %s", s.Method, s.URL, a, b)
		}
	}
}
