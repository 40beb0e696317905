package aws

import (
	"bytes"
	"net/url"
	"regexp"
	"slices"

	"github.com/assenthq/assent/internal/jsontext"
)

// made is the form of a token that an SDK makes by itself. One that a caller chose says
// something about the request.
var made = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// same is body without the tokens that SDKs make anew for each request, and by which AWS
// tells a request that was sent twice: what is left is the same when the same is asked again.
func (s *service) same(protocol string, body []byte) []byte {
	if len(s.once) == 0 || len(body) == 0 {
		return nil
	}
	switch protocol {
	case JSON, RestJSON:
		found := false
		out, err := jsontext.Replace(body, func(v *jsontext.Value) ([]byte, bool, error) {
			if v.Kind != jsontext.String || len(v.Path) != 1 || !slices.Contains(s.once, v.Path[0]) || !made.Match(v.Text) {
				return nil, false, nil
			}
			found = true
			return nil, true, nil
		})
		if err != nil || !found {
			return nil
		}
		return out
	case Query, EC2:
		parts := bytes.Split(body, []byte("&"))
		kept := slices.DeleteFunc(slices.Clone(parts), func(part []byte) bool {
			name, value, _ := bytes.Cut(part, []byte("="))
			plain, err := url.QueryUnescape(string(name))
			return err == nil && slices.Contains(s.once, plain) && made.Match(value)
		})
		if len(kept) == len(parts) {
			return nil
		}
		return bytes.Join(kept, []byte("&"))
	}
	return nil
}
