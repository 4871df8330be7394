package runtime

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// frozen is a clock that is set.
type frozen struct {
	mu  sync.Mutex
	now time.Time
}

func (c *frozen) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *frozen) Monotonic() time.Duration { return c.Now().Sub(time.Unix(0, 0)) }

func (c *frozen) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// A model of the built-in facts retires: on its last day it answers and says so, then it is an error.
func TestAModelRetires(t *testing.T) {
	const endpoint = "databricks-dbrx-instruct"
	clock := &frozen{now: time.Date(2025, 4, 30, 23, 59, 59, 0, time.UTC)}
	news := make(chan LifecycleEvent, 8)
	rt := must(New(WithClock(clock), WithLifecycleListener(func(event LifecycleEvent) { news <- event })))(t)
	defer rt.Close()
	must(rt.Manage(ctx, "endpoint.serve", map[string]any{
		"name": endpoint, "offering": "pay_per_token", "entities": []any{map[string]any{"model": storiesModel}},
	}))(t)
	ask := short(1)
	ask.Model = endpoint
	told := must(rt.Complete(ctx, ask, WithLifecycle(), WithPrincipal("anna")))(t)
	if len(told.Lifecycle) == 0 || told.Created != clock.Now().Unix() {
		t.Fatalf("%s", told.Raw)
	}
	if event := <-news; event.Key.State != "announced" || event.Key.Principal != "anna" || event.Message == "" || len(event.Status) == 0 {
		t.Fatalf("%s", event.Raw)
	}
	clock.set(clock.Now().Add(time.Second))
	if _, err := rt.Complete(ctx, ask, WithPrincipal("anna")); !errors.Is(err, ErrModelRetired) {
		t.Fatal(err)
	}
	if event := <-news; event.Key.State != "retired" {
		t.Fatalf("%s", event.Raw)
	}
}

// The listener may take its time and use the runtime, even close it.
func TestAListenerMayCloseItsRuntime(t *testing.T) {
	var rt *Runtime
	heard := make(chan error, 8)
	rt = must(New(WithClock(&frozen{now: time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC)}), WithLifecycleListener(func(LifecycleEvent) {
		heard <- rt.Close()
	})))(t)
	must(rt.Manage(ctx, "endpoint.serve", map[string]any{
		"name": "databricks-dbrx-instruct", "offering": "pay_per_token", "entities": []any{map[string]any{"model": storiesModel}},
	}))(t)
	ask := short(1)
	ask.Model = "databricks-dbrx-instruct"
	must(rt.Complete(ctx, ask))(t)
	if err := <-heard; err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Complete(ctx, ask); err != ErrClosed {
		t.Fatal(err)
	}
}

// broken is a clock that panics.
type broken struct{ frozen }

func (*broken) Now() time.Time { panic("the clock fell down") }

// A panic in a clock ends the process as any other does: with its message, and not by way of the library's frames, where
// somebody's recover would go on with locks that are held.
func TestAPanicInAClock(t *testing.T) {
	if os.Getenv("MODEL_RUNTIME_BROKEN_CLOCK") != "" {
		defer func() {
			_ = recover()
			os.Exit(0)
		}()
		rt := must(New(WithClock(new(broken))))(t)
		must(rt.Serve(ctx, "m", storiesModel))(t)
		_, _ = rt.Complete(ctx, short(1))
		os.Exit(0)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestAPanicInAClock$")
	child.Env = append(os.Environ(), "MODEL_RUNTIME_BROKEN_CLOCK=1")
	said, err := child.CombinedOutput()
	var status *exec.ExitError
	if !errors.As(err, &status) || status.ExitCode() != 2 || !strings.Contains(string(said), "the clock fell down") {
		t.Fatalf("%v\n%s", err, said)
	}
}
