package server

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/grant"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/keyfile"
	"github.com/assenthq/assent/internal/mask"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/store"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// A Finding is something in a data directory that isn't as it was left.
type Finding struct {
	Place  string `json:"place"`
	What   string `json:"what"`
	Remedy string `json:"remedy"`
}

// FsckReport is what Fsck found.
type FsckReport struct {
	Log      *audit.Report  `json:"log,omitempty"`
	Rows     map[string]int `json:"rows"` // whose seals were checked, by table
	Findings []Finding      `json:"findings"`
}

const (
	fsckMost = 200 // findings that are listed

	evidenceRemedy = "keep the directory as it is, it is evidence; restore the last backup elsewhere and compare"
	rowRemedy      = "Assent refuses to use it; assent log shows what is recorded of it, a backup has it as it was"
	diskRemedy     = "copy the directory elsewhere, check the disk, and restore the last backup"
	keyRemedy      = "put it back from its copy: what is stored was sealed or signed with it"
)

// Fsck reads everything that the data directory of cfg should hold and tells what
// is missing, damaged, edited or open to others. It writes nothing but SQLite's own
// -shm and -wal beside the database, and a server may run meanwhile. key is the log's public key, from elsewhere; "": that of the
// directory. An error means that it couldn't look.
func Fsck(ctx context.Context, cfg *Config, key string, progress func(what string, done, total int64)) (*FsckReport, error) {
	if cfg.Store != nil {
		return nil, errors.New("fsck looks at a data directory, and this deployment's store is a database: assent verify --config checks its log, PostgreSQL's own tools (pg_amcheck) its pages")
	}
	f := &fsck{ctx: ctx, cfg: cfg, key: key, progress: progress, FsckReport: &FsckReport{Rows: map[string]int{}, Findings: []Finding{}}}
	f.files()
	f.keys()
	if err := f.database(); err != nil {
		return nil, err
	}
	return f.FsckReport, ctx.Err()
}

type fsck struct {
	*FsckReport
	ctx      context.Context
	cfg      *Config
	key      string
	seal     []byte // nil: the keys can't be read
	mask     []byte
	progress func(string, int64, int64)
}

func (f *fsck) found(place, remedy, format string, args ...any) {
	if len(f.Findings) < fsckMost {
		f.Findings = append(f.Findings, Finding{place, fmt.Sprintf(format, args...), remedy})
	}
}

// files looks at who may read and write what is there.
func (f *fsck) files() {
	dirs := []string{f.cfg.DataDir()}
	if k := f.cfg.keysDir(); filepath.Dir(k) != dirs[0] {
		dirs = append(dirs, k)
	}
	for _, dir := range dirs {
		root, err := os.Stat(dir)
		if err != nil {
			f.found(dir, diskRemedy, "can't be read: %v", err)
			continue
		}
		err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // a running server removes files
			}
			if err != nil {
				f.found(path, diskRemedy, "can't be read: %v", err)
				return nil
			}
			info, err := d.Info()
			if err != nil {
				return nil
			}
			switch open := info.Mode().Perm() & 0o077; {
			case info.Mode()&fs.ModeSymlink != 0:
				f.found(path, "put the file itself there", "is a link: what it leads to is not checked")
			case open != 0 && (d.IsDir() || info.Mode()&0o022 != 0 || filepath.Dir(path) == f.cfg.keysDir() && !keyfile.Private(info) || filepath.Base(path) == store.FileName):
				f.found(path, "chmod go-rwx; whoever could read a key may have it: rotate it if they are not trusted", "is open to others than its owner (mode %o)", info.Mode().Perm())
			case !sameOwner(root, info):
				f.found(path, "chown it to the owner of the directory; the server may not be able to write it", "belongs to another user than %s", dir)
			}
			return nil
		})
		if err != nil {
			f.found(dir, diskRemedy, "can't be read: %v", err)
		}
	}
}

