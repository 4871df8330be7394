package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// writeRequests writes a file of completions of which the third asks for a model that is not served, and names a file for
// the results.
func writeRequests(t *testing.T, count int) (requests, results string) {
	var text bytes.Buffer
	for i := range count {
		model := "m"
		if i == 2 {
			model = "nobody"
		}
		fmt.Fprintf(&text, `{"custom_id": "r%d", "method": "POST", "url": "/v1/completions", "body": {"model": %q, "prompt": "Once", "max_tokens": 6, "seed": %d}}`, i, model, i)
		text.WriteString("\n")
	}
	folder := t.TempDir()
	requests, results = filepath.Join(folder, "größe.jsonl"), filepath.Join(folder, "results.jsonl")
	if err := os.WriteFile(requests, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return requests, results
}

func lines(t *testing.T, path string) int {
	return bytes.Count(must(os.ReadFile(path))(t), []byte("\n"))
}

func TestABatchOfRequests(t *testing.T) {
	rt := serve(t, storiesModel)
	requests, results := writeRequests(t, 8)
	var last BatchProgress
	calls := 0
	summary := must(rt.RunBatch(ctx, requests, results, WithConcurrency(2), WithResultsAsReady(),
		WithEachRequest(WithPriority(-1), WithPrincipal("night")),
		WithBatchProgress(func(progress BatchProgress) { calls, last = calls+1, progress })))(t)
	if !summary.Complete || summary.Read != 8 || summary.Done != 7 || summary.Failed != 1 || summary.CompletionTokens != 7*6 ||
		summary.BytesTotal == nil || *summary.BytesTotal != summary.BytesRead {
		t.Fatalf("%s", summary.Raw)
	}
	if calls == 0 || last.Done != 7 || last.Running != 0 || lines(t, results) != 8 {
		t.Fatalf("%d calls, the last with %+v; %d results", calls, last, lines(t, results))
	}
	if again := must(rt.RunBatch(ctx, requests, results))(t); again.Skipped != 8 || again.Done != 0 || !again.Complete {
		t.Fatalf("%s", again.Raw)
	}
}

func TestCancelEndsABatchThatGoesOnLater(t *testing.T) {
	settled(t)
	rt := serve(t, storiesModel)
	requests, results := writeRequests(t, 20)
	stopped, cancel := context.WithCancel(ctx)
	defer cancel()
	_, err := rt.RunBatch(stopped, requests, results, WithConcurrency(2), WithBatchProgress(func(progress BatchProgress) {
		if progress.Done > 0 {
			cancel()
		}
	}))
	cancelled(t, err)
	written := lines(t, results)
	if written == 0 || written >= 20 {
		t.Fatalf("%d results of 20", written)
	}
	if _, err := rt.RunBatch(stopped, requests, results); !errors.Is(err, context.Canceled) || lines(t, results) != written {
		t.Fatal("a run that was cancelled before it began:", err)
	}
	rest := must(rt.RunBatch(ctx, requests, results))(t)
	if !rest.Complete || rest.Skipped != uint64(written) || lines(t, results) != 20 {
		t.Fatalf("%d were written, then %s", written, rest.Raw)
	}
	settled(t)
}

func TestABatchThatCannotRun(t *testing.T) {
	rt := serve(t, storiesModel)
	requests, results := writeRequests(t, 3)
	if _, err := rt.RunBatch(ctx, requests+".missing", results); !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrIO) {
		t.Fatal(err)
	}
	if _, err := rt.RunBatch(ctx, requests, results, WithConcurrency(5000)); !errors.Is(err, ErrInvalidRequest) {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if reason := recover(); reason != "no" {
				t.Errorf("recovered %v", reason)
			}
		}()
		_, _ = rt.RunBatch(ctx, requests, results, WithBatchProgress(func(BatchProgress) { panic("no") }))
	}()
	rt.Close()
	if _, err := rt.RunBatch(ctx, requests, results); err != ErrClosed {
		t.Fatal(err)
	}
}
