// Package bucket is a shelf for the archive of traffic in S3-compatible object
// storage: objects are written once, under object lock where that is asked for,
// and read back before anybody relies on them.
//
// It never overwrites an object, never shortens a lock, and deletes one only with
// all its versions. What it can't ask the storage is an error, never a guess.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/assenthq/assent/internal/audit"
)

// Options of a Shelf.
type Options struct {
	URL      string // s3://BUCKET/PREFIX
	Endpoint string // https://HOST[:PORT]; "": Amazon's. http is for this machine only
	Region   string // "": AWS_REGION, or what the storage says

	// Lock is governance or compliance, and Keep how long from its arrival on an object
	// is locked. "": what the bucket itself does with new objects.
	Lock string
	Keep time.Duration
	Hold bool // a legal hold is set on each object; it ends when somebody takes it off there

	// Credentials, where they aren't those of the environment, of the shared files or of the machine.
	Credentials *credentials.Credentials
	Now         func() time.Time
}

// Scheme begins the URLs that name a bucket.
const Scheme = "s3://"

var name = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// Parse takes apart s3://BUCKET/PREFIX.
func Parse(text string) (bucket, prefix string, err error) {
	rest, ok := strings.CutPrefix(text, Scheme)
	bucket, prefix, _ = strings.Cut(rest, "/")
	prefix = strings.Trim(prefix, "/")
	switch {
	case !ok || !name.MatchString(bucket):
		return "", "", errors.New("not s3://BUCKET/PREFIX")
	case len(prefix) > 512 || strings.ContainsAny(prefix, "?#\\%") || prefix != "" && path.Clean(prefix) != prefix || strings.HasPrefix(prefix, ".."):
		return "", "", errors.New("a prefix of at most 512 bytes without ?, #, %, \\ and empty or dotted parts")
	}
	for _, r := range prefix {
		if r < 0x21 || r > 0x7e {
			return "", "", errors.New("a prefix of visible ASCII")
		}
	}
	return bucket, prefix, nil
}

// CheckEndpoint errs for what can't be an Endpoint. Records tell of people: they go nowhere without TLS.
func CheckEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("not https://HOST[:PORT]")
	}
	ip := net.ParseIP(u.Hostname())
	switch {
	case u.Scheme == "https", u.Scheme == "http" && (u.Hostname() == "localhost" || ip.IsLoopback()):
		return nil
	}
	return errors.New("not https, and another machine")
}

// A Shelf is a bucket, or what is under one prefix of it. It implements audit.Shelf.
type Shelf struct {
	o              Options
	bucket, prefix string
	wrong          error // with the options; whoever asks anything is told
	client         *minio.Client
	transport      *http.Transport

	mu      sync.Mutex
	locking bool // the bucket was seen to have object lock
}

// New makes a shelf and asks nobody. What can't be right in o is the error of each later call.
func New(o Options) *Shelf {
	s := &Shelf{o: o}
	if s.wrong = s.connect(); s.wrong != nil {
		s.wrong = fmt.Errorf("archive in a bucket: %w", s.wrong)
	}
	return s
}

func (s *Shelf) connect() (err error) {
	o := &s.o
	if s.bucket, s.prefix, err = Parse(o.URL); err != nil {
		return err
	}
	if err := CheckEndpoint(o.Endpoint); err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	if o.Lock != "" && (o.Lock != "governance" && o.Lock != "compliance" || o.Keep <= 0) {
		return errors.New("a lock is governance or compliance, and has a time")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	host, secure := "s3.amazonaws.com", true
	if u, err := url.Parse(o.Endpoint); err == nil && u.Host != "" {
		host, secure = u.Host, u.Scheme == "https"
	}
	if s.transport, err = minio.DefaultTransport(secure); err != nil {
		return err
	}
	s.transport.ResponseHeaderTimeout, s.transport.IdleConnTimeout = patience, 15*time.Second
	if o.Credentials == nil {
		o.Credentials = credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{Client: &http.Client{Timeout: 5 * time.Second}},
		})
	}
	if o.Region == "" {
		o.Region = os.Getenv("AWS_REGION")
	}
	s.client, err = minio.New(host, &minio.Options{Creds: o.Credentials, Secure: secure, Transport: s.transport, Region: o.Region, MaxRetries: 3})
	return err
}

// Close lets go of connections that wait to be used again.
func (s *Shelf) Close() {
	if s.transport != nil {
		s.transport.CloseIdleConnections()
	}
}

// How long a request may take; and one that carries a whole segment.
const (
	patience = 30 * time.Second
	upload   = 10 * time.Minute
)

