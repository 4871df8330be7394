package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// result is what a step came to.
type result struct {
	OK    json.RawMessage `json:"ok"`
	Error *struct {
		Code         string          `json:"code"`
		Status       int             `json:"status"`
		Param        *string         `json:"param"`
		RetryAfterMS *int64          `json:"retry_after_ms"`
		JSON         json.RawMessage `json:"json"`
	} `json:"error"`
}

func TestEveryStep(t *testing.T) {
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	output := filepath.Join(t.TempDir(), "go.jsonl")
	if err := run("testdata/cases.json", root, t.TempDir(), output); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if len(lines) != 2 {
		t.Fatalf("%s", text)
	}
	// The codes of failures; "" where a step succeeds.
	for i, expected := range [][]string{
		{"", "", "", "invalid_request", "not_found", "cancelled", "", "", "", "", ""},
		{"", "", "", "", "", "", "invalid_request", "unsupported"},
	} {
		var line struct {
			Case    string   `json:"case"`
			Results []result `json:"results"`
		}
		if err := json.Unmarshal(lines[i], &line); err != nil {
			t.Fatal(err)
		}
		if len(line.Results) != len(expected) {
			t.Fatalf("%s", lines[i])
		}
		for step, result := range line.Results {
			code := ""
			if result.Error != nil {
				code = result.Error.Code
			}
			if code != expected[step] || result.Error != nil && (result.Error.Status < 400 || !json.Valid(result.Error.JSON)) {
				t.Errorf("%s, step %d: %q, expected %q", line.Case, step, code, expected[step])
			}
		}
		switch i {
		case 0:
			answers(t, line.Results)
		case 1:
			vectors(t, line.Results)
		}
	}
}

func answers(t *testing.T, results []result) {
	var whole struct {
		Choices []struct{ Text string }
	}
	var streamed struct{ Text string }
	var together []result
	for step, into := range map[int]any{1: &whole, 2: &streamed, 7: &together} {
		if err := json.Unmarshal(results[step].OK, into); err != nil {
			t.Fatal(err)
		}
	}
	if whole.Choices[0].Text == "" || whole.Choices[0].Text != streamed.Text {
		t.Errorf("%q and %q", whole.Choices[0].Text, streamed.Text)
	}
	if len(together) != 6 || together[4].OK[0] != '[' || together[5].OK[0] != '{' {
		t.Errorf("%s", results[7].OK)
	}
	if string(results[10].OK) != "null" {
		t.Errorf("%s", results[10].OK)
	}
}

func vectors(t *testing.T, results []result) {
	var made struct {
		Rows, Dimension int
		Values          string
		Tokens          []int
		Truncated       []bool
		Normalize       string
	}
	if err := json.Unmarshal(results[1].OK, &made); err != nil {
		t.Fatal(err)
	}
	if made.Rows != 2 || len(made.Values) != 2*made.Dimension*4*2 || len(made.Tokens) != 2 || len(made.Truncated) != 2 || made.Normalize != "none" {
		t.Errorf("%s", results[1].OK)
	}
}
