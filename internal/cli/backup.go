package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/assenthq/assent/internal/backup"
	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

type backupFlags struct {
	out, config, passphrase string
	recipients              []string
	withoutKeys, unverified bool
}

func (a *app) backupCmd() *cobra.Command {
	var f backupFlags
	c := &cobra.Command{
		Use: "backup --out FILE (--recipient AGE… | --passphrase-file FILE | --without-keys)", Short: "Write the deployment on this machine into one file", Args: exactly(),
		Long: `Write the data directory into one file: the database as it is at one moment, the
checkpoint, traffic and facts, recordings, and the keys. The server may go on running. The
copy of the log is verified before it is packed.

Keys leave the machine encrypted only: for the recipients named (age, age-keygen makes
one), or under a passphrase. --without-keys leaves them out, and does not encrypt.
With --config of a node whose database is PostgreSQL the database is not in it: run this
first and pg_dump after it, so that the checkpoint is never ahead of the database.`,
		Example: `  assent backup --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p --out assent-$(date +%F).backup
  assent restore assent-2026-11-23.backup --identity key.txt --data restored`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.backup(cmd, &f) },
	}
	s := c.Flags()
	s.StringVarP(&f.out, "out", "o", "", "file to write; it must not be there yet")
	s.StringVarP(&f.config, "config", "c", "", "configuration of the deployment; none: what --data names")
	s.StringArrayVar(&f.recipients, "recipient", nil, "age recipient who can read it (repeatable)")
	s.StringVar(&f.passphrase, "passphrase-file", "", "file whose first line is a passphrase that opens it")
	s.BoolVar(&f.withoutKeys, "without-keys", false, "leave the keys out; keep them by other means: without them no server starts")
	s.BoolVar(&f.unverified, "unverified", false, "also where the log does not verify")
	return c
}

func (a *app) backup(cmd *cobra.Command, f *backupFlags) error {
	if f.out == "" {
		return usage(cmd, "--out is missing: the file to write")
	}
	recipients, err := f.readers()
	switch {
	case err != nil:
		return &exitError{exitUsage, err}
	case f.withoutKeys == (len(recipients) > 0):
		return usage(cmd, "say who can read it: --recipient, --passphrase-file, or --without-keys alone")
	}
	cfg := &server.Config{Data: a.data}
	if f.config != "" {
		if cfg, err = server.ReadConfig(f.config); err != nil {
			return &exitError{exitUsage, err}
		}
	}
	if _, err := os.Stat(cfg.DataDir()); err != nil {
		return failf(exitUsage, "%s is no data directory (--data names one)", cfg.DataDir())
	}
	progress, ends := a.progress("bytes")
	m, err := backup.Write(cmd.Context(), cfg.BackupSource(f.unverified), f.out, backup.Options{Software: "assent " + Version(), Recipients: recipients, Progress: progress})
	ends()
	if errors.Is(err, fs.ErrExist) {
		return failf(exitUsage, "%s is there already: name another file", f.out)
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(m)
	}
	a.printf("%s: %s", inline(f.out), count(len(m.Files), "file", "files"))
	switch {
	case m.Keys:
		a.printf(", encrypted\n")
	default:
		a.printf(", not encrypted, WITHOUT THE KEYS: keep %s by other means, no server starts without them\n", inline("keys/"))
	}
	if !m.Database {
		a.printf("THE DATABASE IS NOT IN IT: it is PostgreSQL's; run pg_dump now, after this\n")
	}
	if m.Checkpoint != "" {
		a.printf("at least all records under this checkpoint:\n\n%s", m.Checkpoint)
	}
	return nil
}

func (f *backupFlags) readers() (out []age.Recipient, err error) {
	if len(f.recipients) > 0 {
		if out, err = age.ParseRecipients(strings.NewReader(strings.Join(f.recipients, "\n"))); err != nil {
			return nil, fmt.Errorf("--recipient: %w: name what age-keygen prints as the public key", err)
		}
	}
	if f.passphrase == "" {
		return out, nil
	}
	if len(out) > 0 {
		return nil, errors.New("--passphrase-file and --recipient can't go together (age)")
	}
	p, err := passphrase(f.passphrase)
	if err != nil {
		return nil, err
	}
	r, err := age.NewScryptRecipient(p)
	return []age.Recipient{r}, err
}

// passphrase is a file's first line.
func passphrase(name string) (string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	p, _, _ := strings.Cut(string(b), "\n")
	if len(p) < 12 {
		return "", fmt.Errorf("%s: a passphrase of fewer than 12 characters", name)
	}
	return p, nil
}

func (a *app) restoreCmd() *cobra.Command {
	var f restoreFlags
	c := &cobra.Command{
		Use: "restore FILE --data DIR", Short: "Put a backup into an empty directory, and verify it", Args: exactly("FILE"),
		Long: `Unpack what assent backup wrote, compare every file with its digest, verify the log, and
only then put it in place as DIR, which must be empty or not there. Nothing is overwritten.

What happened after the backup is not in it. Where witnesses have seen more of the log than
was restored, the server says so and signs nothing.

--accept-loss gives up what the log said after the backup, where it can't be had any more:
the log goes on under another name and key, signed over by the one it had, and says so for
ever. The server freezes everything when it starts, until administrators let it go.`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.restore(cmd, args[0], &f) },
	}
	s := c.Flags()
	s.StringVarP(&f.identity, "identity", "i", "", "file with the age identity that opens it")
	s.StringVar(&f.passphrase, "passphrase-file", "", "file whose first line is the passphrase that opens it")
	s.StringVar(&f.key, "key", "", "the log's public key, where the backup has no keys, or to hold it against one from elsewhere")
	s.BoolVar(&f.acceptLoss, "accept-loss", false, "let the log go on without what it said after the backup (with --reason)")
	s.StringVar(&f.reason, "reason", "", "why what was lost can't be had any more, for the log")
	s.StringVar(&f.seen, "seen", "", "newest checkpoint of the lost log that somebody kept, such as its /log/checkpoint at a witness")
	return c
}

