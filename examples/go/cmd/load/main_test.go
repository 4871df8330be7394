package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestAShortLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	good, err := run([]string{"../../../..", "--seconds", "2", "--callers", "24", "--report", path})
	if err != nil || !good {
		t.Fatal(good, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if r.Wrong != 0 || r.Completed == 0 || r.Cancelled == 0 || r.Requests < int64(r.Callers) || r.RSSEndBytes == 0 {
		t.Fatalf("%s", text)
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	c := &caller{}
	if c.completedWith("a", "b") == nil || c.expect(nil, 0) == nil {
		t.Fatal("a wrong text passes")
	}
	if (&report{Wrong: 1}).good() || (&report{RSSEarlyBytes: 100 << 20, RSSEndBytes: 143 << 20}).good() {
		t.Fatal("a bad report is good")
	}
}
