// Command load asks a runtime from many goroutines at once and checks every answer: see tests/conformance/README.md.
//
//	load ROOT --seconds N --callers M --report FILE
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	stdruntime "runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	runtime "model-runtime.example/go"
)

// report is what the client says at its end.
type report struct {
	Language      string  `json:"language"`
	Callers       int     `json:"callers"`
	Seconds       float64 `json:"seconds"`
	Requests      int64   `json:"requests"`
	Completed     int64   `json:"completed"`
	Cancelled     int64   `json:"cancelled"`
	Refused       int64   `json:"refused"`
	Errors        int64   `json:"errors"`
	Wrong         int64   `json:"wrong"`
	FirstWrong    *string `json:"first_wrong"`
	RSSEarlyBytes int64   `json:"rss_early_bytes"`
	RSSEndBytes   int64   `json:"rss_end_bytes"`
}

// good says whether every answer was right, and memory has not grown by more than a tenth and 32 MiB.
func (r *report) good() bool {
	return r.Wrong == 0 && r.RSSEndBytes <= r.RSSEarlyBytes+r.RSSEarlyBytes/10+32<<20
}

func main() {
	good, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(2)
	}
	if !good {
		os.Exit(1)
	}
}

func run(arguments []string) (bool, error) {
	if len(arguments) == 0 {
		return false, fmt.Errorf("usage: load ROOT --seconds N --callers M --report FILE")
	}
	root := arguments[0]
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	seconds := flags.Float64("seconds", 10, "how long to ask")
	callers := flags.Int("callers", 16, "how many goroutines ask")
	path := flags.String("report", "", "the file for the report")
	if err := flags.Parse(arguments[1:]); err != nil {
		return false, err
	}
	r := report{Language: "go", Callers: *callers, Seconds: *seconds}
	if err := ask(root, &r); err != nil {
		return false, err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return false, err
	}
	fmt.Println(string(text))
	if *path != "" {
		err = os.WriteFile(*path, append(text, '\n'), 0o644)
	}
	return r.good(), err
}

// ask serves the models, asks alone, and then has all callers ask at once.
func ask(root string, r *report) error {
	ctx := context.Background()
	rt, err := runtime.New()
	if err != nil {
		return err
	}
	defer rt.Close()
	models := filepath.Join(root, "examples", "models")
	if _, err := rt.Serve(ctx, "stories", filepath.Join(models, "stories260K")); err != nil {
		return err
	}
	if _, err := rt.Serve(ctx, "minilm", filepath.Join(models, "all-MiniLM-L6-v2", "all-MiniLM-L6-v2.gguf")); err != nil {
		return err
	}
	alone, err := askAlone(rt)
	if err != nil {
		return err
	}
	start := time.Now()
	length := time.Duration(r.Seconds * float64(time.Second))
	all := make([]*caller, r.Callers)
	var callers sync.WaitGroup
	for number := range all {
		all[number] = &caller{number: number, rt: rt, alone: alone}
		callers.Add(1)
		go func() {
			defer callers.Done()
			for turn := 0; time.Since(start) < length; turn++ {
				all[number].take(turn)
			}
		}()
	}
	time.Sleep(time.Until(start.Add(length / 5)))
	if r.RSSEarlyBytes, err = residentBytes(); err != nil {
		return err
	}
	callers.Wait()
	if r.RSSEndBytes, err = residentBytes(); err != nil {
		return err
	}
	for _, c := range all {
		r.Requests += c.requests
		r.Completed += c.completed
		r.Cancelled += c.cancelled
		r.Refused += c.refused
		r.Errors += c.errors
		r.Wrong += c.wrong
		if r.FirstWrong == nil {
			r.FirstWrong = c.firstWrong
		}
	}
	return nil
}

// residentBytes collects the garbage and reads the memory that the process has.
func residentBytes() (int64, error) {
	stdruntime.GC()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, behind, _ := strings.Cut(string(status), "VmRSS:")
	fields := strings.Fields(behind)
	if len(fields) < 2 || fields[1] != "kB" {
		return 0, fmt.Errorf("/proc/self/status has no VmRSS in kB")
	}
	kilobytes, err := strconv.ParseInt(fields[0], 10, 64)
	return kilobytes * 1024, err
}
