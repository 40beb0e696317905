package audit

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
)

// mappedFile is a file that grows at its end by stores to memory: what is stored
// survives the process as what write(2) took does, and costs no system call. Room is
// reserved on disk before it is mapped, so that a full disk is an error and not
// a signal. While it is open, zeros follow what was written.
type mappedFile struct {
	osFile
	window []byte // the part of the file that is mapped
	from   int64  // where it begins
	at     int    // in it: where the next byte goes
	ready  int    // in it: up to here prepare has been, which is never before at
	synced atomic.Bool
	mark   int64 // where the file ended when prepare last saw that it had been synced
	busy   bool  // between the two syncs before that, much was stored
}

// windowBytes is how much is reserved and mapped at a time, in whole pages.
const windowBytes = 1 << 20

// A page that is stored to for the first time since it was synced costs a fault. Where
// much is stored between two syncs, the next pages are written as zeros beforehand in
// one piece: the kernel then takes them as one.
const zerosBytes, pageBytes = 64 << 10, 4 << 10

// busyBytes is how much must be stored between two syncs for zeros to be written from
// the beginning after the second: those that nothing is stored over cost little beside it.
const busyBytes = 4 * zerosBytes

var zeros [zerosBytes]byte

// grow makes f a mappedFile where its file system can reserve room.
func grow(f *os.File) (file, error) {
	m := &mappedFile{osFile: osFile{f}}
	err := m.advance()
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.ENODEV) {
		return &m.osFile, m.Truncate(0)
	}
	return m, err
}

// Write copies b behind what was written before.
func (m *mappedFile) Write(b []byte) (n int, err error) {
	for n < len(b) {
		if m.at == len(m.window) {
			if err := m.advance(); err != nil {
				return n, err
			}
		}
		if m.at+len(b)-n > m.ready {
			if err := m.prepare(len(b) - n); err != nil {
				return n, err
			}
		}
		k, err := m.put(b[n:])
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}

// prepare decides about the pages that the next n bytes go to.
func (m *mappedFile) prepare(n int) error {
	end := m.from + int64(m.at)
	if m.synced.Swap(false) {
		m.busy, m.mark = end-m.mark >= busyBytes, end
	}
	if !m.busy && end-m.mark < zerosBytes { // few: each zero would be written to the disk for nothing
		m.ready = (m.at + n + pageBytes - 1) &^ (pageBytes - 1)
		return nil
	}
	for m.ready < min(m.at+n, len(m.window)) {
		// A file that was cut short must not grow again over what is missing.
		if info, err := m.Stat(); err != nil {
			return err
		} else if end := m.from + int64(len(m.window)); info.Size() < end {
			return fmt.Errorf("storing to %s, which is mapped: it has %d bytes instead of %d", m.Name(), info.Size(), end)
		}
		k, err := m.WriteAt(zeros[:zerosBytes-m.ready%zerosBytes], m.from+int64(m.ready)) // a window is a multiple of it
		if err != nil {
			return fmt.Errorf("making room: %w", err)
		}
		m.ready += k
	}
	return nil
}

// Sync is the file's own. It may run beside Write.
func (m *mappedFile) Sync() error {
	m.synced.Store(true)
	return m.osFile.Sync()
}

// put copies as much as the window has room for. Somebody may have cut the file
// short, or its disk may fail: that is an error too, and not the end of the process.
func (m *mappedFile) put(b []byte) (n int, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			n, err = 0, fmt.Errorf("storing to %s, which is mapped: %v", m.Name(), r)
		}
	}()
	n = copy(m.window[m.at:], b)
	m.at += n
	return n, nil
}

// advance reserves and maps what follows the window.
func (m *mappedFile) advance() error {
	next := m.from + int64(len(m.window))
	if err := m.unmap(); err != nil {
		return err
	}
	fd := int(m.Fd())
	if err := retried(func() error { return syscall.Fallocate(fd, 0, next, windowBytes) }); err != nil {
		return fmt.Errorf("reserving room for %s: %w", m.Name(), err)
	}
	window, err := syscall.Mmap(fd, next, windowBytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mapping %s: %w", m.Name(), err)
	}
	// What follows a page that is stored to must not be read ahead: the kernel would take
	// those pages one by one, and zeros that come later as well.
	if err := syscall.Madvise(window, syscall.MADV_RANDOM); err != nil {
		return errors.Join(fmt.Errorf("mapping %s: %w", m.Name(), err), syscall.Munmap(window))
	}
	m.window, m.from, m.at, m.ready = window, next, 0, 0
	return nil
}

func (m *mappedFile) unmap() error {
	if m.window == nil {
		return nil
	}
	window := m.window
	m.window, m.from, m.at = nil, m.from+int64(m.at), 0
	if err := syscall.Munmap(window); err != nil {
		return fmt.Errorf("unmapping %s: %w", m.Name(), err)
	}
	return nil
}

// Close gives back the room behind what was written.
func (m *mappedFile) Close() error {
	err := m.unmap()
	return errors.Join(err, m.Truncate(m.from), m.osFile.Close())
}

func retried(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