// far is until when something without an end is locked.
var far = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func (s *Shelf) key(name string) string {
	if s.prefix == "" {
		return name
	}
	return s.prefix + "/" + name
}

// failed says what we were doing, and is fs.ErrNotExist or fs.ErrExist where the storage says so.
func (s *Shelf) failed(doing, name string, err error) error {
	what := fmt.Errorf("%s %s%s/%s: %w", doing, Scheme, s.bucket, s.key(name), err)
	switch r := minio.ToErrorResponse(err); {
	case r.Code == minio.NoSuchKey || r.Code == "NoSuchVersion":
		return errors.Join(fs.ErrNotExist, what)
	case r.StatusCode == http.StatusPreconditionFailed || r.Code == "ConditionalRequestConflict":
		return errors.Join(fs.ErrExist, what)
	case r.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w; may this identity do that with the bucket? docs/retention.md lists what it needs", what)
	}
	return what
}

// known errs where there are no credentials: anonymous requests would say less of why.
func (s *Shelf) known() error {
	if s.wrong != nil {
		return s.wrong
	}
	v, err := s.o.Credentials.GetWithContext(nil)
	if err != nil {
		return fmt.Errorf("reading the bucket's credentials: %w", err)
	}
	if v.AccessKeyID == "" {
		return errors.New("no credentials for the bucket: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile, or give the machine a role")
	}
	return nil
}

// Names implements audit.Shelf.
func (s *Shelf) Names(ctx context.Context, dir string) ([]string, error) {
	if err := s.known(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, upload)
	defer cancel()
	prefix := s.key(dir) + "/"
	var out []string
	for o := range s.client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: prefix}) {
		if o.Err != nil {
			return nil, s.failed("listing", dir, o.Err)
		}
		if name, ok := strings.CutPrefix(o.Key, prefix); ok && name != "" && !strings.Contains(name, "/") {
			out = append(out, name)
		}
	}
	return out, ctx.Err()
}

// Put implements audit.Shelf. The storage compares what arrives with its MD5.
func (s *Shelf) Put(ctx context.Context, name string, r *io.SectionReader) error {
	if err := s.known(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, upload)
	defer cancel()
	o := minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: true, SendContentMd5: true}
	o.SetMatchETagExcept("*") // what is there stays
	if err := s.lock(ctx, &o); err != nil {
		return err
	}
	info, err := s.client.PutObject(ctx, s.bucket, s.key(name), io.NewSectionReader(r, 0, r.Size()), r.Size(), o)
	if err != nil {
		return s.failed("writing", name, err)
	}
	if info.Size != r.Size() {
		return s.failed("writing", name, fmt.Errorf("%d of %d bytes arrived", info.Size, r.Size()))
	}
	return s.lockHeld(ctx, name, &o)
}

// lock asks for object lock, which the bucket must have.
func (s *Shelf) lock(ctx context.Context, o *minio.PutObjectOptions) error {
	if s.o.Lock == "" && !s.o.Hold {
		return nil
	}
	s.mu.Lock()
	known := s.locking
	s.mu.Unlock()
	if !known {
		state, _, _, _, err := s.client.GetObjectLockConfig(ctx, s.bucket)
		if err != nil || state != "Enabled" {
			return fmt.Errorf("asking whether bucket %s has object lock, which audit.s3 asks for: it says %q: make the bucket with object lock, or take lock and legal_hold out: %w", s.bucket, state, errors.Join(err, errNoLock))
		}
		s.mu.Lock()
		s.locking = true
		s.mu.Unlock()
	}
	if s.o.Lock != "" {
		o.Mode, o.RetainUntilDate = minio.RetentionMode(strings.ToUpper(s.o.Lock)), s.o.Now().Add(s.o.Keep).UTC().Truncate(time.Second)
	}
	if s.o.Hold {
		o.LegalHold = minio.LegalHoldEnabled
	}
	return nil
}

var errNoLock = errors.New("nothing was written")

// lockHeld reads back what lock asked for: some storages take the header and do nothing.
func (s *Shelf) lockHeld(ctx context.Context, name string, o *minio.PutObjectOptions) error {
	if o.Mode == "" && o.LegalHold == "" {
		return nil
	}
	info, err := s.client.StatObject(ctx, s.bucket, s.key(name), minio.StatObjectOptions{})
	if err != nil {
		return s.failed("reading back the lock of", name, err)
	}
	mode, until, hold, err := lockOf(info)
	if err != nil || mode != o.Mode || until.Before(o.RetainUntilDate) || o.LegalHold != "" && !hold {
		return s.failed("reading back the lock of", name, errors.Join(errors.New("the storage did not keep it, or doesn't show it to this identity (s3:GetObjectRetention, s3:GetObjectLegalHold)"), err))
	}
	return nil
}

