//go:build !linux

package pgcluster

import "syscall"

func stopWithUs(*syscall.SysProcAttr) {}
