//go:build !(goexperiment.simd && amd64)

package detect

func classify(t []byte, out []block) { classifyPortable(t, out) }

// vectors names what makes blocks.
func vectors() string { return "portable code" }
