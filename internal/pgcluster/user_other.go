//go:build !unix

package pgcluster

import "syscall"

func unprivileged() (*syscall.SysProcAttr, error) { return &syscall.SysProcAttr{}, nil }

func chown(string, *syscall.SysProcAttr) error { return nil }
