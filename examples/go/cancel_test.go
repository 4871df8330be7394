package runtime

import (
	"context"
	"errors"
	"fmt"
	stdruntime "runtime"
	"sync"
	"testing"
	"time"
)

// cancelled checks an error that came because a context was cancelled.
func cancelled(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrCancelled) || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v", err)
	}
}

func TestCancelEndsWhateverWaits(t *testing.T) {
	rt := serve(t, storiesModel)
	calls := map[string]func(context.Context) error{
		"Complete": func(ctx context.Context) error { _, err := rt.Complete(ctx, long()); return err },
		"Wait": func(ctx context.Context) error {
			stream, err := rt.SubmitCompletion(ctx, long())
			if err != nil {
				return err
			}
			defer stream.Close()
			_, err = stream.Wait()
			return err
		},
		"Next": func(ctx context.Context) error {
			stream, err := rt.SubmitCompletion(ctx, long())
			if err != nil {
				return err
			}
			defer stream.Close()
			_, err = read(stream)
			return err
		},
		"CompleteStream": func(ctx context.Context) error {
			for _, err := range rt.CompleteStream(ctx, long()) {
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	idle := func() bool { s := stats(t, rt); return s.Running == 0 && s.Queued == 0 }
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			// Steps from here on are those of this call.
			if !eventually(idle) {
				t.Fatal("the engine still runs what was cancelled")
			}
			ctx, cancel := context.WithCancelCause(ctx)
			reason := errors.New("the user has gone")
			before := stats(t, rt).Steps
			ended := make(chan error)
			go func() { ended <- call(ctx) }()
			for stats(t, rt).Steps == before {
				stdruntime.Gosched()
			}
			cancel(reason)
			err := <-ended
			cancelled(t, err)
			if !errors.Is(err, reason) {
				t.Fatal("without its cause:", err)
			}
		})
	}
	if !eventually(idle) {
		t.Fatal("the engine still runs what was cancelled")
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_, err := rt.Complete(ctx, long())
	cancelled(t, err)
}

func stats(t *testing.T, rt *Runtime) *EngineStats {
	t.Helper()
	return must(rt.Stats())(t).Endpoints[0].Engine
}

func TestDeadlines(t *testing.T) {
	rt := serve(t, storiesModel)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Millisecond)
	defer cancel()
	_, err := rt.Complete(ctx, long())
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	_, err = rt.Complete(context.Background(), long(), WithTimeout(time.Microsecond))
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	cut := long()
	cut.ErrorBehavior = "truncate"
	response := must(rt.Complete(context.Background(), cut, WithTimeout(time.Millisecond)))(t)
	if tokens := response.Usage.CompletionTokens; tokens >= 500 {
		t.Fatalf("%d tokens in a millisecond", tokens)
	}
}

func TestCancelLeavesWhatWasMade(t *testing.T) {
	rt := serve(t, storiesModel)
	whole := must(rt.Complete(ctx, long()))(t).Choices[0].Text
	stream := must(rt.SubmitCompletion(ctx, long()))(t)
	defer stream.Close()
	first := must(stream.Next())(t)
	stream.Cancel()
	rest, err := read(stream)
	if !errors.Is(err, ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if made := first.Text + rest; whole[:len(made)] != made {
		t.Fatalf("%q is not how %q begins", made, whole)
	}
	if _, err := stream.Wait(); !errors.Is(err, ErrCancelled) {
		t.Fatal(err)
	}
}

func TestBreakingOutOfALoopFrees(t *testing.T) {
	rt := serve(t, storiesModel)
	settled(t)
	for range 20 {
		for _, err := range rt.CompleteStream(ctx, long()) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if now := handles.Load(); now != 0 {
			t.Fatalf("%d handles are left behind the loop", now)
		}
	}
}

func TestNoGoroutineIsLeft(t *testing.T) {
	rt := serve(t, storiesModel)
	parent, cancel := context.WithCancel(ctx)
	defer cancel()
	must(rt.Complete(parent, short(1)))(t)
	before := stdruntime.NumGoroutine()
	for seed := range int64(30) {
		must(rt.Complete(parent, short(seed)))(t)
		child, cancel := context.WithCancel(parent)
		stream := must(rt.SubmitCompletion(child, long()))(t)
		cancel()
		stream.Close()
		must(rt.SubmitCompletion(parent, long()))(t).Close()
	}
	if !eventually(func() bool { return stdruntime.NumGoroutine() <= before }) {
		t.Fatalf("%d goroutines, %d before", stdruntime.NumGoroutine(), before)
	}
}

// Streams are closed, cancelled, read and waited for by others at the same time.
func TestFreeWhileRunning(t *testing.T) {
	rt := serve(t, storiesModel)
	for round := range 40 {
		stream := must(rt.SubmitCompletion(ctx, long()))(t)
		if round%2 == 0 {
			must(stream.Next())(t)
		}
		var all sync.WaitGroup
		do := func(function func() error) {
			all.Add(1)
			go func() {
				defer all.Done()
				if err := function(); err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrCancelled) && !errors.Is(err, ErrConflict) {
					t.Error(err)
				}
			}()
		}
		do(func() error { _, err := read(stream); return err })
		do(func() error { _, err := read(stream); return err })
		do(func() error { _, err := stream.Wait(); return err })
		do(func() error { _, err := stream.Timings(); return err })
		do(func() error { stream.Cancel(); return nil })
		do(stream.Close)
		do(stream.Close)
		all.Wait()
	}
}

func TestAThousandWaitWithoutAThousandThreads(t *testing.T) {
	const callers = 1000
	rt := serve(t, storiesModel, WithMaxQueue(callers))
	expected := must(rt.Complete(ctx, short(1)))(t).Choices[0].Text
	before, most := threads(t), 0
	failures := make(chan error)
	for range callers {
		go func() {
			stream, err := rt.SubmitCompletion(ctx, short(1))
			if err == nil {
				defer stream.Close()
				var text string
				if text, err = read(stream); err == nil && text != expected {
					err = fmt.Errorf("%q, alone %q", text, expected)
				}
			}
			failures <- err
		}()
	}
	for range callers {
		if err := <-failures; err != nil {
			t.Fatal(err)
		}
		most = max(most, threads(t))
	}
	t.Logf("%d threads before, at most %d while %d answers were made", before, most, callers)
	if most > before+100 {
		t.Fatalf("%d threads before, %d while %d answers were made", before, most, callers)
	}
}
