package detect

// A Stream finds values in text that arrives in pieces. However the text is
// cut, the findings are the ones of the whole. It is used by one goroutine.
type Stream struct {
	s    scan
	base int // offset of s.t[0] in the stream
	sent int // findings before this offset were handed out
}

// portion is how many bytes are looked at before those that nothing needs any
// more are dropped.
const portion = 32 << 10

// Stream begins a stream.
func (e *Engine) Stream() *Stream {
	st := &Stream{}
	st.s.reset(e, nil, nil)
	return st
}

// Write takes the next piece and appends to dst what is now certain, with
// offsets from the beginning of the stream. It keeps a copy of what is not: the
// longest open candidate, at most 4 KiB, and a few bytes of context.
func (st *Stream) Write(p []byte, dst []Finding) []Finding {
	for len(p) > 0 {
		// In portions, so that what is kept stays short, however much comes at once.
		n := min(len(p), portion)
		st.s.t = append(st.s.t, p[:n]...)
		p = p[n:]
		st.s.steps()
		dst = st.flush(dst, st.s.readOwn(st.s.readNames(st.s.openLeft(st.s.i))))
		st.compact()
	}
	return dst
}

// Close ends the stream and appends the last findings.
func (st *Stream) Close(dst []Finding) []Finding {
	st.s.final = true
	st.s.steps()
	st.s.readNames(len(st.s.t))
	st.s.readOwn(len(st.s.t))
	dst = st.flush(dst, len(st.s.t)+maxCandidate)
	clear(st.s.t)
	if st.s.read != nil {
		st.s.read.text.Forget()
	}
	return dst
}

// Settled returns the offset up to which no finding can begin any more: bytes
// before it may be passed on, once the findings handed out are masked.
func (st *Stream) Settled() int64 { return int64(st.sent) }

// flush hands out the findings that nothing can change any more.
func (st *Stream) flush(dst []Finding, safe int) []Finding {
	if len(st.s.e.own) > 0 {
		return st.flushOwn(dst, safe)
	}
	n := 0
	for n < len(st.s.out) && st.s.out[n].End <= safe {
		f := st.s.out[n]
		f.Start += st.base
		f.End += st.base
		dst = append(dst, f)
		n++
	}
	if n < len(st.s.out) {
		safe = min(safe, st.s.out[n].Start)
	}
	st.s.out = append(st.s.out[:0], st.s.out[n:]...)
	st.sent = max(st.sent, min(safe, len(st.s.t))+st.base)
	return dst
}

// flushOwn is flush with the findings of the deployment's detectors among the others.
func (st *Stream) flushOwn(dst []Finding, safe int) []Finding {
	first := len(dst)
	dst, n, k := combine(dst, st.s.out, st.s.own.out, safe)
	for i := first; i < len(dst); i++ {
		dst[i].Start += st.base
		dst[i].End += st.base
	}
	st.s.out = append(st.s.out[:0], st.s.out[n:]...)
	st.s.own.out = append(st.s.own.out[:0], st.s.own.out[k:]...)
	for _, rest := range [][]Finding{st.s.out, st.s.own.out} {
		if len(rest) > 0 {
			safe = min(safe, rest[0].Start)
		}
	}
	st.sent = max(st.sent, min(safe, len(st.s.t))+st.base)
	return dst
}

// compact drops what no later decision looks at.
func (st *Stream) compact() {
	drop := st.s.i - 2*maxBehind
	if st.s.e.model != nil && st.s.read != nil {
		drop = min(drop, st.s.read.at)
	}
	if len(st.s.e.own) > 0 {
		drop = min(drop, st.s.own.at-ownBlock-2*maxBehind)
	}
	if drop < maxCandidate && drop < len(st.s.t)/2 {
		return
	}
	kept := copy(st.s.t, st.s.t[drop:])
	clear(st.s.t[kept:])
	st.s.t = st.s.t[:kept]
	st.s.i -= drop
	st.s.skimmer.to = 0 // its blocks are of what was dropped
	if st.s.read != nil {
		st.s.read.at -= drop
	}
	st.s.own.drop(drop)
	for _, m := range []*int{&st.s.run, &st.s.pem, &st.s.seen, &st.s.sewn} {
		*m = max(0, *m-drop)
	}
	for k := range st.s.out {
		st.s.out[k].Start -= drop
		st.s.out[k].End -= drop
	}
	st.base += drop
}