// lockOf reads the lock in the answer to a HeadObject.
func lockOf(info minio.ObjectInfo) (mode minio.RetentionMode, until time.Time, hold bool, err error) {
	mode = minio.RetentionMode(info.Metadata.Get("X-Amz-Object-Lock-Mode"))
	if text := info.Metadata.Get("X-Amz-Object-Lock-Retain-Until-Date"); text != "" {
		until, err = time.Parse(time.RFC3339, text)
	}
	return mode, until, info.Metadata.Get("X-Amz-Object-Lock-Legal-Hold") == string(minio.LegalHoldEnabled), err
}

// Locked implements audit.Shelf. A lock that isn't shown to this identity still holds: Remove then fails.
func (s *Shelf) Locked(ctx context.Context, name string) (time.Time, error) {
	if err := s.known(); err != nil {
		return time.Time{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	info, err := s.client.StatObject(ctx, s.bucket, s.key(name), minio.StatObjectOptions{})
	if err != nil {
		return time.Time{}, s.failed("asking for the lock of", name, err)
	}
	_, until, hold, err := lockOf(info)
	switch {
	case err != nil:
		return time.Time{}, s.failed("reading the lock of", name, err)
	case hold:
		return far, nil
	case until.After(s.o.Now()):
		return until, nil
	}
	return time.Time{}, nil
}

// Remove implements audit.Shelf: every version goes, or the bytes would stay.
func (s *Shelf) Remove(ctx context.Context, name string) error {
	if err := s.known(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, upload)
	defer cancel()
	key := s.key(name)
	for o := range s.client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: key, WithVersions: true}) {
		if o.Err != nil {
			return s.failed("listing the versions of", name, o.Err)
		}
		if o.Key != key {
			continue // its name only begins so
		}
		if err := s.client.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{VersionID: o.VersionID}); err != nil {
			return s.failed("deleting", name, err)
		}
	}
	return ctx.Err()
}

// Open implements audit.Shelf. What is read is one version, even if somebody writes another meanwhile.
func (s *Shelf) Open(ctx context.Context, name string) (audit.ShelfFile, error) {
	if err := s.known(); err != nil {
		return nil, err
	}
	asked, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	info, err := s.client.StatObject(asked, s.bucket, s.key(name), minio.StatObjectOptions{})
	if err != nil {
		return nil, s.failed("reading", name, err)
	}
	return &object{ctx: ctx, s: s, name: name, info: info}, nil
}

// object reads one version in windows: a reader of frames asks for a few bytes at a time.
type object struct {
	ctx  context.Context // of Open: what is read ends with it
	s    *Shelf
	name string
	info minio.ObjectInfo

	mu     sync.Mutex
	window []byte
	at     int64 // of window in the object
}

const window = 4 << 20

func (o *object) Size() int64 { return o.info.Size }

func (o *object) Close() error { return nil } // nothing is open between reads

// ReadAt implements io.ReaderAt.
func (o *object) ReadAt(p []byte, off int64) (n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n < len(p) {
		if off >= o.info.Size {
			return n, io.EOF
		}
		if off < o.at || off >= o.at+int64(len(o.window)) {
			if err := o.fill(off); err != nil {
				return n, err
			}
		}
		k := copy(p[n:], o.window[off-o.at:])
		n, off = n+k, off+int64(k)
	}
	return n, nil
}

// fill reads the window that begins at off.
func (o *object) fill(off int64) error {
	ctx, cancel := context.WithTimeout(o.ctx, 4*patience)
	defer cancel()
	end := min(off+window, o.info.Size)
	get := minio.GetObjectOptions{VersionID: o.info.VersionID}
	if err := errors.Join(get.SetRange(off, end-1), get.SetMatchETag(o.info.ETag)); err != nil {
		return err
	}
	r, _, _, err := (&minio.Core{Client: o.s.client}).GetObject(ctx, o.s.bucket, o.s.key(o.name), get)
	if err != nil {
		return o.s.failed("reading", o.name, err)
	}
	defer func() { _ = r.Close() }() // only read
	buf := make([]byte, end-off)
	if _, err := io.ReadFull(r, buf); err != nil {
		return o.s.failed("reading", o.name, err)
	}
	o.window, o.at = buf, off
	return nil
}
