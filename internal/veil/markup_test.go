package veil

import (
	"bytes"
	"strings"
	"testing"
)

// Values that only a name tells of: what stands around them stays as it was.
var markups = []struct{ name, typ, in, want string }{
	{"an element", "application/xml", `<a><password>tr0ub4dor</password><b>x</b></a>`, `<a><password>[masked:sensitive]</password><b>x</b></a>`},
	{"a prefix, space and capitals", "text/xml", "<s:Passwd>\n  hunter2 \n</s:Passwd>", "<s:Passwd>\n  [masked:sensitive] \n</s:Passwd>"},
	{"an attribute", "application/xml", `<user password="a&amp;b" id='7'/>`, `<user password="[masked:sensitive]" id='7'/>`},
	{
		"a name and a value", "application/xml", `<add key="DB_PASSWORD" value="hunter2" /><property name="password">hunter3</property>`,
		`<add key="DB_PASSWORD" value="[masked:sensitive]" /><property name="password">[masked:sensitive]</property>`,
	},
	{"a value before its name", "application/xml", `<add value='hunter2' key='password'/>`, `<add value='[masked:sensitive]' key='password'/>`},
	{
		"a name beside", "application/xml", `<dict><key>password</key> <string>hunter2</string><key>a</key><string>b</string></dict>`,
		`<dict><key>password</key> <string>[masked:sensitive]</string><key>a</key><string>b</string></dict>`,
	},
	{"deeper", "application/xml", `<passwords><v>one</v><w><x>two</x></w></passwords><x>three</x>`, `<passwords><v>[masked:sensitive]</v><w><x>[masked:sensitive]</x></w></passwords><x>three</x>`},
	{
		"within one of its own name", "application/xml", `<secret>a<secret>b</secret>c</secret><i>d</i>`,
		`<secret>[masked:sensitive]<secret>[masked:sensitive]</secret>[masked:sensitive]</secret><i>d</i>`,
	},
	{"CDATA", "application/xml", `<password><![CDATA[a<b>&c]]></password>`, `<password><![CDATA[[masked:sensitive]]]></password>`},
	{"no end", "application/xml", `<password>a`, `<password>[masked:sensitive]`},
	{"comments and declarations", "application/xml", `<?xml version="1.0"?><!DOCTYPE a><!-- <password>x --><a>y</a>`, `<?xml version="1.0"?><!DOCTYPE a><!-- <password>x --><a>y</a>`},
	{"references", "application/xml", `<p>write to bob&#64;corp.example</p>`, `<p>write to [masked:email]</p>`},
	{"empty", "application/xml", `<password/><password></password><a>x</a>`, `<password/><password></password><a>x</a>`},
	{"what looks like a tag", "application/xml", `<a>1 < 2 and <3</a>`, `<a>1 < 2 and <3</a>`},
	{"by its first bytes", "text/plain", `<?xml version="1.0"?><a><password>tr0ub4dor</password></a>`, `<?xml version="1.0"?><a><password>[masked:sensitive]</password></a>`},

	{
		"an input", "text/html", `<INPUT name=password value=hunter2><input type="password" value="hunter2"><p>x</p>`,
		`<INPUT name=password value="[masked:sensitive]"><input type="password" value="[masked:sensitive]"><p>x</p>`,
	},
	{"a text area", "text/html", `<textarea name="secret">abc</textarea><p>x</p>`, `<textarea name="secret">[masked:sensitive]</textarea><p>x</p>`},
	{"a form is none", "text/html", `<form name="password" id="password"><p>change it</p></form>`, `<form name="password" id="password"><p>change it</p></form>`},
	{"a list of definitions", "text/html", `<dl><dt>Password<dd>hunter2</dd></dl>`, `<dl><dt>Password<dd>hunter2</dd></dl>`},
	{"a list of definitions, with ends", "text/html", `<dl><dt>Password</dt><dd>hunter2</dd><dt>Size</dt><dd>7</dd></dl>`, `<dl><dt>Password</dt><dd>[masked:sensitive]</dd><dt>Size</dt><dd>7</dd></dl>`},
	{
		"a table", "text/html", `<table><tr><th>Name</th><th>Password</th></tr><tr><td>ana</td><td>hunter2</td></tr></table>`,
		`<table><tr><th>Name</th><th>Password</th></tr><tr><td>ana</td><td>[masked:sensitive]</td></tr></table>`,
	},
	{"a row with a head", "text/html", `<tr><th>Password</th><td>hunter2</td></tr>`, `<tr><th>Password</th><td>[masked:sensitive]</td></tr>`},
	{"a script", "text/html", `<script>if (a<b) { x = "<password>" }</script><p>y</p>`, `<script>if (a<b) { x = "<password>" }</script><p>y</p>`},
	{"a sign by its name", "text/html", `<p>bob&commat;corp.example</p><a title="bob&commat;corp.example">x</a>`, `<p>[masked:email]</p><a title="[masked:email]">x</a>`},

	{"a number with an exponent", "application/json", `{"a":4.00000000000001e15,"b":1.5e3}`, `{"a":"[masked:card]","b":1.5e3}`},

	{"a key", "application/yaml", "a: b\npassword: hunter2\nc: d\n", "a: b\npassword: \"[masked:sensitive]\"\nc: d\n"},
	{"quoted", "text/yaml", "\"password\":   'hunter2'\nc: d", "\"password\":   \"[masked:sensitive]\"\nc: d"},
	{"in a list", "application/yaml", "- password: hunter2\n  size: 7\n", "- password: \"[masked:sensitive]\"\n  size: 7\n"},
	{"a block", "application/yaml", "secret: |\n  one\n  two\nc: d\n", "secret: |\n  \"[masked:sensitive]\"\n  \"[masked:sensitive]\"\nc: d\n"},
	{"keys below", "application/yaml", "secrets:\n  a: one\n  b:\n    - two\nc: d\n", "secrets:\n  a: \"[masked:sensitive]\"\n  b:\n    - \"[masked:sensitive]\"\nc: d\n"},
	{"a list below, as deep", "application/yaml", "secrets:\n- one\n- two\nc: d\n", "secrets:\n- \"[masked:sensitive]\"\n- \"[masked:sensitive]\"\nc: d\n"},
	{"over two lines", "application/yaml", "password: one\n  two\nc: d\n", "password: \"[masked:sensitive]\"\n  \"[masked:sensitive]\"\nc: d\n"},
	{"a name beside it", "application/yaml", "env:\n- name: DB_PASSWORD\n  value: hunter2\n- name: SIZE\n  value: seven\n", "env:\n- name: DB_PASSWORD\n  value: \"[masked:sensitive]\"\n- name: SIZE\n  value: seven\n"},
	{"nothing", "application/yaml", "# password: x\n---\npassword:\nc: d\n", "# password: x\n---\npassword:\nc: d\n"},
}

