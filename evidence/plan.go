package evidence

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// PlanDigest is what the reviews of a plan are bound to: SHA-256 over a version
// prefix, the plan's salt, the number of its items and, in their order, the place
// of each, from 1, and its digest.
func PlanDigest(salt [32]byte, items [][32]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte("assent-plan/1\x00"))
	h.Write(salt[:])
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(items))))
	for i, d := range items {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(i+1)))
		h.Write(d[:])
	}
	return [32]byte(h.Sum(nil))
}

// A plannedItem is an action that a plan lists.
type plannedItem struct{ plan, digest string }

// list reads what an approved plan covers, and checks that its digest, which people
// approved, is made of that.
func (l *PasskeyLog) list(r *passkeyRecord) error {
	text, is := r.Detail["plan_items"]
	if !is {
		return nil
	}
	salt, err := hex.DecodeString(r.Detail["plan_salt"])
	if err != nil || len(salt) != sha256.Size {
		return errors.New("a plan without a readable salt")
	}
	var digests [][32]byte
	var ids []string
	items := map[string]plannedItem{}
	for _, line := range strings.Split(text, "\n") {
		id, digest, _ := strings.Cut(line, " ")
		sum, ok := strings.CutPrefix(digest, "sha256:")
		raw, err := hex.DecodeString(sum)
		if !ok || err != nil || len(raw) != sha256.Size || id == "" {
			return errors.New("a plan whose items can't be read")
		}
		digests, ids = append(digests, [32]byte(raw)), append(ids, id)
		items[id] = plannedItem{r.Approval, digest}
	}
	if sum := PlanDigest([32]byte(salt), digests); r.Digest != "sha256:"+hex.EncodeToString(sum[:]) || len(items) != len(ids) {
		return fmt.Errorf("plan %s was approved under a digest that isn't that of its items", r.Approval)
	}
	l.plans[r.Approval] = ids
	for id, item := range items {
		l.items[id] = item
	}
	return nil
}

// unlist forgets a plan that is over: nothing of it may begin.
func (l *PasskeyLog) unlist(plan string) {
	for _, id := range l.plans[plan] {
		delete(l.items, id)
	}
	delete(l.plans, plan)
}
