package detect_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assenthq/assent/internal/detect"
)

func engine(t testing.TB, o detect.Options) *detect.Engine {
	t.Helper()
	e, err := detect.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// A sample is text with what must be found in it, as "class value" lines.
type sample struct {
	Name, Text string
	Want       []string
}

const (
	token  = "ghp_" + "0123456789abcdefghijABCDEFGHIJ" + "1Sk7kY" // the sum is wrong
	jwt    = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
	pemKey = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAx5z9/rVJ0sQ+Tz8iM3f7kq2Vt9jRr3N0o1Yw6cH4eLdXbSgP\nZk1mQ0pB7uFhWvT2yXnJc5aKeG8lUoIsDrEwCtHqMf6RjLxP\n-----END RSA PRIVATE KEY-----"
	pgpKey = "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v1.4.11 (GNU/Linux)\nComment: Ann <ann@example.com>\n\nlQOYBE5x9z/rVJ0sQ+Tz8iM3f7kq2Vt9jRr3N0o1Yw6cH4eLdXbSgPZk1mQ0pB7\n=uFhW\n-----END PGP PRIVATE KEY BLOCK-----"
)

var positives = []sample{
	{"email", "write to Jane.Doe+x@mail.example.com.", []string{"email Jane.Doe+x@mail.example.com"}},
	{"email in SQL", "select * from c where email='bob@corp.example'", []string{"email bob@corp.example"}},
	{"email digits before", "415-555-0100@sms.example.com", []string{"email 415-555-0100@sms.example.com"}},
	{"email look-alike letters", "p\u0430ul@ex\u0430mple.com", []string{"email p\u0430ul@ex\u0430mple.com"}},
	{"two emails", "a@b.co,c@d.org", []string{"email a@b.co", "email c@d.org"}},
	{"card", "paid with 4242424242424242 today", []string{"card 4242424242424242"}},
	{"card spaces", "4111 1111 1111 1111 12/27", []string{"card 4111 1111 1111 1111"}},
	{"card digit by digit", "4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2", []string{"card 4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2"}},
	{"card dots", "4242.4242.4242.4242", []string{"card 4242.4242.4242.4242"}},
	{"card dashes", "no. 5555-5555-5555-4444.", []string{"card 5555-5555-5555-4444"}},
	{"card amex", "3782 822463 10005", []string{"card 3782 822463 10005"}},
	{"card after a number", "12 4111 1111 1111 1111", []string{"card 4111 1111 1111 1111"}},
	{"card in a word", "order_4111111111111111_x", []string{"card 4111111111111111"}},
	{"card invalid with context", "card number: 4111 1111 1111 1112", []string{"card 4111 1111 1111 1112"}},
	{"card context after", "4111111111111112 is my card", []string{"card 4111111111111112"}},
	{"ssn", "ssn 078-05-1120", []string{"us-ssn 078-05-1120"}},
	{"ssn alone", "x,219-09-9999,y", []string{"us-ssn 219-09-9999"}},
	{"ssn bare in context", `{"ssn": 219099999}`, []string{"us-ssn 219099999"}},
	{"ssn never issued in context", "her SSN is 912-34-5678", []string{"us-ssn 912-34-5678"}},
	{"ssn camel case", "customerSsn=219099999", []string{"us-ssn 219099999"}},
	{"iban", "DE89370400440532013000", []string{"iban DE89370400440532013000"}},
	{"iban spaced", "pay GB29 NWBK 6016 1331 9268 19 now", []string{"iban GB29 NWBK 6016 1331 9268 19"}},
	{"iban invalid with context", "IBAN: DE89370400440532013001", []string{"iban DE89370400440532013001"}},
	{"phone international", "call +44 20 7946 0958", []string{"phone +44 20 7946 0958"}},
	{"phone american", "(415) 555-2671 or", []string{"phone (415) 555-2671"}},
	{"phone dashes", "reach 415-555-2671", []string{"phone 415-555-2671"}},
	{"phone bare in context", "phone: 4155552671", []string{"phone 4155552671"}},
	{"ip", "from 203.0.113.9:443", []string{"ip 203.0.113.9"}},
	{"ip6", "peer 2001:db8::8a2e:370:7334 up", []string{"ip 2001:db8::8a2e:370:7334"}},
	{"ip6 full", "2001:0db8:85a3:0000:0000:8a2e:0370:7334", []string{"ip 2001:0db8:85a3:0000:0000:8a2e:0370:7334"}},
	{"ip6 link-local", "fe80::1%eth0", []string{"ip fe80::1"}},
	{"mac", "eth0 00:1b:44:11:3a:b7 up", []string{"mac 00:1b:44:11:3a:b7"}},
	{"aws id", "key AKIAIOSFODNN7EXAMPLE", []string{"aws-key AKIAIOSFODNN7EXAMPLE"}},
	{"aws session id", "ASIAY34FZKBOKMUTVV7A", []string{"aws-key ASIAY34FZKBOKMUTVV7A"}},
	{"aws secret", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", []string{"aws-key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}},
	{"github", "x " + token, []string{"github-token " + token}},
	{"github fine-grained", "github_pat_" + strings.Repeat("a1", 11) + "_" + strings.Repeat("Zq9", 19) + "Zq", []string{"github-token github_pat_" + strings.Repeat("a1", 11) + "_" + strings.Repeat("Zq9", 19) + "Zq"}},
	{"jwt", "Authorization: Bearer " + jwt + ", next", []string{"jwt " + jwt}},
	{"pem", "a\n" + pemKey + "\nb", []string{"pem " + pemKey}},
	{"pem cut", "x " + pemKey[:120], []string{"pem " + pemKey[:120]}},
	{"pem in JSON", `"` + strings.ReplaceAll(pemKey, "\n", `\n`) + `"`, []string{"pem " + strings.ReplaceAll(pemKey, "\n", `\n`)}},
	{"dsn", "postgres://app:s3cr3t@db.example:5432/x", []string{"dsn-password s3cr3t"}},
	{"dsn odd password", "mysql://u:p/w@x!@db.example/x", []string{"dsn-password p/w@x!"}},
	{"dsn address as user", "amqp://bob@corp.example:hunter2@mq/x", []string{"email bob@corp.example", "dsn-password hunter2"}},
	{"dsn words", "host=db user=u password=hunter2 dbname=x", []string{"dsn-password hunter2"}},
	{"dsn quoted", "password='two words' host=x", []string{"dsn-password two words"}},
	{"a setting", "{app.secret=hunter2hunter2}", []string{"sensitive hunter2hunter2"}},
	{"json password", `{"db_password": "tr0ub4dor"}`, []string{"dsn-password tr0ub4dor"}},
	{"sql password", "ALTER ROLE app PASSWORD 'open''sesame'", []string{"dsn-password open''sesame"}},
	{"sql identified by", "create user x identified by 'sesame'", []string{"dsn-password sesame"}},
	{"OpenPGP key", "x " + pgpKey + " y", []string{"pem " + pgpKey}},
	{"azure client secret", "secret of app: _V28Q~IC8qxmlWNpHuDm34JlbKv9LXV5MvUR3a-P", []string{"azure-key _V28Q~IC8qxmlWNpHuDm34JlbKv9LXV5MvUR3a-P"}},
	{"curl user", "curl -s --user 'api:d2LkV78zLx!t' \\\n https://api.example.net/v2", []string{"dsn-password d2LkV78zLx!t"}},
	{"mysql option", "mysql -u root -pTr0ub4dor3 shop", []string{"dsn-password Tr0ub4dor3"}},
	{"long option", "tool --password Tr0ub4dor3 run", []string{"dsn-password Tr0ub4dor3"}},
	{"pair in JSON", `{"name": "DB_PASSWORD", "value": "Tr0ub4dor3"}`, []string{"dsn-password Tr0ub4dor3"}},
	{"pair in XML", `<add key="ClearTextPassword" value="33f!!lloppa" />`, []string{"dsn-password 33f!!lloppa"}},
	{"element", "<password>Tr0ub4dor3</password>", []string{"dsn-password Tr0ub4dor3"}},
	{"pass_word", "pass_word='Tr0ub4dor3'", []string{"dsn-password Tr0ub4dor3"}},
	{"typed", `var apiToken string = "Zf3D0LXCM3EIMbgJpUNnkRtOfOueHznB"`, []string{"sensitive Zf3D0LXCM3EIMbgJpUNnkRtOfOueHznB"}},
	{"setter", `System.setProperty("API_TOKEN", "Zf3D0LXCM3EIMbgJpUNnkRtOfOueHznB")`, []string{"sensitive Zf3D0LXCM3EIMbgJpUNnkRtOfOueHznB"}},
	{"header", "Authorization: Basic YXBpOmtleS1hN2MzNDJ3MzNh", []string{"sensitive YXBpOmtleS1hN2MzNDJ3MzNh"}},
	{"bearer", "-H 'Authorization: Bearer jC6TUUjCNHcVtAXpcqBCgxnA8r'", []string{"sensitive jC6TUUjCNHcVtAXpcqBCgxnA8r"}},
	{"docker auth", `{"auths": {"r.example": {"auth": "YW5uOmh1bnRlcjI="}}}`, []string{"sensitive YW5uOmh1bnRlcjI="}},
	{"netrc", "machine h.example login ann password Tr0ub4dor3", []string{"dsn-password Tr0ub4dor3"}},
	{"npmrc", "//r.example/:_authToken=5cb4a5f04cd412fe9466", []string{"sensitive 5cb4a5f04cd412fe9466"}},
	{"azure storage", "AccountName=x;AccountKey=jC6TUUjCNHcVtAXpcqBCgxnA8rqD6MatnYaf289y7HWpK0BWPyLHvK4DMN32fufwmeVVjlo8zjgBh8kx3GfS6A==;Suffix", []string{"sensitive jC6TUUjCNHcVtAXpcqBCgxnA8rqD6MatnYaf289y7HWpK0BWPyLHvK4DMN32fufwmeVVjlo8zjgBh8kx3GfS6A=="}},
	{"ODBC", "Driver={x};Uid=sa;Pwd=Tr0ub4dor3;", []string{"dsn-password Tr0ub4dor3"}},
	{"kubernetes", "kind: Secret\nmetadata:\n  name: x\ndata:\n  tls.bin: jC6TUUjCNHcVtAXpcqBC\n", []string{"sensitive jC6TUUjCNHcVtAXpcqBC"}},
	{"by name", "meraki: 5cb4a5f04cd412fe946667b17f0129ba17aeb2e0", []string{"meraki-token 5cb4a5f04cd412fe946667b17f0129ba17aeb2e0"}},
	{"telegram", "bot 95550178:Awu7uqbq90hrc73woebn83zj1j2bvqmn06v", []string{"telegram-token 95550178:Awu7uqbq90hrc73woebn83zj1j2bvqmn06v"}},
	{"terraform", "x hE1hlYILrSqpqh.atlasv1.ARjZuyzl33F71WR55s6ln5GQ1HWIwTDDH3MiRjz7OnpCfaCb1RCF5zGaSncCWmJdcYA", []string{"terraform-token hE1hlYILrSqpqh.atlasv1.ARjZuyzl33F71WR55s6ln5GQ1HWIwTDDH3MiRjz7OnpCfaCb1RCF5zGaSncCWmJdcYA"}},
	{"PuTTY key", "Private-Lines: 1\nAAAAIHhv8LVzb9gqJzAY0P442FW0oqbfBrLnfqxyyAuj\nPrivate-MAC: 1", []string{"pem AAAAIHhv8LVzb9gqJzAY0P442FW0oqbfBrLnfqxyyAuj"}},
	{"card in fives and fours", "5555555555554444 5454545454545454", []string{"card 5555555555554444", "card 5454545454545454"}},
	{"card of ones", "x 4111111111111111;4242424242424242", []string{"card 4111111111111111", "card 4242424242424242"}},
	{"card in alike groups", "5555 5555 5555 4444,4242-4242-4242-4242", []string{"card 5555 5555 5555 4444", "card 4242-4242-4242-4242"}},
	{"card behind a point", "paid.4111111111111111", []string{"card 4111111111111111"}},
	{"card negative", "x,-4111111111111111,y", []string{"card 4111111111111111"}},
	{"chain with a password", "ann:password:Tr0ub4dor3", []string{"dsn-password Tr0ub4dor3"}},
	{"card in a row", "| 17 | Ann Lee | 5412753456789010 | 12/27 |", []string{"card 5412753456789010"}},
	{"card in a row of numbers", "1001,4242 4242 4242 4242,1227,99", []string{"card 4242 4242 4242 4242"}},
	{"card before hex", "4111 1111 1111 1111 cafe dead", []string{"card 4111 1111 1111 1111"}},
	{"card in a word of hex", "pay_4111111111111111_ab12", []string{"card 4111111111111111"}},
	{"card dotted in brackets", "[4242.4242.4242.4242]", []string{"card 4242.4242.4242.4242"}},
	{"card in JSON", `{"number":"4485275742308327","exp":"0928"}`, []string{"card 4485275742308327"}},
	{"card in a log", "INFO charge id=77 pan=4485 2757 4230 8327 ok", []string{"card 4485 2757 4230 8327"}},
	{"ssn in a row", "Ann 219 09 9999 12 Main St", []string{"us-ssn 219 09 9999"}},
	{"phone of a registry", "tech: +61.287654321", []string{"phone +61.287654321"}},
	{"ip that is added", "echo +192.168.0.101 > arp_ip_target", []string{"ip 192.168.0.101"}},
	{"phone in brackets", "(call 415-555-2671)", []string{"phone 415-555-2671"}},
	{"ip of small numbers", "ping 8.8.8.8 now", []string{"ip 8.8.8.8"}},
	{"ip of a private net", "seen 10.2.3.4 twice", []string{"ip 10.2.3.4"}},
	{"ip in brackets", "from mx.corp.example[44.33.22.11]: 554", []string{"ip 44.33.22.11"}},
	{"ip in an element", `<td class="client">8.8.8.8</td>`, []string{"ip 8.8.8.8"}},
	{"ip of a host", "<b>Host 10.3.1.2</b>", []string{"ip 10.3.1.2"}},
	{"ip behind a name", "on node-10.3.1.2 at noon", []string{"ip 10.3.1.2"}},
	{"ip of dig", "dig $SECTIONS @10.53.0.2 a", []string{"ip 10.53.0.2"}},
	{"ip at a line's end", "it went to 91.12.33.40. Then", []string{"ip 91.12.33.40"}},
	{"key of hex", "key: 5d2c8f1ab34e9c07", []string{"sensitive 5d2c8f1ab34e9c07"}},
	{"licence", "Driver license: max31760", []string{"driving-licence max31760"}},
	{"api key", "?api_key=k3y5-of-9life&x=1", []string{"sensitive k3y5-of-9life"}},
}

