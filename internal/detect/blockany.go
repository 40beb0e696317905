//go:build !(goexperiment.simd && amd64)

package detect

// classify makes the blocks of t, which has 64 bytes for each of them.
func classify(t []byte, out []block) { classifyPortable(t, out) }

// A classifier makes blocks with what it is named after.
type classifier struct {
	name string
	make func(t []byte, out []block)
}

// classifiers are those that this build has.
func classifiers() []classifier { return []classifier{{"portable code", classifyPortable}} }
