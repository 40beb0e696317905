//go:build !linux && !darwin

package server

import "math"

func roomOf(string) (int64, error) { return math.MaxInt64, nil }
