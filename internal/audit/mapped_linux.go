package audit

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
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
}

// windowBytes is how much is reserved and mapped at a time, in whole pages.
const windowBytes = 1 << 20

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
		k, err := m.put(b[n:])
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
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
	m.window, m.from, m.at = window, next, 0
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
