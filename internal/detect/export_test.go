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
