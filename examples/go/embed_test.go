package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

var texts = []string{"The cat sat on the mat.", "Ein Maß für 世界 👋🏽", "x"}

func TestVectorsAsEachModelMakesThem(t *testing.T) {
	rt := serve(t, gteModel, WithVersion("gte@1"))
	must(rt.Serve(ctx, "bge", bgeModel))(t)
	for _, c := range []struct {
		request    EmbeddingRequest
		normalized bool
	}{
		{EmbeddingRequest{Model: "bge", Input: texts}, true},
		{EmbeddingRequest{Model: "m", Input: texts}, false},
		{EmbeddingRequest{Model: "m", Input: texts, Normalize: "l2", Dimensions: 16}, true},
	} {
		made := must(rt.Embed(ctx, c.request))(t)
		defer made.Close()
		vectors := made.Vectors()
		if made.Len() != 3 || len(vectors) != 3 || len(made.Tokens) != 3 || made.Tokens[0] < 4 || made.Truncated[0] || made.Normalized != c.normalized {
			t.Fatalf("%+v", made)
		}
		for _, vector := range vectors {
			if len(vector) != made.Dimension || (math.Abs(norm(vector)-1) < 1e-3) != c.normalized {
				t.Fatalf("%d values of length %v", len(vector), norm(vector))
			}
		}
		if c.request.Model == "m" && made.Version != "gte@1" {
			t.Fatal(made.Version)
		}
	}
}

func TestAViewIsTheBlockItself(t *testing.T) {
	rt := serve(t, gteModel)
	made := must(rt.Embed(ctx, EmbeddingRequest{Model: "m", Input: texts}))(t)
	copied := made.Vectors()
	var first *float32
	for range 2 {
		err := made.View(func(rows [][]float32) {
			if first != nil && first != &rows[0][0] {
				t.Error("another view lies elsewhere")
			}
			first = &rows[0][0]
			for i, row := range rows {
				if cap(row) != made.Dimension || unsafe.Pointer(&row[0]) != unsafe.Add(unsafe.Pointer(first), 4*i*made.Dimension) {
					t.Error("rows do not lie one behind the other")
				}
				if fmt.Sprint(row) != fmt.Sprint(copied[i]) {
					t.Error("a copy differs")
				}
			}
			if &copied[0][0] == first {
				t.Error("what was copied lies in the library's block")
			}
			// Whoever looks at them keeps them.
			made.Close()
			if fmt.Sprint(rows) != fmt.Sprint(copied) {
				t.Error("vectors went away under a view")
			}
		})
		if err == ErrClosed {
			break
		}
	}
	made.Close()
	if err := made.View(func([][]float32) { t.Error("a view of nothing") }); err != ErrClosed || made.Vectors() != nil {
		t.Fatal(err)
	}
	if _, err := made.JSON(); err != ErrClosed {
		t.Fatal(err)
	}
	if made.Tokens[0] == 0 || made.Version == "" {
		t.Fatal("what was copied is gone")
	}
}

func TestVectorsAsJSON(t *testing.T) {
	rt := serve(t, gteModel)
	raw := json.RawMessage(`{"model": "m", "input": ["bread"], "encoding_format": "base64"}`)
	made := must(rt.Embed(ctx, EmbeddingRequest{Raw: raw}))(t)
	defer made.Close()
	var response struct {
		Data []struct {
			Embedding []byte `json:"embedding"`
		} `json:"data"`
	}
	if err := json.Unmarshal(must(made.JSON())(t), &response); err != nil || len(response.Data[0].Embedding) != 4*made.Dimension {
		t.Fatal(err)
	}
}

func TestTruncation(t *testing.T) {
	rt := serve(t, bgeModel)
	request := EmbeddingRequest{Model: "m", Input: strings.Repeat("cat ", 2000)}
	if _, err := rt.Embed(ctx, request); !errors.Is(err, ErrContextLengthExceeded) {
		t.Fatal(err)
	}
	request.Truncate = "end"
	made := must(rt.Embed(ctx, request))(t)
	defer made.Close()
	if !made.Truncated[0] {
		t.Fatal("a text that is too long is not cut")
	}
}

func TestEmbedIsCancelled(t *testing.T) {
	rt := serve(t, gteModel)
	many := make([]string, 5000)
	for i := range many {
		many[i] = fmt.Sprint("sentence number ", i, " about bread and rivers")
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error)
	go func() {
		_, err := rt.Embed(ctx, EmbeddingRequest{Model: "m", Input: many})
		ended <- err
	}()
	for must(rt.Stats())(t).Endpoints[0].Embedding.Batches == 0 {
	}
	cancel()
	cancelled(t, <-ended)
	_, err := rt.Embed(ctx, EmbeddingRequest{Model: "m", Input: many})
	cancelled(t, err)
	if !eventually(func() bool { return must(rt.Stats())(t).Endpoints[0].Embedding.Cancelled == 1 }) {
		t.Fatal("it is still computed")
	}
	settled(t)
}

func TestVectorsThatAreNotMade(t *testing.T) {
	rt := serve(t, gteModel)
	many := make([]string, 5000)
	for i := range many {
		many[i] = "bread and rivers"
	}
	_, err := rt.Embed(ctx, EmbeddingRequest{Model: "m", Input: many}, WithTimeout(time.Millisecond))
	if !errors.Is(err, ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := rt.Embed(ctx, EmbeddingRequest{Model: "m", Input: many})
		ended <- err
	}()
	for must(rt.Stats())(t).Endpoints[0].Embedding.Batches == 0 {
	}
	if err := rt.Remove("m"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrShuttingDown) {
		t.Fatal(err)
	}
	settled(t)
}

func TestAThousandWaitForVectorsWithoutAThousandThreads(t *testing.T) {
	const callers = 1000
	rt := serve(t, gteModel, WithMaxQueue(callers))
	expected := fmt.Sprint(must(rt.Embed(ctx, EmbeddingRequest{Model: "m", Input: "bread"}))(t).Vectors())
	before, most := threads(t), 0
	var all sync.WaitGroup
	done := make(chan struct{})
	for range callers {
		all.Add(1)
		go func() {
			defer all.Done()
			made, err := rt.Embed(ctx, EmbeddingRequest{Model: "m", Input: "bread"})
			if err != nil {
				t.Error(err)
				return
			}
			defer made.Close()
			if fmt.Sprint(made.Vectors()) != expected {
				t.Error("the vector differs from the one alone")
			}
		}()
	}
	go func() { all.Wait(); close(done) }()
	for running := true; running; {
		most = max(most, threads(t))
		select {
		case <-done:
			running = false
		default:
		}
	}
	t.Logf("%d threads before, at most %d while %d asked", before, most, callers)
	if most > before+100 {
		t.Fatalf("%d threads before, %d while %d asked", before, most, callers)
	}
}
