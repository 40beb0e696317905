package server

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/sealed"
)

func renamed(pack, version string) string {
	return strings.Replace(pack, "version: 2.0.0", "version: "+version, 1)
}

func (b *bench) apply(pack, by string) change.Entry {
	b.t.Helper()
	e, err := b.ApplyPolicy(b.t.Context(), map[string]string{"pack.yaml": pack}, nil, b.proposal(by))
	if err != nil {
		b.t.Fatal(err)
	}
	return e
}

// again closes the server and starts another on the same directory.
func (b *bench) again(more string) (*Server, error) {
	b.t.Helper()
	if err := b.Close(context.Background()); err != nil {
		b.t.Fatal(err)
	}
	cfg, err := ParseConfig(filepath.Join(b.dir, "assent.yaml"), []byte("data: data\nlisten: 127.0.0.1:0\npolicy: [pack.yaml]\nactors: [{ id: worker, owner: dana }]\n"+more))
	if err != nil {
		b.t.Fatal(err)
	}
	s, err := New(b.t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if err := s.Start(b.t.Context()); err != nil {
		return nil, errors.Join(err, s.Close(context.Background()))
	}
	b.t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s, nil
}

func (b *bench) denied() bool {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := b.ask(ctx, action.DataWrite, "x")
	var d *gate.Denied
	return errors.As(err, &d) && strings.Contains(d.Reason, "nothing-any-more")
}

func TestAPolicyIsAppliedByAnother(t *testing.T) {
	b := ruled(t, threeAdmins)
	before := b.policy.Current().Bundle()
	e := b.apply(denyPack, "mira")
	if e.State != change.Proposed {
		t.Fatalf("%+v", e)
	}
	a, err := b.engine.Get(t.Context(), e.Approval)
	if err != nil || !strings.Contains(a.Statement, "- ") || !strings.Contains(a.Statement, "+   - id: nothing-any-more") {
		t.Fatalf("the card doesn't show the difference: %v\n%s", err, a.Statement)
	}
	var excluded approval.ErrExcluded
	if err := b.allow(e.Approval, "mira"); !errors.As(err, &excluded) {
		t.Errorf("its author allows it: %v", err)
	}
	if b.denied() || b.policy.Current().Bundle() != before {
		t.Fatal("it is in force though nobody allowed it")
	}
	other := b.apply(renamed(denyPack, "3.0.0"), "dana") // made when the first was not in force either
	if err := b.allow(e.Approval, "omar"); err != nil {
		t.Fatal(err)
	}
	if got := b.settled(e.ID); got.State != change.Applied {
		t.Fatalf("%+v", got)
	}
	eventually(t, "it is in force", b.denied) // a moment after it is on record
	applied := b.policy.Current().Bundle()
	if !strings.Contains(a.Statement, applied) {
		t.Errorf("the card names another bundle than %s", applied)
	}
	// What was asked against an older state of things applies nothing.
	if err := b.allow(other.Approval, "omar"); err != nil {
		t.Fatal(err)
	}
	if got := b.settled(other.ID); got.State != change.Refused {
		t.Errorf("%+v", got)
	}
	if b.policy.Current().Bundle() != applied {
		t.Error("a stale change is in force")
	}
	s, err := b.again(threeAdmins)
	if err != nil || s.policy.Current().Bundle() != applied {
		t.Fatalf("after a restart another policy is in force (%v)", err)
	}
}

func TestAPolicyThatDoesNotLoadIsNotAsked(t *testing.T) {
	b := ruled(t, threeAdmins)
	var bad *change.BodyError
	for _, files := range []map[string]string{nil, {"a.yaml": "nonsense"}, {"a.yaml": strings.Repeat("#", packsKept)}} {
		if _, err := b.ApplyPolicy(t.Context(), files, nil, b.proposal("mira")); !errors.As(err, &bad) {
			t.Errorf("%v", err)
		}
	}
}

// With one administrator it is applied at once, and that is an alarm.
func TestAPolicyAppliedAlone(t *testing.T) {
	b := ruled(t, oneAdmin)
	if e := b.apply(denyPack, "mira"); e.State != change.Applied || !e.Alone {
		t.Fatalf("%+v", e)
	}
	if !b.denied() {
		t.Error("it is not in force")
	}
	if n := len(b.records(audit.TypeAlarm)); n != 1 {
		t.Errorf("%d alarms", n)
	}
	if _, err := b.ApplyPolicy(t.Context(), map[string]string{"pack.yaml": heldPack}, nil, b.proposal("omar")); !errors.Is(err, change.ErrNobody) && err != nil {
		t.Error(err)
	}
}

func TestFilesOnDiskThatNobodyApproved(t *testing.T) {
	locked := "policy_locked: true\n"
	t.Run("locked", func(t *testing.T) {
		b := ruled(t, locked+oneAdmin)
		was := b.policy.Current().Bundle()
		write(t, filepath.Join(b.dir, "pack.yaml"), denyPack)
		if err := b.ReloadPolicy(t.Context()); !errors.Is(err, errNotApproved) || b.policy.Current().Bundle() != was {
			t.Errorf("a reload takes them: %v", err)
		}
		if _, err := b.again(locked + oneAdmin); !errors.Is(err, errNotApproved) {
			t.Fatalf("a start takes them: %v", err)
		}
	})
	t.Run("not locked", func(t *testing.T) {
		b := ruled(t, oneAdmin)
		write(t, filepath.Join(b.dir, "pack.yaml"), denyPack)
		s, err := b.again(oneAdmin)
		if err != nil {
			t.Fatal(err)
		}
		recs, err := s.store.Search(t.Context(), audit.Query{Types: []string{audit.TypeConfig}, Limit: 10})
		if err != nil || len(recs) != 2 || recs[0].Detail["approved"] != "no" || recs[0].Detail["why"] != "changed on disk" || recs[0].Detail["number"] != "2" {
			t.Errorf("nobody can see it: %+v, %v", recs, err)
		}
	})
	t.Run("older ones", func(t *testing.T) {
		b := ruled(t, oneAdmin)
		write(t, filepath.Join(b.dir, "pack.yaml"), renamed(denyPack, "5.0.0"))
		if err := b.ReloadPolicy(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.apply(denyPack, "mira")
		applied := b.policy.Current().Bundle()
		write(t, filepath.Join(b.dir, "pack.yaml"), heldPack)
		s, err := b.again(oneAdmin)
		if err != nil || s.policy.Current().Bundle() != applied {
			t.Fatalf("older files bring back what was replaced (%v)", err)
		}
	})
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The stored policy is edited, put back or taken away by SQL: the server does not start on it.
func TestAnEditedPolicyIsNotInForce(t *testing.T) {
	for name, query := range map[string]string{
		"edited":   `UPDATE sealed SET body = CAST(replace(CAST(body AS TEXT), '"number":2', '"number":7') AS BLOB) WHERE kind = 'policy'`,
		"put back": `INSERT OR REPLACE INTO sealed SELECT * FROM kept`,
		"deleted":  `DELETE FROM sealed WHERE kind = 'policy'`,
	} {
		t.Run(name, func(t *testing.T) {
			b := ruled(t, oneAdmin)
			edit(t, b.dir, "CREATE TABLE kept AS SELECT * FROM sealed WHERE kind = 'policy'")
			b.apply(denyPack, "mira")
			edit(t, b.dir, query)
			if _, err := b.again(oneAdmin); !errors.Is(err, sealed.ErrTampered) {
				t.Fatalf("it starts: %v", err)
			}
		})
	}
}

func TestPacksDiff(t *testing.T) {
	got := packsDiff(map[string]string{"a": "1\n2\n3\n4\n5\n6\n7\n8\n", "b": "x\n", "c": "same\n"}, map[string]string{"a": "1\n2\n3\n4\n5\n6\n7\nnew\n", "c": "same\n", "d": "y\n"})
	want := "± a\n  …\n  6\n  7\n- 8\n+ new\n- b: no longer in force\n- x\n  c: as it is\n+ d: new\n+ y\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