var negatives = []sample{
	{"image", "logo@2x.png", nil},
	{"decorator", "@app.route", nil},
	{"module", "golang.org/x/text@v0.43.0", nil},
	{"ssh remote", "git@github.com:assenthq/assent.git", nil},
	{"no domain", "user@localhost", nil},
	{"outlines of a picture", "q-15 4 28 5 13 15 26 11 13 32 21", nil},
	{"card fails Luhn", "4111 1111 1111 1112", nil},
	{"card of no issuer", "9999 9999 9999 9995", nil},
	{"milliseconds", "1731650000000", nil},
	{"nanoseconds", "1731650000000000000", nil},
	{"long number", "41111111111111110000000000", nil},
	{"decimal", "0.4111111111111111", nil},
	{"euler", "float32 2.718281828459045", nil},
	{"years", "call 2007-2009", nil},
	{"postal code", "phone, Boston 02110-1301", nil},
	{"uuid", "8f14e45f-ceea-467f-a0e6-6d6f7e1f2a3b", nil},
	{"ssn area", "912-34-5678", nil},
	{"ssn serial", "219-09-0000", nil},
	{"nine digits", "219099999", nil},
	{"date", "2026-11-22 05:42:41", nil},
	{"date and phone word", "phone updated 2026-11-22", nil},
	{"iban fails", "DE89370400440532013001", nil},
	{"iban of no country", "ZZ89370400440532013000", nil},
	{"ten digits", "4155552671", nil},
	{"impossible phone", "111-111-1111", nil},
	{"version", "version 1.2.3.4", nil},
	{"version v", "v1.2.3.4", nil},
	{"oid", "1.3.6.1.4.1", nil},
	{"octet", "1.2.3.400", nil},
	{"loopback", "127.0.0.1:5432 and ::1", nil},
	{"time", "12:34:56", nil},
	{"scope", "std::vector dead::beef face::b00c", nil},
	{"aws short", "AKIAIOSFODNN7EXAMPL", nil},
	{"aws lower", "AKIAiosfodnn7example", nil},
	{"secret without context", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", nil},
	{"sha1", "aws commit da39a3ee5e6b4b0d3255bfef95601890afd80709", nil},
	{"github short", "ghp_0123456789abcdef", nil},
	{"jwt of one part", "eyJhbGciOiJIUzI1NiJ9", nil},
	{"not a jwt", "eyJub3RoaW5nIjoxfQ.abcdef.ghijkl", nil},
	{"certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", nil},
	{"public key", "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----", nil},
	{"url with port", "http://db.example:5432/path@x", nil},
	{"url without password", "https://example.com/a:b@c", nil},
	{"parameter", "password = $1", nil},
	{"placeholder", "password=<password> pwd=******** passwd=${PW}", nil},
	{"code", "password := os.Getenv(\"X\")", nil},
	{"prose", "The password: please ask an operator", nil},
	{"null", "password = null", nil},
	{"label", `password: "Enter your password"`, nil},
	{"name of it", `password = "db_password"`, nil},
	{"concatenated", `env = append(env, "PWD="+dir)`, nil},
	{"member", "password = self.password2", nil},
	{"about it", "token_url=a1b2c3d4e5f6a7b8c9d0 password_changed_at=2026-11-22T05:42:41", nil},
	{"identifier", `"api_token", "HTTPPasswordMgrWithDefaultRealm2"`, nil},
	{"path", "key_path=/etc/ssl/private/a1b2c3.key", nil},
	{"public key", `public_key = "9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit"`, nil},
	{"sentence", "put the <password> column1 in", nil},
	{"filled", "glpat-XXXXXXXXXXXXXXXXXXXX ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", nil},
	{"method", "return s.ReadUint24LengthPrefixed(x)", nil},
	{"user and pass", "https://user:pass@host/x", nil},
	{"token count", "max_tokens=12345678", nil},
	{"prose base64-like", "internationalization/localization+configuration", nil},
	{"fraction without a whole", "[- .2715445622195385, .4942017368275118]", nil},
	{"exponent", "9.99999997E+999", nil},
	{"strokes of a character", "# 4554554554154334 # 251212131221115", nil},
	{"corners", "2250 3825 2250 4500", nil},
	{"bits of a header", "0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 card", nil},
	{"bits of a double", "ix < 0x4044000000000000LL", nil},
	{"bits of a float", "0x1.0730625f34e2cp622", nil},
	{"build", "xpsp_sp2_gdr.070227-2254", nil},
	{"chain of names", `data-id="i:id:GhcPass:Outputable:305"`, nil},
	{"argument", "password = args[1]", nil},
	{"registry", `"EnablePassword"=dword:00000001`, nil},
	{"number of a test", "test util-16.1.17.173 {x}", nil},
	{"title of a section", `<a title="3.4.6.7" href="#r3_4_6_7">`, nil},
	{"section", "see Section 25.1.5.1 for the server", nil},
	{"section elsewhere", `<a href="sect.remote-login.html#ssh-server">Abschnitt 9.2.1.4</a>, mehr`, nil},
	{"heading", "\n36.3.3.2. Errors\n", nil},
	{"heading in an element", `<h4 class="title"><a id="ssh-server"></a>10.4.2.2. Standard`, nil},
	{"heading underlined", "\n10.4.4.4 Static methods of servers\n......................", nil},
	{"clause", "class time_get [22.2.5.2].", nil},
	{"edition behind a dash", "notes.html#ssl-10.3.1.2 id-1.14.8.15", nil},
	{"edition in an element", "<a>SSL 10.3.1.2</a> <li title=\"Ssh 4.9.1.2\">", nil},
	{"numbers between dots", "7 85.74.70   7 85.74.70.19   7 74.70", nil},
	{"weights", "[.4181.0033.0002.8005][*1645.0020.0002] telephone card", nil},
	{"table of characters", "5413 5414 5415 5416 5417 5418", nil},
	{"table of characters with hex", "547F 5546 5531 5617 5968 59BE", nil},
	{"hash with digits", "id_html_a6116a2c0be04edd399890828980048e0", nil},
	{"date in brackets", "J. Symb. Comp. 35, 403-419 (2003). Call for papers", nil},
	{"decimal with a sign", "array(+2.2, +123456.234, +1.0000006)", nil},
	{"outline", "357 512 681 512 1216 curveto", nil},
	{"zone", "+0000 1970-01-01 call", nil},
	{"numbers in rows", "888 9 512 10 1024 77", nil},
	{"numbers in a box", "viewBox=\"- 186 71 1174.5119 332.1\"", nil},
	{"driver", "SPDX-License-Identifier: GPL-2.0\n\nKernel driver max31760\n", nil},
	{"public key token", "publicKeyToken=\"6595b64144ccf1df\"", nil},
	{"OpenPGP key", "KEY=13B6F51ECDDE430D", nil},
	{"link of a key", `[ "key_comp", "a08734.html#a7d6c48d6dd1f9cce138b17ee06be13b0" ]`, nil},
	{"page of a token", "GENERATE[man/set1_regToken.3]=man3/OSSL_CRMF_MSG_set1_regCtrl_regToken.pod", nil},
	{"column of a password", `modparam("auth_db", "password_column_2", "ha1")`, nil},
	{"name of a private key", "PrivateKey=ALICE_prime192v3", nil},
	{"shell's directory", "ac_pwd=`pwd` && test", nil},
	{"prose", "In 2026 we shipped 1,234,567 orders at 12.50 each; see RFC 5321.", nil},
	{"cyrillic", "Привет, как дела? Всё хорошо.", nil},
}

func found(text string, fs []detect.Finding) (out []string) {
	for _, f := range fs {
		out = append(out, fmt.Sprintf("%s %s", f.Class, text[f.Start:f.End]))
	}
	return out
}

func TestScan(t *testing.T) {
	e := engine(t, detect.Options{})
	for _, list := range [][]sample{positives, negatives} {
		for _, c := range list {
			t.Run(c.Name, func(t *testing.T) {
				for _, wrap := range []string{"", " ", "\n", "\"", ";"} {
					if wrap == "\"" && strings.Contains(c.Text, "\"") {
						continue
					}
					text := wrap + c.Text + wrap
					got := e.ScanString(text, nil)
					if diff := cmp.Diff(c.Want, found(text, got)); diff != "" {
						t.Errorf("in %q (-want +got):\n%s", wrap, diff)
					}
				}
			})
		}
	}
}

// Values in disguise: what is masked must cover the planted value and not the
// text around it.
func TestDisguised(t *testing.T) {
	e := engine(t, detect.Options{})
	wide := func(s string) string {
		return strings.Map(func(r rune) rune { return r - '!' + '！' }, s)
	}
	percent := func(s string) (out string) {
		for _, b := range []byte(s) {
			out += fmt.Sprintf("%%%02x", b)
		}
		return out
	}
	arabic := func(s string) string {
		return strings.Map(func(r rune) rune { return r - '0' + '٠' }, s)
	}
	for _, c := range []struct {
		name, value string
		class       detect.Class
	}{
		{"full-width", wide("4111111111111111"), detect.Card},
		{"full-width address", wide("bob@corp.example"), detect.Email},
		{"arabic digits", arabic("4111111111111111"), detect.Card},
		{"mathematical digits", "𝟒𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏", detect.Card},
		{"last digit full-width", "4111 1111 1111 111１", detect.Card},
		{"first digit full-width", "４111 1111 1111 1111", detect.Card},
		{"zero width", "4111\u200b1111\u200b1111\u200b1111", detect.Card},
		{"zero width address", "bo\u200db@corp.example", detect.Email},
		{"soft hyphen domain", "bob@cor\u00adp.example", detect.Email},
		{"no-break spaces", "4111\u00a01111\u00a01111\u00a01111", detect.Card},
		{"en dashes", "219–09–9999", detect.USSSN},
		{"percent at", "bob%40corp.example", detect.Email},
		{"percent", percent("bob@corp.example"), detect.Email},
		{"percent twice", strings.ReplaceAll(percent("bob@corp.example"), "%", "%25"), detect.Email},
		{"query", url.QueryEscape("bob@corp.example"), detect.Email},
		{"json escape", `bob\u0040corp.example`, detect.Email},
		{"html", "bob&#64;corp.example", detect.Email},
		{"html hex", "bob&#x40;corp.example", detect.Email},
		{"base64", base64.StdEncoding.EncodeToString([]byte("bob@corp.example")), detect.Email},
		{"base64 card", base64.RawURLEncoding.EncodeToString([]byte("4111111111111111")), detect.Card},
		{"base64 twice", base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte("bob@corp.example")))), detect.Email},
		{"hex", hex.EncodeToString([]byte("bob@corp.example")), detect.Email},
		{"bytea", `\x` + hex.EncodeToString([]byte("4111111111111111")), detect.Card},
		{"hex with 0x", "0x" + hex.EncodeToString([]byte("4111111111111111")), detect.Card},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := "see " + c.value + " there"
			got := e.ScanString(text, nil)
			if len(got) != 1 || got[0].Class != c.class {
				t.Fatalf("want one %s, got %v in %q", c.class, got, text)
			}
			// Padding of either level of base64 may stay.
			if c.name == "base64 twice" {
				c.value = c.value[:len(c.value)-2]
			}
			start, end := len("see "), len("see ")+len(strings.TrimRight(c.value, "="))
			if got[0].Start > start+2 || got[0].Start < start || got[0].End < end || got[0].End > start+len(c.value) {
				t.Errorf("found [%d,%d), want [%d,%d)", got[0].Start, got[0].End, start, end)
			}
		})
	}
}

