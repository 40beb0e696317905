package audit

import (
	"bufio"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
)

// signerVar holds the seed of the key that a child of this test signs with.
const signerVar = "ASSENT_TEST_SIGNER"

// signLines is a signer, run by this test's own binary. What it does wrong stands in how.
func signLines(seed, how string) {
	raw, err := base64.StdEncoding.DecodeString(seed)
	if err != nil {
		os.Exit(3)
	}
	key := ed25519.NewKeyFromSeed(raw)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		msg, err := base64.StdEncoding.DecodeString(in.Text())
		if err != nil {
			os.Exit(4)
		}
		switch how {
		case "another":
			msg = append(msg, '!')
		case "garbage":
			fmt.Println("no signature")
			continue
		case "endless":
			fmt.Print(strings.Repeat("A", 1<<20))
			continue
		case "dies":
			os.Exit(5)
		}
		fmt.Println(base64.StdEncoding.EncodeToString(ed25519.Sign(key, msg)))
	}
}