// keys reads each key that a deployment has, and makes none.
func (f *fsck) keys() {
	dir := f.cfg.keysDir()
	for _, k := range []struct {
		name string
		into *[]byte
	}{{"seal", &f.seal}, {"match", new([]byte)}, {"mask", &f.mask}, {"api", new([]byte)}} {
		b, err := loadKey(filepath.Join(dir, k.name+".key"), false)
		if err != nil {
			f.found(filepath.Join(dir, k.name+".key"), keyRemedy, "%v", err)
		}
		*k.into = b
	}
	if err := grant.CheckKeys(f.cfg.grantFile()); err != nil {
		f.found(f.cfg.grantFile(), keyRemedy, "%v", err)
	}
	own, err := Verifier(f.cfg)
	if err != nil {
		f.found(f.cfg.logKeyFile(), keyRemedy, "%v", err)
	}
	if f.key == "" {
		f.key = own
	}
}

func (f *fsck) database() error {
	path := filepath.Join(f.cfg.DataDir(), store.FileName)
	st, err := sqlite.OpenReadOnly(f.ctx, f.cfg.DataDir())
	if err != nil {
		f.found(path, diskRemedy, "can't be opened: %v", err)
		return f.ctx.Err()
	}
	defer func() { _ = st.Close() }()
	f.progress("database pages", 0, 0)
	if err := st.Integrity(f.ctx, func(what string) { f.found(path, diskRemedy, "%s", what) }); err != nil {
		f.found(path, diskRemedy, "%v", err)
	}
	if err := st.Schema(f.ctx, func(what string) { f.found(path, evidenceRemedy, "%s", what) }); err != nil {
		f.found(path, diskRemedy, "%v", err)
	}
	f.log(st)
	for _, t := range store.Tables {
		if strings.HasPrefix(t.Name, "log_") {
			continue // read already
		}
		if err := st.Rows(f.ctx, t, func([]any) error { return nil }); err != nil {
			f.found(path+", table "+t.Name, diskRemedy, "can't be read whole: %v", err)
		}
	}
	if f.seal == nil {
		return f.ctx.Err() // without the key every row would look forged
	}
	for _, part := range []struct {
		name  string
		check func(*sqlite.Store) error
	}{{"sealed", f.sealed}, {"approval", f.approvals}, {"token", f.tokens}, {"ledger", f.ledger}, {"vault", f.vault}} {
		f.progress("rows of "+part.name, 0, 0)
		if err := part.check(st); err != nil {
			f.found(path+", table "+part.name, diskRemedy, "can't be read whole: %v", err)
		}
	}
	return f.ctx.Err()
}

// log has verify look at records, tiles, head, checkpoint, spool and archive.
func (f *fsck) log(st *sqlite.Store) {
	if f.key == "" {
		f.found("log", keyRemedy, "not verified: there is no public key to verify it with (--key names one)")
		return
	}
	o := f.cfg.VerifyOptions(f.key)
	o.Progress = func(done, total int64) { f.progress("records", done, total) }
	r, err := audit.Verify(f.ctx, st, o)
	if err != nil {
		f.found("log", evidenceRemedy, "can't be verified: %v", err)
		return
	}
	f.Log = r
	for _, p := range r.Problems {
		place := "log"
		if p.Index >= 0 {
			place = fmt.Sprintf("log, record %d", p.Index)
		}
		f.found(place, evidenceRemedy, "%s", p.What)
	}
}

// names are the distinct values of one column, but "".
func (f *fsck) names(st *sqlite.Store, table, column, order string, of func(string) string) ([]string, error) {
	seen := map[string]bool{}
	err := st.Rows(f.ctx, store.Table{Name: table, Columns: []string{column}, Order: order}, func(row []any) error {
		b, ok := row[0].([]byte)
		if !ok {
			return fmt.Errorf("%s holds no text", column)
		}
		if name := of(string(b)); name != "" {
			seen[name] = true
		}
		return nil
	})
	out := make([]string, 0, len(seen))
	for name := range seen {
		out = append(out, name)
	}
	slices.Sort(out)
	return out, err
}

func whole(s string) string { return s }