func TestLongEncodedRun(t *testing.T) {
	e := engine(t, detect.Options{})
	for _, at := range []int{0, 1000, 1530, 1531, 1532, 1600, 2040, 2047, 5000} {
		clear := strings.Repeat("lorem ipsum ", 700)
		clear = clear[:at] + " bob@corp.example " + clear[at:]
		for name, text := range map[string]string{
			"base64": base64.StdEncoding.EncodeToString([]byte(clear)),
			"hex":    hex.EncodeToString([]byte(clear)),
		} {
			if got := e.ScanString(text, nil); len(got) != 1 || got[0].Class != detect.Email {
				t.Errorf("%s with an address at %d: %v", name, at, got)
			}
		}
	}
}

func TestBigKey(t *testing.T) {
	e := engine(t, detect.Options{})
	text := "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat(strings.Repeat("MIIEowIB", 8)+"\n", 200) + "-----END PRIVATE KEY-----\nafter"
	end := 0
	for _, f := range e.ScanString(text, nil) {
		if f.Class != detect.PEM || f.Start != end {
			t.Fatalf("a hole or another class at %d: %v", end, f)
		}
		end = f.End
	}
	if want := len(text) - len("\nafter"); end != want {
		t.Errorf("the key ends at %d, found up to %d", want, end)
	}
}

