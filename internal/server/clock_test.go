package server

import (
	"strings"
	"testing"
	"time"
)

func TestClockDiffers(t *testing.T) {
	asked := time.Now()
	answered := asked.Add(20 * time.Second) // a slow answer says nothing of the clock
	for at, want := range map[time.Duration]string{
		0: "", 20 * time.Second: "", -4 * time.Second: "", 24 * time.Second: "",
		-10 * time.Minute: "10m0s ahead of the database's", 10*time.Minute + 20*time.Second: "10m0s behind the database's",
		-6 * time.Second: "6s ahead", 26 * time.Second: "6s behind",
	} {
		err := clockDiffers(asked, asked.Add(at).Round(0).UTC(), answered)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("the database says %s after the question: %v, want %q", at, err, want)
		}
	}
}