func TestNamesInMarkup(t *testing.T) {
	for _, c := range markups {
		for _, size := range []int{1, 3, 1 << 20} {
			got, err := throughText(t, c.typ, c.in, size)
			if err != nil || got != c.want {
				t.Errorf("%s, %d bytes at once:\n got %q, %v\nwant %q", c.name, size, got, err, c.want)
			}
		}
	}
}

// A text of one long word passes as it comes.
func TestLongWordStreams(t *testing.T) {
	in := strings.Repeat("0123456789abcdef", 128<<10) + "\nssn 219-09-9999\n"
	got, err := throughText(t, "text/plain", in, 64<<10)
	if err != nil || !strings.HasSuffix(got, "ssn [masked:us-ssn]\n") || len(got) < 2<<20 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// Whatever bytes come, however they are cut: the same comes out, and no value that was named.
func FuzzMarkup(f *testing.F) {
	for _, c := range markups {
		f.Add(c.typ, []byte(c.in))
	}
	f.Fuzz(func(t *testing.T, typ string, in []byte) {
		if k := mediaOf(typ).kind; k != xmlText && k != htmlText && k != yamlText {
			return
		}
		whole, err := throughText(t, typ, string(in), 1<<20)
		cut, err2 := throughText(t, typ, string(in), 2)
		if (err == nil) != (err2 == nil) || err == nil && whole != cut {
			t.Fatalf("at once %q, %v; in pieces %q, %v", whole, err, cut, err2)
		}
		if out, err := throughText(t, "application/xml", "<password>Zq8rT5wXvN3k</password>"+string(in), 7); err == nil && bytes.Contains([]byte(out), []byte(">Zq8rT5wXvN3k<")) {
			t.Fatal("a named value is shown")
		}
	})
}

func throughText(t testing.TB, typ, in string, size int) (string, error) {
	t.Helper()
	return through(masking(t), reply([]byte(in), size, false, "Content-Type", typ), Options{})
}
