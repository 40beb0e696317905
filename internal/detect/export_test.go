package detect

// ScanAll is Scan of every byte, whatever Clean says of them.
func (e *Engine) ScanAll(text []byte) []Finding { return e.scanAll(text, nil) }

// ScanEach is Scan that visits every word.
func (e *Engine) ScanEach(text []byte) []Finding {
	s := new(scan)
	s.reset(e, text, nil)
	s.final, s.every = true, true
	s.steps()
	s.readNames(len(text))
	return s.out
}

// A Row is what the table shows of a class.
type Row struct {
	Class   Class
	Is, Not []string
}

// Table is the table, for tests.
func Table() (out []Row) {
	for _, i := range table {
		out = append(out, Row{i.class, i.is, i.not})
	}
	return out
}