type restoreFlags struct {
	identity, passphrase, key, reason, seen string
	acceptLoss                              bool
}

// loss is what is accepted; nil where nothing is.
func (f *restoreFlags) loss() (*server.Loss, error) {
	switch {
	case !f.acceptLoss && f.reason == "" && f.seen == "":
		return nil, nil
	case !f.acceptLoss:
		return nil, errors.New("--reason and --seen belong to --accept-loss")
	case strings.TrimSpace(f.reason) == "" || len(f.reason) > 1000:
		return nil, errors.New("--accept-loss: say why in --reason, in 1000 bytes at most; it is in the log for ever")
	}
	l := &server.Loss{Reason: f.reason}
	if f.seen == "" {
		return l, nil
	}
	var err error
	if l.Seen, err = os.ReadFile(f.seen); err == nil && len(l.Seen) == 0 {
		err = fmt.Errorf("%s is empty", f.seen)
	}
	return l, err
}

func (a *app) restore(cmd *cobra.Command, file string, f *restoreFlags) (err error) {
	identities, err := identitiesOf(f.identity, f.passphrase)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	loss, err := f.loss()
	if err != nil {
		return &exitError{exitUsage, err}
	}
	in, err := os.Open(file)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	defer func() { _ = in.Close() }()
	if names, err := os.ReadDir(a.data); err == nil && len(names) > 0 {
		return failf(exitUsage, "%s is not empty: a backup is put into an empty directory (--data names one)", inline(a.data))
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir := filepath.Clean(a.data) + ".restoring"
	if _, err := os.Stat(dir); err == nil {
		return failf(exitUsage, "%s is there: a restore was cut off, or another one is under way; remove it if none is", inline(dir))
	}
	m, err := backup.Read(in, dir, identities...)
	if errors.Is(err, backup.ErrEncrypted) {
		return failf(exitUsage, "%w: --identity or --passphrase-file", err)
	}
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	lines := []string{"the database is PostgreSQL's: restore its dump, then assent verify --config tells whether the two belong together"}
	if m.Database && !m.Keys && f.key == "" {
		return failf(exitUsage, "the backup has no keys: give the log's public key by --key (assent keys prints it), to verify the log against")
	}
	if m.Database {
		r, err := server.VerifyRestored(cmd.Context(), dir, f.key)
		if err != nil {
			return err
		}
		if !r.OK() {
			return a.problems(r)
		}
		lines = r.Lines
		if f.key == "" {
			lines = append([]string{"CHECKED AGAINST THE KEY IN THE BACKUP ONLY: whoever made the backup could have made the key too; --key takes the log's from elsewhere"}, lines...)
		}
	}
	var fork *server.Forked
	if loss != nil {
		if !m.Database || !m.Keys {
			return failf(exitUsage, "--accept-loss: the database and the keys must be in the backup: without them nothing can be signed over")
		}
		if fork, err = server.ForkRestored(cmd.Context(), dir, *loss); err != nil {
			return err
		}
	}
	if err := os.Remove(a.data); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(dir, a.data); err != nil {
		return err
	}
	done = true
	if a.json {
		return a.printJSON(restored{m, fork})
	}
	for _, l := range lines {
		a.printf("%s\n", inline(l))
	}
	a.printf("%s is as it was on %s; what happened after that is not in it\n", inline(a.data), m.Time.UTC().Format("2006-01-02 15:04:05 UTC"))
	if !m.Keys {
		a.printf("the keys are not in it: put them into %s\n", inline(filepath.Join(a.data, "keys")))
	}
	if fork != nil {
		a.forked(fork)
	}
	return nil
}

// restored is what --json prints.
type restored struct {
	*backup.Manifest
	Fork *server.Forked `json:"fork,omitempty"`
}

func (a *app) forked(f *server.Forked) {
	a.printf("\nTHE LOG WAS FORKED at record %d: what it said behind that is given up", f.Kept)
	if f.Seen > 0 {
		a.printf(", %d records at least", f.Seen-f.Kept)
	}
	a.printf("\nit is called %s now; its public key, for witnesses and auditors, beside the one before:\n%s\n", f.Log, f.Key)
	a.printf("everything is frozen from the next start until administrators let it go (assent freeze list)\n")
}

func identitiesOf(file, pass string) ([]age.Identity, error) {
	switch {
	case file != "" && pass != "":
		return nil, errors.New("--identity and --passphrase-file: one of the two")
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		ids, err := age.ParseIdentities(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return ids, nil
	case pass != "":
		p, err := passphrase(pass)
		if err != nil {
			return nil, err
		}
		id, err := age.NewScryptIdentity(p)
		return []age.Identity{id}, err
	}
	return nil, nil
}
