package aws

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	classify "github.com/assenthq/assent/internal/classify/aws"
)

// TestInferred: what chooses items or rows by a masked value, takes it apart, or brings it without
// its name, is told as an inference, as at a database's gate.
func TestInferred(t *testing.T) {
	c, err := classify.New(classify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{o: Config{Class: func(column string) string {
		return map[string]string{"card": "card", "password": "sensitive"}[column[strings.LastIndexByte(column, '.')+1:]]
	}}}
	sql := func(text string) classify.Request {
		return classify.Request{Scope: "rds-data", Method: "POST", Path: "/Execute", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"resourceArn":"a","secretArn":"s","sql":"` + text + `"}`)}
	}
	dynamo := func(op, body string) classify.Request {
		return classify.Request{Scope: "dynamodb", Method: "POST", Path: "/", Header: http.Header{"X-Amz-Target": {"DynamoDB_20120810." + op}, "Content-Type": {"application/x-amz-json-1.0"}}, Body: []byte(body)}
	}
	insights := func(query string) classify.Request {
		body, _ := json.Marshal(map[string]any{"logGroupName": "g", "startTime": 1, "endTime": 2, "queryString": query})
		return classify.Request{Scope: "logs", Method: "POST", Path: "/", Header: http.Header{"X-Amz-Target": {"Logs_20140328.StartQuery"}, "Content-Type": {"application/x-amz-json-1.1"}}, Body: body}
	}
	for _, row := range []struct {
		r    classify.Request
		want []string
	}{
		{insights("fields @timestamp, @message | filter level = 'error' and status >= 500 | sort @timestamp desc | limit 20"), nil},
		{insights("filter level in ['a', 'b']\n| display @message"), nil},
		{insights("fields @message | parse @message 'card=* ' as a"), []string{"*"}},
		{insights("fields substr(@message, 0, 8)"), []string{"*"}},
		{insights("fields password as note"), []string{"*"}},
		{insights("fields @timestamp, user.password"), []string{"sensitive"}},
		{insights("fields @message | filter card = 4111"), []string{"card"}},
		{insights("filter @message > '4111'"), []string{"*"}},
		{insights("filter n > 4111111111"), []string{"*"}},
		{insights("filter n > 4111.5"), []string{"*"}},
		{insights("filter @message like /41/"), []string{"*"}},
		{insights("filter a = 'x' # \n | parse @message '*' as b"), []string{"*"}},
		{insights("stats count(*) by note"), []string{"*"}},
		{insights("sort password"), []string{"sensitive"}},
		{insights("rob @message"), []string{"*"}},
		{sql("SELECT id FROM c WHERE id = 1"), nil},
		{sql("SELECT count(*) FROM c"), nil},
		{sql("SELECT id FROM c WHERE card LIKE '41%'"), []string{"card"}},
		{sql("SELECT substr(card, 1, 8) AS a FROM c"), []string{"*", "card"}},
		{sql("SELECT substr(note, 1, 8) AS a FROM c"), []string{"*"}},
		{sql("SELECT password AS note FROM c"), []string{"sensitive"}},
		{sql("SELECT max(card) FROM c"), []string{"card"}},
		{sql("SELECT * FROM c"), []string{"*"}},
		{dynamo("Query", `{"TableName":"t","KeyConditionExpression":"id = :i","ExpressionAttributeValues":{":i":{"S":"1"}}}`), nil},
		{dynamo("Scan", `{"TableName":"t","Select":"COUNT","Limit":9,"FilterExpression":"begins_with(card, :c)"}`), []string{"card"}},
		{dynamo("Scan", `{"TableName":"t","Limit":9,"FilterExpression":"#x BETWEEN :a AND :b","ExpressionAttributeNames":{"#x":"card"}}`), []string{"card"}},
		{dynamo("Scan", `{"TableName":"t","Limit":9,"ScanFilter":{"card":{"ComparisonOperator":"BEGINS_WITH","AttributeValueList":[{"S":"41"}]}}}`), []string{"card"}},
		{dynamo("ExecuteStatement", `{"Statement":"SELECT id FROM t where begins_with(card, '41')"}`), []string{"card"}},
		{dynamo("PutItem", `{"TableName":"t","Item":{"id":{"S":"1"}},"ConditionExpression":"begins_with(card, :c)"}`), []string{"card"}},
	} {
		op, err := c.Classify(row.r)
		if err != nil {
			t.Fatal(err)
		}
		a := g.act(op, Place{URL: &url.URL{Host: "x"}})
		if !slices.Equal(a.Data.InferredOf, row.want) || a.Data.Inferred != (row.want != nil) {
			t.Errorf("%s: inferred of %v, want %v", row.r.Body, a.Data.InferredOf, row.want)
		}
	}
	for _, query := range []string{"rob @message", "source logGroups() | fields @message", ""} {
		op, err := c.Classify(insights(query))
		if err != nil || !slices.Contains(op.Kinds, action.Unknown) {
			t.Errorf("%q: %+v, %v", query, op, err)
		}
	}
}

// TestS3Cut: while masks apply, nothing that S3 itself cuts passes.
func TestS3Cut(t *testing.T) {
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = io.WriteString(w, "alice.r")
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		_, _ = io.WriteString(w, "<ListBucketResult><CommonPrefixes><Prefix>users/alice.r</Prefix></CommonPrefixes></ListBucketResult>")
	})
	g := newS3Gate(t, setup{upstream: upstream, authority: masking(), opaque: true})
	for _, c := range []struct {
		method, target, body string
		passes               bool
	}{
		{"GET", "/house?list-type=2&prefix=users/&delimiter=/", "", true},
		{"GET", "/house?list-type=2&prefix=users/&delimiter=oe%40", "", false},
		{"GET", "/house?prefix=users/&delimiter=.", "", false},
		{"GET", "/house?versions&delimiter=a", "", false},
		{"POST", "/house/o?select&select-type=2", "<SelectObjectContentRequest/>", false},
	} {
		resp, body := g.do(t, c.method, c.target, c.body)
		if strings.Contains(body, "alice.r") != c.passes || (resp.StatusCode == 200) != c.passes {
			t.Errorf("%s %s: %s %s", c.method, c.target, resp.Status, body)
		}
	}
}

// TestS3SameTag: two parts that differ and have one ETag, as two bodies of one MD5 have, are not known.
func TestS3SameTag(t *testing.T) {
	u, o := newUploads(nil), s3Name{"house", "o"}
	u.begin("u", "cred", o, false)
	refs := []partRef{{Number: 1, ETag: "e"}}
	u.add("u", o, 1, part{etag: "e", sum: [32]byte{1}})
	u.add("u", o, 1, part{etag: "e", sum: [32]byte{1}})
	if !u.whole("u", o, refs).known {
		t.Error("a part that was sent twice is unknown")
	}
	u.add("u", o, 1, part{etag: "e", sum: [32]byte{2}, classes: map[string]int64{"card": 1}})
	if u.whole("u", o, refs).known {
		t.Error("which of the two S3 has is taken for known")
	}
}