// kindOf is the kind of a sealed row that a record is about.
func kindOf(about string) string {
	for i := range about {
		if about[i] == '/' {
			return about[:i]
		}
	}
	return ""
}

func (f *fsck) sealed(st *sqlite.Store) error {
	kinds, err := f.names(st, "sealed", "kind", "kind, id", whole)
	if err != nil {
		return err
	}
	told, err := f.names(st, "log_record", "about", "idx", kindOf)
	if err != nil {
		return err
	}
	kinds = append(kinds, told...)
	slices.Sort(kinds)
	for _, kind := range slices.Compact(kinds) {
		err := st.ViewSealed(f.ctx, func(tx sealed.Tx) error {
			n, err := sealed.Check(f.ctx, tx, f.seal, kind, func(about string, err error) { f.found(about, rowRemedy, "%v", err) })
			f.Rows["sealed"] += n
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *fsck) approvals(st *sqlite.Store) error {
	ids, err := f.names(st, "approval", "id", "rowid", whole)
	if err != nil {
		return err
	}
	for _, from := range []struct{ table, order string }{{"log_record", "idx"}, {"review", "rowid"}} {
		more, err := f.names(st, from.table, "approval", from.order, whole)
		if err != nil {
			return err
		}
		ids = append(ids, more...)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		err := st.View(f.ctx, func(tx approval.Tx) error {
			wrong, err := approval.Check(f.ctx, tx, f.seal, id)
			if wrong != nil {
				f.found("approval/"+id, rowRemedy, "%v", wrong)
			}
			return err
		})
		if err != nil {
			return err
		}
		f.Rows["approval"]++
	}
	return nil
}

func (f *fsck) tokens(st *sqlite.Store) error {
	return st.ViewTokens(f.ctx, func(tx identity.TokenTx) error {
		rows, err := tx.ListTokens(f.ctx)
		for _, r := range rows {
			if err := identity.CheckToken(f.seal, r); err != nil {
				f.found("token/"+r.ID, "revoke it and mint another", "%v", err)
			}
			f.Rows["token"]++
		}
		return err
	})
}

func (f *fsck) ledger(st *sqlite.Store) error {
	return f.rows(st, "ledger", func(row []any) error {
		var text [3]string
		var n [3]int64
		for i := range text {
			b, ok := row[i].([]byte)
			m, number := row[3+i].(int64)
			if !ok || !number {
				return errOtherType
			}
			text[i], n[i] = string(b), m
		}
		if mac, ok := row[6].([]byte); !ok || !hmac.Equal(mac, store.LedgerMAC(f.seal, text[0], text[1], text[2], n[0], n[1], n[2])) {
			f.found(fmt.Sprintf("ledger, %s on %s", text[0], text[2]), "reads of it are held until the hour has left the window of its rules", "%v", store.ErrLedgerEdited)
		}
		return nil
	})
}

func (f *fsck) vault(st *sqlite.Store) error {
	if f.mask == nil {
		return nil
	}
	m := mask.New(f.mask, nil)
	m.KeepIn(nil)
	return f.rows(st, "vault", func(row []any) error {
		k := &mask.Kept{}
		for i, into := range []*string{&k.Token, &k.Class, &k.Actor} {
			b, ok := row[i].([]byte)
			if !ok {
				return errOtherType
			}
			*into = string(b)
		}
		k.Sealed, _ = row[4].([]byte)
		if _, err := m.Unsealed(k); err != nil {
			f.found("vault, a value of class "+k.Class, "its token can't be resolved; a backup has it as it was", "%v", err)
		}
		return nil
	})
}

var errOtherType = errors.New("a column holds a value of another type: the row was changed outside Assent")

// rows calls fn with each row of a table, columns as store.Tables lists them.
func (f *fsck) rows(st *sqlite.Store, table string, fn func(row []any) error) error {
	i := slices.IndexFunc(store.Tables, func(t store.Table) bool { return t.Name == table })
	return st.Rows(f.ctx, store.Tables[i], func(row []any) error {
		f.Rows[table]++
		return fn(row)
	})
}
