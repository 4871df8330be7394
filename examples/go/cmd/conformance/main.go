// Command conformance asks of the library what the suite of all languages asks, and writes down every answer: see
// tests/conformance/README.md.
//
//	conformance CASES ROOT SCRATCH OUTPUT
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// testCase is one case of the suite.
type testCase struct {
	Name     string `json:"name"`
	Start    string `json:"start"`
	Database string `json:"database"`
	Catalog  string `json:"catalog"`
	Steps    []step `json:"steps"`
}

// step is one step of a case.
type step struct {
	Do        string          `json:"do"`
	Name      string          `json:"name"`
	Model     string          `json:"model"`
	Operation string          `json:"operation"`
	Endpoint  string          `json:"endpoint"`
	Path      string          `json:"path"`
	Now       string          `json:"now"`
	Request   json.RawMessage `json:"request"`
	Options   struct {
		Principal string `json:"principal"`
		Entity    string `json:"entity"`
		TimeoutMS int64  `json:"timeout_ms"`
		Priority  int32  `json:"priority"`
		Lifecycle bool   `json:"lifecycle"`
	} `json:"options"`
	Steps  []step `json:"steps"`
	Copies *int   `json:"copies"`
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: conformance CASES ROOT SCRATCH OUTPUT")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(casesPath, root, scratch, outputPath string) error {
	text, err := os.ReadFile(casesPath)
	if err != nil {
		return err
	}
	var cases []testCase
	places := strings.NewReplacer("@ROOT@", root, "@SCRATCH@", scratch)
	if err := json.Unmarshal([]byte(places.Replace(string(text))), &cases); err != nil {
		return fmt.Errorf("%s: %w", casesPath, err)
	}
	output, err := os.Create(outputPath)
	if err != nil {
		return err
	}
	defer output.Close()
	lines := bufio.NewWriter(output)
	encoder := json.NewEncoder(lines)
	encoder.SetEscapeHTML(false)
	for _, c := range cases {
		results, err := c.run()
		if err != nil {
			return fmt.Errorf("case %s: %w", c.Name, err)
		}
		if err := encoder.Encode(map[string]any{"case": c.Name, "results": results}); err != nil {
			return err
		}
	}
	if err := lines.Flush(); err != nil {
		return err
	}
	return output.Close()
}
