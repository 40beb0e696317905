package audit

import (
	"bytes"
	"context"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/assenthq/assent/evidence"
)

// witnessed holds the note that was published last against the stored records,
// and tells who cosigned it. Only keys that the caller gave count.
func (v *verifier) witnessed(ctx context.Context) error {
	note, err := readHeadFile(v.o.Witnessed)
	if err != nil {
		return err
	}
	if note == nil {
		v.line("not witnessed: nobody but this deployment has signed that these are the records")
		return nil
	}
	cp, sigs, err := evidence.VerifyCosigned(note, v.o.VKeys, v.o.Witnesses)
	if err != nil {
		_ = v.problem(-1, "witnessed checkpoint: %v", err)
		return nil
	}
	if cp.Size > v.head.Size {
		_ = v.problem(-1, "the log was cut: %d records are stored, %d were published", v.head.Size, cp.Size)
		return nil
	}
	if root, err := v.rootAt(ctx, cp.Size); err != nil || root != cp.Root {
		_ = v.problem(-1, "the first %d records aren't those that were published", cp.Size)
		return nil
	}
	if len(sigs) == 0 {
		unknown := bytes.Count(note, []byte("\n— ")) - len(cp.Signers)
		v.line("not witnessed: the published checkpoint of %d records bears %d signatures by keys that were not given", cp.Size, unknown)
		return nil
	}
	v.Witnessed, v.Witnesses = cp, sigs
	for _, s := range sigs {
		v.line("the first %d records are witnessed by %s at %s", cp.Size, s.Witness, s.Time.Format(time.RFC3339))
	}
	if n := v.head.Size - cp.Size; n > 0 {
		v.line("the newest %d records are not witnessed", n)
	}
	return nil
}

// rootAt is the root of the first size records, by stored tiles that are checked against the head.
func (v *verifier) rootAt(ctx context.Context, size int64) (tlog.Hash, error) {
	if size == 0 {
		return emptyRoot(), nil
	}
	return tlog.TreeHash(size, hashes(ctx, v.r, v.head))
}

// describeSilences tells where a node said nothing though it had not stopped.
func (v *verifier) describeSilences() {
	const most = 20 // lines; the report has them all
	v.Silences = v.nodes.all()
	for i, s := range v.Silences {
		if i == most {
			v.line("and %d more times in which a node was silent", len(v.Silences)-most)
			return
		}
		if s.Until.IsZero() {
			v.line("gap: node %s has written nothing since %s, and had not stopped", s.Node, s.From.Format(time.RFC3339))
			continue
		}
		v.line("gap: node %s wrote nothing from %s to %s, and had not stopped", s.Node, s.From.Format(time.RFC3339), s.Until.Format(time.RFC3339))
	}
}
