package scan

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/mask"
)

func masker(t testing.TB, f Format, columns map[string]detect.Class, methods map[string]string) Masking {
	t.Helper()
	e, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return Masking{Engine: e, Set: mask.New([]byte("k"), e).For("test", methods), Format: f, Columns: columns}
}

var redacted = map[string]string{"pii": "redact", "pci": "redact", "phi": "redact", "secret": "redact"}

func TestMask(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string
		columns        map[string]detect.Class
		methods        map[string]string
	}{
		{"a.log", "to " + email + ", card " + card + "\n", "to [masked:email], card [masked:card]\n", nil, redacted},
		{"a.log", "to " + email + ", card " + card + "\n", "to ***@example.com, card **** **** **** 1111\n", nil, map[string]string{"card": "partial", "email": "partial"}},
		{"a.log", "to " + email + ", card " + card + "\n", "to " + email + ", card [masked:card]\n", nil, map[string]string{"pci": "redact"}},
		{"a.csv", "id,ssn,note\n1,anything,x\n2,\"quo\"\"ted\",y\n3,,z\n", "id,ssn,note\n1,[masked:us-ssn],x\n2,\"[masked:us-ssn]\",y\n3,,z\n", nil, redacted},
		{"a.csv", "id,note\n1,some words\n2,\n", "id,note\n1,[masked:sensitive]\n2,\n", map[string]detect.Class{"Note": ""}, redacted},
		{"-", "id,note\n1,some words\n", "id,note\n1,[masked:phone]\n", map[string]detect.Class{"note": "phone"}, map[string]string{"card": "redact"}},
		{
			"a.json", `{"ssn":219099999,"n":12,"card":["4111111111111111",4111111111111111],"t":"at 4111111111111111 "}`,
			`{"ssn":"[masked:us-ssn]","n":12,"card":["[masked:card]","[masked:card]"],"t":"at [masked:card] "}`, nil, redacted,
		},
		{"a.json", `{"\u0073sn":"anything"}`, `{"\u0073sn":"[masked:us-ssn]"}`, nil, redacted},
		{
			"a.sql", "INSERT INTO c (ssn, m) VALUES (219099999, 'x'), ('219099998', '" + email + "');\nCOPY c (ssn) FROM stdin;\n1\n\\N\n\\.\n",
			"INSERT INTO c (ssn, m) VALUES ('[masked:us-ssn]', 'x'), ('[masked:us-ssn]', '[masked:email]');\nCOPY c (ssn) FROM stdin;\n[masked:us-ssn]\n\\N\n\\.\n", nil, redacted,
		},
		{"long.csv", "ssn,x\n" + strings.Repeat("a", maxValue+3) + ",y\n", "ssn,x\n[masked:us-ssn][masked:us-ssn],y\n", nil, redacted},
		{"empty", "", "", nil, redacted},
	} {
		for cut, r := range map[string]io.Reader{"whole": strings.NewReader(tt.in), "bytes": iotest.OneByteReader(strings.NewReader(tt.in)), "last": iotest.DataErrReader(strings.NewReader(tt.in))} {
			var out bytes.Buffer
			if _, err := masker(t, "", tt.columns, tt.methods).Mask(t.Context(), tt.name, r, &out); err != nil {
				t.Errorf("%s %s: %v", tt.name, cut, err)
			}
			if out.String() != tt.want {
				t.Errorf("%s %s:\n got %q\nwant %q", tt.name, cut, out.String(), tt.want)
			}
		}
	}
}

func TestWhatCantBeMaskedIsNotPassedOn(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		in         []byte
		columns    map[string]detect.Class
	}{
		{"a.gz", "unpack it first", gzipped(t, []byte(email)), nil},
		{"-", "unpack it first", zipped(t, "x", []byte(email)), nil},
		{"a.txt", "UTF-16", wide(email + email), nil},
		{"-", "UTF-16", wide(email + email)[2:], nil},
		{"a.csv", `no column "notes"`, []byte("id,note\n1,some words\n"), map[string]detect.Class{"notes": ""}},
		{"a.json", "no CSV", []byte(`{"note":"some words"}`), map[string]detect.Class{"note": ""}},
	} {
		var out bytes.Buffer
		_, err := masker(t, "", tt.columns, redacted).Mask(t.Context(), tt.name, bytes.NewReader(tt.in), &out)
		if err == nil || !strings.Contains(err.Error(), tt.want) || out.Len() > 0 {
			t.Errorf("%s: %v, and %d bytes passed on", tt.name, err, out.Len())
		}
	}
	broken := fmt.Errorf("broken")
	if _, err := masker(t, "", nil, redacted).Mask(t.Context(), "x", iotest.ErrReader(broken), io.Discard); err == nil {
		t.Error("a broken reader is no error")
	}
}

func TestMaskingTakesNoMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 16 MiB")
	}
	var out countedWriter
	counts, err := masker(t, Text, nil, redacted).Mask(t.Context(), "-", &endless{n: 6 << 20}, &out)
	if err != nil || counts["email"] < 80000 || out.most > 1<<20 {
		t.Errorf("%v, %v; %d bytes at once", counts, err, out.most)
	}
}

// countedWriter remembers the longest write.
type countedWriter struct{ most int }

func (c *countedWriter) Write(p []byte) (int, error) {
	c.most = max(c.most, len(p))
	return len(p), nil
}

func FuzzMask(f *testing.F) {
	f.Add("csv", "id,ssn\n1,\"219099999\n")
	f.Add("json", `[{"ssn":["219099999",{}]},}1`)
	f.Add("sql", "COPY c (ssn) FROM stdin;\n1\t2\n\\.\nINSERT INTO c VALUES ('1'::x, $a$ ' $a$);")
	f.Add("text", "mira@example.com")
	f.Fuzz(func(t *testing.T, form, in string) {
		if !Format(form).Valid() || kindOf("x", []byte(in)) != "" {
			return
		}
		m := masker(t, Format(form), nil, redacted)
		var whole, cut bytes.Buffer
		if _, err := m.Mask(t.Context(), "x", strings.NewReader(in), &whole); err != nil {
			return
		}
		if _, err := m.Mask(t.Context(), "x", iotest.OneByteReader(strings.NewReader(in)), &cut); err != nil || cut.String() != whole.String() {
			t.Fatalf("in single bytes it is masked otherwise: %v", err)
		}
	})
}
