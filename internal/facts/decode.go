package facts

import (
	"errors"

	"github.com/klauspost/compress/zstd"
)

const chunkRows = 256

// A decoder reads blocks, one after the other, and uses its memory again.
type decoder struct {
	z       *zstd.Decoder
	dicts   [dictCount][][]byte
	rows    int
	present [colCount]bool
	columns [colCount]cursor
	class   cursor
	read    cursor
	chunk   [colCount][chunkRows]uint64
	counts  []Count
	classes []string

	ids [tuples]uint32
	v   values
}

func (d *decoder) close() {
	if d.z != nil {
		d.z.Close()
	}
}

// open takes the payload of a block.
func (d *decoder) open(h *header, payload []byte) (answers []byte, err error) {
	if len(payload) != h.length || checksum(payload) != h.sum {
		return nil, errDamaged
	}
	if h.answers*answerSize > len(payload) {
		return nil, errDamaged
	}
	answers, payload = payload[:h.answers*answerSize], payload[h.answers*answerSize:]
	if d.z == nil {
		if d.z, err = newUnpacker(); err != nil {
			return nil, err
		}
	}
	if d.dicts, payload, err = parseDicts(payload, d.z); err != nil {
		return nil, err
	}
	d.classes = d.classes[:0]
	for _, c := range d.dicts[dictClass] {
		d.classes = append(d.classes, string(c))
	}
	d.rows, d.present = h.rows, [colCount]bool{}
	d.columns, d.class, d.read = [colCount]cursor{}, cursor{}, cursor{}
	for len(payload) > 0 {
		var id int
		var c cursor
		if id, c, payload, err = readColumn(payload); err != nil {
			return nil, err
		}
		switch {
		case id == colReadClass:
			d.class = c
		case id == colReadRows:
			d.read = c
		case id < colCount:
			d.columns[id], d.present[id] = c, true
		default:
			return nil, errColumn // a newer version says so in its header
		}
	}
	for id := range colCount {
		if c := &d.columns[id]; c.constant() { // a column that isn't there is one of zeros
			if err := c.fill(d.chunk[id][:]); err != nil {
				return nil, err
			}
		}
	}
	return answers, nil
}

var errID = errors.New("a tuple that is not there")

