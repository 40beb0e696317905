package calm_test

import (
	"errors"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/calm"
	"github.com/assenthq/assent/internal/notify/notifytest"
)

func TestHours(t *testing.T) {
	berlin := calm.Hours{From: "22:00", To: "07:00", Zone: "Europe/Berlin"}
	noon := calm.Hours{From: "12:00", To: "13:30", Zone: "Asia/Kathmandu"}
	for _, c := range []struct {
		h       calm.Hours
		at, end string
	}{
		{berlin, "2026-11-22T20:59:00Z", ""}, // 21:59 there
		{berlin, "2026-11-22T21:00:00Z", "2026-11-23T06:00:00Z"},
		{berlin, "2026-11-23T05:59:59Z", "2026-11-23T06:00:00Z"},
		{berlin, "2026-11-23T06:00:00Z", ""},
		{berlin, "2026-10-24T23:00:00Z", "2026-10-25T06:00:00Z"}, // the clocks go back meanwhile
		{noon, "2026-11-22T06:14:00Z", ""},
		{noon, "2026-11-22T06:15:00Z", "2026-11-22T07:45:00Z"},
		{noon, "2026-11-22T07:45:00Z", ""},
		{calm.Hours{}, "2026-11-22T03:00:00Z", ""},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if u := c.h.Until(at); !u.IsZero() {
			got = u.UTC().Format(time.RFC3339)
		}
		if got != c.end {
			t.Errorf("%+v at %s is quiet until %q, want %q", c.h, c.at, got, c.end)
		}
	}
	for _, bad := range []calm.Hours{{From: "22", To: "07:00", Zone: "UTC"}, {From: "22:00", To: "22:00", Zone: "UTC"}, {From: "25:00", To: "07:00", Zone: "UTC"}, {From: "22:00", To: "07:00"}, {From: "22:00", To: "07:00", Zone: "Mars/Olympus"}, {From: "22:00", To: "07:00", Zone: "Local"}} {
		if err := bad.Check(); !errors.Is(err, calm.ErrRefused) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestKeeper: what is set is known on every node and after a restart, and ends by itself.
func TestKeeper(t *testing.T) {
	h := notifytest.New(t)
	open := func() *calm.Keeper {
		k, err := calm.Open(t.Context(), h.Box, h.Clock, nil)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	k, other := open(), open()
	if err := k.SetHours(t.Context(), "person:ana", calm.Hours{From: "22:00", To: "07:00", Zone: "UTC", Grave: true}); err != nil {
		t.Fatal(err)
	}
	if err := k.Snooze(t.Context(), "person:ana", "apr_1", 3, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := k.Snooze(t.Context(), "person:ana", "apr_1", 3, 5*time.Hour); !errors.Is(err, calm.ErrRefused) {
		t.Errorf("five hours: %v", err)
	}
	for name, k := range map[string]*calm.Keeper{"here": k, "elsewhere": other, "anew": open()} {
		if k.Quiet("person:ana", false).IsZero() || !k.Quiet("person:ana", true).IsZero() || !k.Quiet("person:ben", false).IsZero() {
			t.Errorf("%s: quiet hours at three are wrong", name)
		}
		if k.Snoozed("person:ana", "apr_1", 3).IsZero() {
			t.Errorf("%s: it is not put aside", name)
		}
		if !k.Snoozed("person:ana", "apr_1", 4).IsZero() || !k.Snoozed("person:ben", "apr_1", 3).IsZero() {
			t.Errorf("%s: something else is put aside", name)
		}
	}
	h.Pass(time.Hour)
	if !k.Snoozed("person:ana", "apr_1", 3).IsZero() {
		t.Error("it stays put aside")
	}
	if err := k.SetHours(t.Context(), "person:ana", calm.Hours{}); err != nil || !open().Quiet("person:ana", false).IsZero() {
		t.Errorf("quiet hours can't be ended: %v", err)
	}
}
