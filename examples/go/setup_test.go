package runtime

import (
	"context"
	"fmt"
	"os"
	stdruntime "runtime"
	"strings"
	"testing"
	"time"
)

// The models of the repository that the tests use.
const (
	storiesModel = "../models/stories260K"
	llamaModel   = "../../tests/data/tiny/llama3"
	gteModel     = "../../tests/data/tiny/new_gte"
	bgeModel     = "../../tests/data/tiny/bert_bge"
	loraAdapter  = "../../tests/data/lora/stories260K-qkv"
)

var ctx = context.Background()

// TestMain fails the run if the library still refers to anything of Go's when all tests have closed what they had.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && !eventually(func() bool { return handles.Load() == 0 }) {
		fmt.Fprintln(os.Stderr, "handles that the library did not free:", handles.Load())
		code = 1
	}
	os.Exit(code)
}

// serve makes a runtime that serves a model as "m" until the test ends.
func serve(t testing.TB, model string, options ...ServeOption) *Runtime {
	t.Helper()
	rt := must(New())(t)
	t.Cleanup(func() { rt.Close() })
	must(rt.Serve(ctx, "m", model, options...))(t)
	return rt
}

// must gives a value, or ends the test with the error.
func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// long is a completion that goes on until it is cancelled or the context is full: it never samples its ends.
func long() CompletionRequest {
	return CompletionRequest{Model: "m", Prompt: "Once", MaxTokens: 500, Seed: Ptr(int64(1)), LogitBias: map[uint32]float64{1: -100, 2: -100}}
}

func short(seed int64) CompletionRequest {
	return CompletionRequest{Model: "m", Prompt: "Once upon a time", MaxTokens: 12, Seed: &seed}
}

// eventually collects the garbage until condition holds, for at most half a minute.
func eventually(condition func() bool) bool {
	for deadline := time.Now().Add(30 * time.Second); !condition(); stdruntime.GC() {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// settled waits until the library refers to nothing of Go's any more, what earlier tests have dropped included.
func settled(t testing.TB) {
	t.Helper()
	if !eventually(func() bool { return handles.Load() == 0 }) {
		t.Fatalf("%d handles are left", handles.Load())
	}
}

// threads is how many threads the process has.
func threads(t testing.TB) int {
	t.Helper()
	entries := must(os.ReadDir("/proc/self/task"))(t)
	return len(entries)
}

// read reads a stream to its end.
func read[R, C any](stream *Stream[R, C]) (string, error) {
	var text strings.Builder
	for event, err := range stream.Events() {
		if err != nil {
			return text.String(), err
		}
		text.WriteString(event.Text)
	}
	return text.String(), nil
}
