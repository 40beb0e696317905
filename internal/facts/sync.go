package facts

import "context"

// Room reports whether one more action can be noted before Flush.
func (w *Writer) Room() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return cap(w.queue)-len(w.queue) >= longestEntry
}

// Flush writes what was noted. Only for who does not Run the Writer.
func (w *Writer) Flush() error { return w.flush() }

// Close writes what is left, in order, and closes. Only for who does not Run the Writer.
func (w *Writer) Close() error {
	if err := w.flush(); err != nil {
		return err
	}
	if w.file != nil {
		if err := w.sealFile(); err != nil {
			return err
		}
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	w.Run(done)
	return nil
}
