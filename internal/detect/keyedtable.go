package detect

// A keyed form is a credential that its value alone does not tell: the name it
// is given under does.
type keyed struct {
	class Class
	word  string // in the name, lower case, without separators
	shape string
}

var keyedTable = []keyed{}
