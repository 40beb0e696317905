package aws

import (
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/assenthq/assent/internal/detect"
)

const (
	edge        = 1 << 10  // bytes kept of each end of a part, so that a value cut over two is seen
	maxUploads  = 256      // of one credential; the oldest is forgotten
	maxVersions = 4        // of one part's number
	maxEdges    = 64 << 20 // bytes of edges of all uploads
)

// uploads is what is known of the uploads in parts that are under way. What is forgotten
// is unknown from then on, and the decision at its end says so.
type uploads struct {
	engine *detect.Engine

	mu    sync.Mutex // guards what follows
	byID  map[string]*list.Element
	order *list.List // of *upload, the one used last in front
	edges int
}

// An upload is one upload in parts. Its fields are guarded by uploads.mu.
type upload struct {
	id, credential string
	object         s3Name
	agreed         bool // its beginning was permitted as the export that it is
	blind          bool // something in it was not seen here
	parts          map[int][]part
	edges          int
}

// A part is what passed under one number.
type part struct {
	etag       string
	sum        [32]byte
	size       int64
	head, tail []byte
	classes    map[string]int64
	unscanned  bool
}

func newUploads(e *detect.Engine) *uploads {
	return &uploads{engine: e, byID: map[string]*list.Element{}, order: list.New()}
}

// begin notes a new upload of credential's.
func (u *uploads) begin(id, credential string, object s3Name, agreed bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if e := u.byID[id]; e != nil {
		u.drop(e)
	}
	mine := 0
	for e := u.order.Front(); e != nil; {
		next := e.Next()
		if e.Value.(*upload).credential == credential {
			if mine++; mine >= maxUploads {
				u.drop(e)
			}
		}
		e = next
	}
	u.byID[id] = u.order.PushFront(&upload{id: id, credential: credential, object: object, agreed: agreed, parts: map[int][]part{}})
}

func (u *uploads) drop(e *list.Element) {
	up := u.order.Remove(e).(*upload)
	u.edges -= up.edges
	delete(u.byID, up.id)
}

// find is the upload of object that is called id; nil: none is known.
func (u *uploads) find(id string, object s3Name) *upload {
	e := u.byID[id]
	if e == nil || e.Value.(*upload).object != object {
		return nil
	}
	u.order.MoveToFront(e)
	return e.Value.(*upload)
}

// state says whether an upload is known, whether it was agreed to, and whether credential began it.
func (u *uploads) state(id string, object s3Name, credential string) (known, agreed, own bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	up := u.find(id, object)
	if up == nil {
		return false, false, false
	}
	return true, up.agreed, up.credential == credential
}

// add notes a part that upstream has taken.
func (u *uploads) add(id string, object s3Name, number int, p part) {
	u.mu.Lock()
	defer u.mu.Unlock()
	up := u.find(id, object)
	if up == nil {
		return
	}
	size := len(p.head) + len(p.tail)
	if len(up.parts[number]) == maxVersions || len(up.parts) > maxListed {
		up.blind = true
		return
	}
	up.parts[number] = append(up.parts[number], p)
	up.edges += size
	u.edges += size
	for e := u.order.Back(); u.edges > maxEdges && e != nil; e = u.order.Back() {
		u.drop(e)
	}
}

// blind notes that something went into an upload that was not seen here.
func (u *uploads) blind(id string, object s3Name) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if up := u.find(id, object); up != nil {
		up.blind = true
	}
}

// end forgets an upload.
func (u *uploads) end(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if e := u.byID[id]; e != nil {
		u.drop(e)
	}
}

// A whole is what an upload would be once it is completed of the parts that were named.
type whole struct {
	known     bool // every part passed here
	unscanned bool
	classes   map[string]int64
	size      int64
	digest    string // of the parts' bytes: what an approval binds
}

// whole puts together what is known of the named parts.
func (u *uploads) whole(id string, object s3Name, refs []partRef) whole {
	u.mu.Lock()
	defer u.mu.Unlock()
	w := whole{classes: map[string]int64{}}
	up := u.find(id, object)
	if up == nil {
		return w
	}
	w.known = !up.blind
	all := sha256.New()
	var last []byte
	for _, ref := range refs {
		i := slices.IndexFunc(up.parts[ref.Number], func(p part) bool { return p.etag == ref.ETag })
		if i < 0 {
			w.known = false
			last = nil
			continue
		}
		p := &up.parts[ref.Number][i]
		for j := range up.parts[ref.Number] { // an ETag may be an MD5, of which one can make two bodies
			if o := &up.parts[ref.Number][j]; o.etag == ref.ETag && o.sum != p.sum {
				w.known = false
			}
		}
		for c, n := range p.classes {
			w.classes[c] += n
		}
		u.seam(w.classes, last, p.head)
		// A part shorter than an edge lets a value reach over it.
		last = tail(slices.Concat(last, p.tail))
		w.size += p.size
		w.unscanned = w.unscanned || p.unscanned
		fmt.Fprintf(all, "%d %x\n", ref.Number, p.sum)
	}
	w.digest = hex.EncodeToString(all.Sum(nil))
	return w
}

func tail(b []byte) []byte { return b[max(0, len(b)-edge):] }

// seam finds the values that begin in one part and end in the next.
func (u *uploads) seam(into map[string]int64, before, after []byte) {
	if u.engine == nil || len(before) == 0 || len(after) == 0 {
		return
	}
	joined := slices.Concat(before, after)
	for _, f := range u.engine.Scan(joined, nil) {
		if f.Start < len(before) && f.End > len(before) {
			into[string(f.Class)]++
		}
	}
}

// edges copies what it reads, and keeps both ends of it.
type edges struct {
	io.ReadCloser
	sum        hash.Hash
	size       int64
	head, tail []byte
}

func newEdges(in io.ReadCloser) *edges { return &edges{ReadCloser: in, sum: sha256.New()} }

func (e *edges) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	b := p[:n]
	e.sum.Write(b)
	e.size += int64(n)
	if room := edge - len(e.head); room > 0 {
		e.head = append(e.head, b[:min(room, len(b))]...)
	}
	if len(b) >= edge {
		e.tail = append(e.tail[:0], tail(b)...)
	} else if len(b) > 0 {
		e.tail = append(e.tail, b...)
		if len(e.tail) > 4*edge {
			e.tail = append(e.tail[:0], tail(e.tail)...)
		}
	}
	return n, err
}

// part is what passed.
func (e *edges) part(etag string, classes map[string]int64, unscanned bool) part {
	p := part{etag: etag, size: e.size, head: e.head, tail: slices.Clone(tail(e.tail)), classes: maps.Clone(classes), unscanned: unscanned}
	e.sum.Sum(p.sum[:0])
	return p
}