func TestOff(t *testing.T) {
	e := engine(t, detect.Options{Off: []detect.Class{detect.Email}})
	if got := e.ScanString("bob@corp.example 4111111111111111", nil); len(got) != 1 || got[0].Class != detect.Card {
		t.Errorf("with email off: %v", got)
	}
	if c, _ := e.Column("email", nil); c != "" {
		t.Errorf("column of a class that is off: %q", c)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []detect.Options{
		{Off: []detect.Class{"mail"}},
		{Columns: map[string]detect.Class{"a.b": "mail"}},
		{Columns: map[string]detect.Class{"b": detect.Email}},
	} {
		if _, err := detect.New(o); err == nil {
			t.Errorf("%v: no error", o)
		}
	}
}

func TestColumn(t *testing.T) {
	e := engine(t, detect.Options{Columns: map[string]detect.Class{"Customers.Contact": detect.Email, "hr.people.notes": detect.Sensitive}})
	for _, c := range []struct {
		name    string
		sources []string
		want    detect.Class
	}{
		{"email", nil, detect.Email},
		{"e_mail", nil, detect.Email},
		{"mail_address", nil, detect.Email},
		{"primaryEmail", nil, detect.Email},
		{"EMAIL2", nil, detect.Email},
		{"emailAddress", nil, detect.Email},
		{"card_number", nil, detect.Card},
		{"cardNumber", nil, detect.Card},
		{"pan", nil, detect.Card},
		{"cc_number", nil, detect.Card},
		{"ssn", nil, detect.USSSN},
		{"customerSSN", nil, detect.USSSN},
		{"iban", nil, detect.IBAN},
		{"phone", nil, detect.Phone},
		{"mobile", nil, detect.Phone},
		{"ip_addr", nil, detect.IP},
		{"clientIPAddress", nil, detect.IP},
		{"ipv4", nil, detect.IP},
		{"password_hash", nil, detect.Sensitive},
		{"secret", nil, detect.Sensitive},
		{"api_key", nil, detect.Sensitive},
		{"apiKey", nil, detect.Sensitive},
		{"aws_access_key_id", nil, detect.AWSKey},
		{"x", []string{"customers.email"}, detect.Email},
		{"x", []string{"public.customers.contact"}, detect.Email},
		{"x", []string{`"Public"."Customers"."Contact"`}, detect.Email},
		{"n", []string{"hr.people.notes"}, detect.Sensitive},
		{"n", []string{"other.people.notes"}, ""},
		{"x", []string{"a.id", "customers.email"}, detect.Email},
		{"email_verified", nil, ""},
		{"token_count", nil, ""},
		{"password_changed_at", nil, ""},
		{"company", nil, ""},
		{"japan", nil, ""},
		{"zip", nil, ""},
		{"hotel", nil, ""},
		{"shipment", nil, ""},
		{"discard", nil, ""},
		{"id", nil, ""},
		{"", nil, ""},
	} {
		if got, sure := e.Column(c.name, c.sources); got != c.want || (got != "") != (sure > 0) {
			t.Errorf("Column(%q, %q) = %q, %v; want %q", c.name, c.sources, got, sure, c.want)
		}
	}
}

func TestValue(t *testing.T) {
	e := engine(t, detect.Options{})
	for _, c := range []struct {
		v     string
		prior detect.Class
		want  detect.Class
		sure  float32
	}{
		{" bob@corp.example ", "", detect.Email, 0.95},
		{"bob@corp.example", detect.Email, detect.Email, 0.95},
		{"not an address", detect.Email, detect.Email, 0.5},
		{"ask bob@corp.example", "", "", 0},
		{"hello", "", "", 0},
	} {
		if got, sure := e.Value([]byte(c.v), c.prior); got != c.want || sure != c.sure {
			t.Errorf("Value(%q, %q) = %q, %v; want %q, %v", c.v, c.prior, got, sure, c.want, c.sure)
		}
	}
}

func TestGroups(t *testing.T) {
	got := detect.Groups([]detect.Class{detect.Card, detect.Email, detect.JWT, detect.Card})
	if diff := cmp.Diff([]string{"pci", "pii", "secret"}, got); diff != "" {
		t.Error(diff)
	}
	for _, c := range append(detect.Classes(), "unheard-of") {
		if len(detect.GroupOf(c)) == 0 && c != detect.Organisation && c != detect.Place {
			t.Errorf("class %q has no group: policies by group would pass it", c)
		}
	}
}

func TestVersion(t *testing.T) {
	plain := engine(t, detect.Options{}).Version()
	off := engine(t, detect.Options{Off: []detect.Class{detect.IP}}).Version()
	cols := engine(t, detect.Options{Columns: map[string]detect.Class{"a.b": detect.Email}}).Version()
	if plain == off || plain == cols || off == cols || plain != engine(t, detect.Options{}).Version() {
		t.Errorf("versions %q, %q, %q must differ and repeat", plain, off, cols)
	}
}
