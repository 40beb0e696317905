package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/grant"
	"github.com/assenthq/assent/internal/store"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// left is a data directory as a server that stopped has left it.
func left(t *testing.T) (string, *Config) {
	t.Helper()
	dir := t.TempDir()
	cfg, err := ParseConfig(filepath.Join(dir, "assent.yaml"), []byte("data: data\nlisten: 127.0.0.1:0\nactors: [{ id: worker, owner: dana }]\npeople: [{ id: mira, groups: [reviewers, admins] }, { id: dana }]\n"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.store.AddRows(t.Context(), "person:dana", "", "urn:db", time.Now(), 3, 300); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return cfg.DataDir(), cfg
}

// content is all that Assent reads of a database, a line for each table; "" when it
// can't be read. Settings are not in it: they open nothing, and nothing vouches for them.
func content(t *testing.T, dir string) string {
	st, err := sqlite.OpenReadOnly(t.Context(), dir)
	if err != nil {
		return ""
	}
	defer func() { _ = st.Close() }()
	var out strings.Builder
	for _, table := range store.Tables {
		if table.Name == "setting" {
			continue
		}
		var sum store.Sum
		if err := st.Rows(t.Context(), table, sum.Add); err != nil {
			return ""
		}
		d := sum.Digest()
		_, _ = fmt.Fprintf(&out, "%s %d %x\n", table.Name, sum.Rows, d)
	}
	head, err := st.Head(t.Context())
	if err != nil {
		return ""
	}
	_, _ = fmt.Fprintf(&out, "%d %x", head.Size, head.Root)
	return out.String()
}

func findings(t *testing.T, cfg *Config) []Finding {
	t.Helper()
	r, err := Fsck(t.Context(), cfg, "", func(string, int64, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	return r.Findings
}

// unseen are files in which fsck can't tell a changed byte: their content is
// random (another key is as good a key), empty, or written anew at each start.
var unseen = []string{"keys/match.key", "keys/api.key", "keys/mask.key", "lock", "operator.json"}

// secrets are the keys as they are used: hexadecimal digits have two cases.
func secrets(t *testing.T, cfg *Config) string {
	t.Helper()
	k, err := loadKeys(cfg.keysDir(), false)
	if err != nil {
		return ""
	}
	log, err := loadKeyOf(cfg)
	if err != nil {
		return ""
	}
	m, err := grant.NewMinter(cfg.grantFile(), "https://test")
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%x %s %s", k.seal, log.Verifier(), m.JWKS())
}

// TestFsckFlips flips bits and cuts files of a directory: each is found, or all
// that Assent reads of the database is as it was. ASSENT_FSCK_FLIPS says how many
// for each file, at random places instead of the same; "all" every byte.
func TestFsckFlips(t *testing.T) {
	dir, cfg := left(t)
	flips, seed := 24, uint64(1)
	if s := os.Getenv("ASSENT_FSCK_FLIPS"); s == "all" {
		flips = 1 << 30
	} else if s != "" {
		flips, _ = strconv.Atoi(s)
	}
	if flips != 24 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if f := findings(t, cfg); len(f) > 0 {
		t.Fatalf("before anything was changed: %v", f)
	}
	before, keysBefore := content(t, dir), secrets(t, cfg)
	seen, harmless, notTold := 0, 0, 0
	for _, path := range files {
		name, _ := filepath.Rel(dir, path)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		try := func(what string, b []byte) {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			switch {
			case len(findings(t, cfg)) > 0:
				seen++
			case name == store.FileName && content(t, dir) == before:
				harmless++
			case filepath.Dir(name) == "keys" && !slices.Contains(unseen, filepath.ToSlash(name)) && secrets(t, cfg) == keysBefore:
				harmless++
			case slices.Contains(unseen, filepath.ToSlash(name)):
				notTold++
			default:
				t.Errorf("%s %s was not found", name, what)
				if name == store.FileName {
					t.Logf("read before:\n%s\nread now:\n%s", before, content(t, dir))
				}
			}
			for _, beside := range []string{"-wal", "-shm"} {
				if !slices.Contains(files, path+beside) {
					_ = os.Remove(path + beside)
				}
			}
		}
		for i := range min(flips, len(whole)) {
			at := i
			if flips < len(whole) {
				at = rnd.IntN(len(whole))
			}
			b := slices.Clone(whole)
			b[at] ^= 1 << rnd.IntN(8)
			try(fmt.Sprintf("flipped at byte %d", at), b)
		}
		for range min(flips/4, len(whole)) {
			at := rnd.IntN(len(whole))
			try(fmt.Sprintf("cut to %d of %d bytes", at, len(whole)), whole[:at])
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("found: %d; not found and harmless: %d; in files whose content nothing vouches for: %d", seen, harmless, notTold)
	if f := findings(t, cfg); len(f) > 0 {
		t.Errorf("after all was put back: %v", f)
	}
}

// What was planted in the schema is found, and no server writes beside code that isn't its own.
func TestFsckSchema(t *testing.T) {
	for name, c := range map[string]struct {
		plant string
		place string // in the finding
		opens bool
	}{
		"a trigger":          {"CREATE TRIGGER quiet AFTER INSERT ON ledger BEGIN DELETE FROM ledger; END", `trigger "quiet" of "ledger" is not made`, false},
		"a view":             {"CREATE VIEW approvals AS SELECT * FROM approval", `view "approvals" of "approvals" is not made`, false},
		"a table as a view":  {"ALTER TABLE ledger RENAME TO hidden; CREATE VIEW ledger AS SELECT * FROM hidden WHERE 0", `table "ledger" of "ledger" is missing`, false},
		"a table":            {"CREATE TABLE more (x TEXT) STRICT", `table "more" of "more" is not made`, true},
		"an index":           {"CREATE UNIQUE INDEX one ON ledger (class)", `index "one" of "ledger" is not made`, true},
		"a column":           {"ALTER TABLE ledger ADD COLUMN more TEXT", `table "ledger" of "ledger" is not as`, true},
		"nothing but counts": {"ANALYZE", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir, cfg := left(t)
			db, err := sql.Open("sqlite", filepath.Join(dir, store.FileName))
			if err != nil {
				t.Fatal(err)
			}
			_, err = db.ExecContext(t.Context(), c.plant)
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			about := findings(t, cfg)
			told := slices.ContainsFunc(about, func(f Finding) bool { return strings.Contains(f.What, c.place) })
			if c.place != "" && !told || c.place == "" && len(about) > 0 {
				t.Errorf("found %+v", about)
			}
			st, err := sqlite.Open(t.Context(), dir)
			if c.opens != (err == nil) || !c.opens && !errors.Is(err, sqlite.ErrForeign) {
				t.Errorf("opening it: %v", err)
			}
			if err == nil {
				if err := st.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
