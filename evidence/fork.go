package evidence

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// forkHeader is the first line of a fork's text, which no checkpoint has.
const forkHeader = "assent/log-fork/v1"

// A Fork says that a log was put back to its first Size records and goes on from there
// under another name: what it said behind them is lost, and was accepted to be.
type Fork struct {
	From string // vkey of the key until then; its name is the log's
	To   string // vkey of the one after it; its name is the new one
	Size int64
	Root Hash // of the first Size records
	At   time.Time
}

// Text is what both keys sign.
func (f *Fork) Text() string {
	return fmt.Sprintf("%s\n%s\n%s\n%d\n%s\n%s\n", forkHeader, f.From, f.To, f.Size, f.Root, f.At.UTC().Format(time.RFC3339))
}

// VerifyFork checks a signed fork: by the key that the log had, which lets it go on, and by the new
// one, which shows that somebody has it. The old key is the caller's to trust, and that
// the first Size records have Root is the caller's to check.
func VerifyFork(signed []byte) (*Fork, error) {
	text, _, found := strings.Cut(string(signed), "\n\n")
	lines := strings.Split(text, "\n")
	if len(signed) > maxNote || !found || len(lines) != 6 || lines[0] != forkHeader {
		return nil, errors.New("fork of the log: want its header, both keys, records, root and a time, one a line")
	}
	f := &Fork{From: lines[1], To: lines[2]}
	var bad [3]error
	f.Size, bad[0] = strconv.ParseInt(lines[3], 10, 64)
	f.Root, bad[1] = tlog.ParseHash(lines[4])
	f.At, bad[2] = time.Parse(time.RFC3339, lines[5])
	if errors.Join(bad[:]...) != nil || f.Size < 1 || f.Text() != text+"\n" {
		return nil, errors.New("fork of the log: its records, root or time aren't written the one way")
	}
	var names []string
	for _, vkey := range []string{f.From, f.To} {
		v, err := note.NewVerifier(vkey)
		if err != nil {
			return nil, errors.New("fork of the log: a key can't be read")
		}
		n, err := note.Open(signed, note.VerifierList(v))
		if err != nil {
			return nil, errors.New("fork of the log: it isn't signed by both keys")
		}
		if _, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64); err != nil {
			return nil, errors.New("fork of the log: a signature isn't written the one way") // note is more lenient
		}
		names = append(names, v.Name())
	}
	if names[0] == names[1] {
		return nil, errors.New("fork of the log: under the same name")
	}
	return f, nil
}
