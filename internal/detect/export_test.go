package detect

// ScanAll is Scan of every byte, whatever Clean says of them.
func (e *Engine) ScanAll(text []byte) []Finding { return e.scanAll(text, nil) }
