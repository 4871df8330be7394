package main

import (
	"os"
	"strings"
	"testing"
)

// The README shows this program.
func TestTheREADMEHasThisProgram(t *testing.T) {
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```go\n"+string(program)+"```\n") {
		t.Error("README.md has another Go program than quickstart/main.go")
	}
}
