package evidence_test

import (
	"fmt"

	"github.com/assenthq/assent/evidence"
)

// An auditor was given a record, its proof and, by another way, the log's key.
func ExampleVerifyProof() {
	const (
		vkey  = "assent.example/log+c8b35c4b+ATExOOChwTD2Jdtn7osSzdMyMK+uMdAa1wdQ24YDTNMv"
		leaf  = `{"index":3}`
		proof = `c2sp.org/tlog-proof@v1
index 3
S6RddwbhuSUj+vondLVj8Rp9iUHELPGucdwEbtToDQc=
d4RXK5x/y0QRw3J9qUn75TjBB/XGTfaq/G9pP7qvCQs=
a3K+I9ZQoq7WKHDPbqDV7YBXhVYSTCht9jl2zwYg7Z0=

assent.example/log
5
Mb9KKSv+hSlstiYL8dVSBJX4FL9qNQSEszqcFr3yjsg=

— assent.example/log yLNcS/vs32RnlQvhhIGcTRwi3mBF/h3UwNmZEXWpI7RWSHzIAVXGls/To2nCmyoe6uUiuS6kHiesvB5G1ThtpBzFewo=
`
	)
	cp, index, err := evidence.VerifyProof([]byte(proof), []byte(leaf), vkey)
	if err != nil {
		fmt.Println("forged:", err)
		return
	}
	fmt.Printf("record %d of %d in %s\n", index, cp.Size, cp.Origin)

	_, _, err = evidence.VerifyProof([]byte(proof), []byte(`{"index":4}`), vkey)
	fmt.Println("another record:", err != nil)
	// Output:
	// record 3 of 5 in assent.example/log
	// another record: true
}