// each calls f with the tuples, numbers and reads of every row, in d's memory.
func (d *decoder) each(f func() error) error {
	for at := 0; at < d.rows; at += chunkRows {
		n := min(chunkRows, d.rows-at)
		for id := range colCount {
			if c := &d.columns[id]; !c.constant() {
				if err := c.fill(d.chunk[id][:n]); err != nil {
					return err
				}
			}
		}
		for i := range n {
			for k := range tuples {
				id := d.chunk[k][i]
				if id >= uint64(len(d.dicts[k])) {
					return errID
				}
				d.ids[k] = uint32(id)
			}
			for k := colTime; k < colCount; k++ {
				d.v[k] = d.chunk[k][i]
			}
			if d.counts = d.counts[:0]; d.v[colReads] > 1 {
				if err := d.readCounts(d.v[colReads] - 1); err != nil {
					return err
				}
			}
			if err := f(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *decoder) readCounts(n uint64) error {
	if n > maxReads {
		return errColumn
	}
	var one [2][1]uint64
	for range n {
		if err := errors.Join(d.class.fill(one[0][:]), d.read.fill(one[1][:])); err != nil {
			return err
		}
		if one[0][0] >= uint64(len(d.classes)) {
			return errID
		}
		d.counts = append(d.counts, Count{d.classes[one[0][0]], unzigzag(one[1][0])})
	}
	return nil
}

// A recorder makes records of what a decoder reads.
type recorder struct {
	d       *decoder
	whats   []what
	whos    []who
	aims    []aim
	claims  []claims
	found   []map[string]int64
	decided []decided

	r     Record
	a     what // r.Input.Action is its action
	reads reads
	last  [tuples]uint32
	any   bool
	why   string // fill of the reason
}

func parseAll[T any](list [][]byte, to []T, parse func([]byte) (T, error)) ([]T, error) {
	to = to[:0]
	for _, b := range list {
		one, err := parse(b)
		if err != nil {
			return nil, err
		}
		to = append(to, one)
	}
	return to, nil
}

// open parses the tuples of the block that the decoder has open.
func (c *recorder) open(block int) error {
	var errs [tuples]error
	c.whats, errs[0] = parseAll(c.d.dicts[dictWhat], c.whats, readWhat)
	c.whos, errs[1] = parseAll(c.d.dicts[dictWho], c.whos, readWho)
	c.aims, errs[2] = parseAll(c.d.dicts[dictAim], c.aims, readAim)
	c.claims, errs[3] = parseAll(c.d.dicts[dictClaims], c.claims, readClaims)
	c.found, errs[4] = parseAll(c.d.dicts[dictFound], c.found, readFound)
	c.decided, errs[5] = parseAll(c.d.dicts[dictDecided], c.decided, readDecided)
	c.any, c.r.Block = false, block
	return errors.Join(errs[:]...)
}

// record makes the record of the row that the decoder stands at.
func (c *recorder) record() *Record {
	d, r := c.d, &c.r
	if d.ids != c.last || !c.any {
		c.tuples()
		c.last, c.any = d.ids, true
	}
	d.v.write(r)
	if r.Input.Read = nil; d.v[colReads] != 0 {
		c.reads.list = d.counts
		r.Input.Read = &c.reads
	}
	return r
}

// tuples fills in what differs from the row before.
func (c *recorder) tuples() {
	r, ids, in := &c.r, &c.d.ids, &c.r.Input
	fresh := !c.any
	newWhat := fresh || ids[dictWhat] != c.last[dictWhat]
	newWho := fresh || ids[dictWho] != c.last[dictWho]
	if newWhat {
		c.a = c.whats[ids[dictWhat]]
		in.Action, in.Harmless = &c.a.action, c.a.why
		r.Gate, r.What = c.a.gate, int(ids[dictWhat])
	}
	if newWho {
		w := &c.whos[ids[dictWho]]
		in.SubjectID, in.SubjectGroups = w.subject, w.groups
		in.ActorID, in.ActorType, in.ActorOwner, in.ActorModel, in.ActorTrust = w.id, w.typ, w.owner, w.model, w.trusted
		r.Who = int(ids[dictWho])
	}
	a := in.Action
	w := &c.whos[ids[dictWho]]
	a.Subject, a.Actors = w.subject, w.links
	aim, claims := &c.aims[ids[dictAim]], &c.claims[ids[dictClaims]]
	a.Target, a.Data.Destination = aim.target, aim.destination
	a.Claims.Session, a.Claims.Ticket, a.Claims.BreakGlass = claims.session, claims.ticket, claims.breakGlass
	a.Claims.Reason = c.filler(claims.reason)
	a.Data.Findings = c.found[ids[dictFound]]
	r.Inexact = c.a.cleaned | aim.cleaned | claims.cleaned
	if fresh || ids[dictDecided] != c.last[dictDecided] {
		k := &c.decided[ids[dictDecided]]
		r.Verdict, r.Frozen, r.Bundle, r.Rules, r.Shadow = k.verdict, k.frozen, k.bundle, k.rules, k.shadow
		r.Asked, r.Masks, r.Limit = k.asked, k.masks, k.limit
		r.Outside, r.Others = k.outside, k.others
	}
}

// filler stands for a reason of n characters.
func (c *recorder) filler(n int) string {
	for len(c.why) < n*len(fillRune) {
		c.why += fillRune + c.why
	}
	return c.why[:n*len(fillRune)]
}

// fillRune is in no reason that a rule looks for.
const fillRune = "\ufffd"
