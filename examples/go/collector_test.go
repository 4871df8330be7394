package runtime

import (
	"math"
	stdruntime "runtime"
	"slices"
	"sync"
	"testing"
)

// collect runs the garbage collector until the test ends.
func collect(t *testing.T) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				stdruntime.GC()
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
}

func TestAnswersAreRightWhileGarbageIsCollected(t *testing.T) {
	rt := serve(t, storiesModel)
	must(rt.Serve(ctx, "bge", bgeModel))(t)
	expected := make([]string, 8)
	for seed := range expected {
		expected[seed] = must(rt.Complete(ctx, short(int64(seed))))(t).Choices[0].Text
	}
	embed := EmbeddingRequest{Model: "bge", Input: []string{"bread", "rivers"}}
	alone := must(rt.Embed(ctx, embed))(t).Vectors()
	collect(t)
	var all sync.WaitGroup
	for caller := range 64 {
		all.Add(1)
		go func() {
			defer all.Done()
			for turn := range 4 {
				seed := (caller + turn) % len(expected)
				// Streams, vectors and what they lie in are dropped here and below, without Close.
				stream, err := rt.SubmitCompletion(ctx, short(int64(seed)))
				if err != nil {
					t.Error(err)
					return
				}
				if text, err := read(stream); err != nil || text != expected[seed] {
					t.Errorf("%q, alone %q: %v", text, expected[seed], err)
				}
				if _, err := rt.SubmitCompletion(ctx, long()); err != nil {
					t.Error(err)
				}
				made, err := rt.Embed(ctx, embed)
				if err != nil {
					t.Error(err)
					return
				}
				err = made.View(func(rows [][]float32) {
					stdruntime.GC()
					if !slices.EqualFunc(rows, alone, slices.Equal) {
						t.Error("vectors differ from those alone")
					}
				})
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
}

func TestWhatIsDroppedIsFreed(t *testing.T) {
	settled(t)
	func() {
		rt := must(New(WithLifecycleListener(func(LifecycleEvent) {}), WithClock(new(frozen))))(t)
		if handles.Load() != 2 {
			t.Fatal("clock and listener have no handles")
		}
		must(rt.Serve(ctx, "m", storiesModel))(t)
		// Streams that nobody has read outlive their runtime, in this order or another.
		for range 10 {
			must(rt.SubmitCompletion(ctx, long()))(t)
		}
	}()
	settled(t)
}

// A stream that is only waited for is not taken away from who waits.
func TestTheReceiverOfACallIsKept(t *testing.T) {
	rt := serve(t, storiesModel)
	collect(t)
	for range 5 {
		if response := must(must(rt.SubmitCompletion(ctx, long()))(t).Wait())(t); response.Usage.CompletionTokens != 500 {
			t.Fatalf("%s", response.Raw)
		}
	}
}

func TestChildrenOutliveTheirRuntime(t *testing.T) {
	rt := must(New())(t)
	must(rt.Serve(ctx, "m", storiesModel))(t)
	must(rt.Serve(ctx, "gte", gteModel))(t)
	stream := must(rt.SubmitCompletion(ctx, long()))(t)
	made := must(rt.Embed(ctx, EmbeddingRequest{Model: "gte", Input: "bread"}))(t)
	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		go func() { defer all.Done(); rt.Close() }()
	}
	all.Wait()
	if _, err := rt.Complete(ctx, short(1)); err != ErrClosed {
		t.Fatal(err)
	}
	if _, err := rt.Serve(ctx, "n", storiesModel); err != ErrClosed {
		t.Fatal(err)
	}
	if must(stream.Wait())(t).Usage.CompletionTokens != 500 {
		t.Fatal("the answer was cut")
	}
	stream.Close()
	if sum := norm(made.Vectors()[0]); sum == 0 || math.IsNaN(sum) {
		t.Fatal("the vector is gone")
	}
	made.Close()
}

func norm(vector []float32) float64 {
	var sum float64
	for _, value := range vector {
		sum += float64(value) * float64(value)
	}
	return math.Sqrt(sum)
}
