// Package detect answers, for text or for typed columns: which classes of
// sensitive data are here, where, and how sure.
//
// It never keeps, logs or returns an error with a value it found.
package detect

// A Class is one kind of sensitive value: "email", "card", "us-ssn", …
type Class string

// The classes of this edition.
const (
	Email       Class = "email"
	Card        Class = "card"
	USSSN       Class = "us-ssn"
	IBAN        Class = "iban"
	Phone       Class = "phone"
	IP          Class = "ip"
	AWSKey      Class = "aws-key"
	GitHubToken Class = "github-token"
	JWT         Class = "jwt"
	PEM         Class = "pem"
	DSNPassword Class = "dsn-password"
	// Sensitive is the class of a column whose name says it is secret or
	// personal without telling which of the others.
	Sensitive Class = "sensitive"
)

// A Finding is one value found: bytes [Start, End) of the input.
type Finding struct {
	Start, End int
	Class      Class
	Score      float32 // 0 to 1
}
