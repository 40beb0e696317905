package detect

import "testing"

// Masking where a list goes on, or what a form sends back, stops an agent and hides nothing.
func TestTokensThatOpenNothing(t *testing.T) {
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Class{
		"NextToken": "", "nextPageToken": "", "NextContinuationToken": "", "csrf_token": "", "csrf-token": "", "authenticity_token": "",
		"token": Sensitive, "access_token": Sensitive, "SessionToken": Sensitive, "page_access_token": Sensitive, "verification_token": Sensitive,
	} {
		if got, _ := e.Column(name, nil); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
