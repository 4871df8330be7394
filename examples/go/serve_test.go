package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	stdruntime "runtime"
	"strings"
	"testing"
)

func TestServeAndPlanAndRemove(t *testing.T) {
	rt := must(New(WithMemoryBudget(64 << 20)))(t)
	defer rt.Close()
	plan := must(rt.Plan(storiesModel, WithContextLength(128), WithCacheType(CacheF32)))(t)
	if plan.ContextLength != 128 || plan.TotalBytes == 0 || plan.AvailableBytes == nil || *plan.AvailableBytes != 64<<20 {
		t.Fatalf("%s", plan.Raw)
	}
	var phases []Phase
	var last Progress
	info := must(rt.Serve(ctx, "größe 1", storiesModel, WithContextLength(128), WithCacheType(CacheF32), WithVersion("stories@é"),
		WithThreads(2), WithCompute(ComputeF32), WithAffinity(0, 1),
		WithProgress(func(p Progress) { phases, last = append(phases, p.Phase), p })))(t)
	if info.Name != "größe 1" || info.Version != "stories@é" || info.ContextLength != 128 || info.Plan.TotalBytes != plan.TotalBytes {
		t.Fatalf("%s", info.Raw)
	}
	if len(phases) < 2 || last.Phase != PhaseWeights || last.Done != last.Total {
		t.Fatalf("%v, %+v", phases, last)
	}
	if endpoints := must(rt.Endpoints())(t); len(endpoints) != 1 || string(endpoints[0].Raw) != string(info.Raw) {
		t.Fatalf("%+v", endpoints)
	}
	// Where nobody names the version, the files do.
	phases = nil
	must(rt.Serve(ctx, "digest", storiesModel, WithContextLength(64), WithProgress(func(p Progress) { phases = append(phases, p.Phase) })))(t)
	if phases[0] != PhaseDigest || phases[len(phases)-1] != PhaseWeights {
		t.Fatalf("%v", phases)
	}
	if _, err := rt.Serve(ctx, "größe 1", storiesModel); !errors.Is(err, ErrConflict) {
		t.Fatal(err)
	}
	if err := rt.Remove("größe 1"); err != nil {
		t.Fatal(err)
	}
	if err := rt.Remove("größe 1"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := rt.Plan(storiesModel, WithBackend(99)); !errors.Is(err, ErrInvalidArgument) {
		t.Fatal(err)
	}
}

func TestCancelEndsALoad(t *testing.T) {
	rt := must(New())(t)
	defer rt.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	calls := 0
	_, err := rt.Serve(ctx, "m", storiesModel, WithProgress(func(Progress) { calls++; cancel() }))
	cancelled(t, err)
	if calls != 1 || len(must(rt.Endpoints())(t)) != 0 {
		t.Fatalf("%d calls, %v", calls, must(rt.Endpoints())(t))
	}
	_, err = rt.Serve(ctx, "m", storiesModel)
	cancelled(t, err)
}

// Neither a panic nor the end of the goroutine in the user's function goes through the library.
func TestAPanicInProgressReachesTheCaller(t *testing.T) {
	rt := must(New())(t)
	defer rt.Close()
	func() {
		defer func() {
			if reason := recover(); reason != "no" {
				t.Errorf("recovered %v", reason)
			}
		}()
		_, _ = rt.Serve(ctx, "m", storiesModel, WithProgress(func(Progress) { panic("no") }))
	}()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = rt.Serve(ctx, "m", storiesModel, WithProgress(func(Progress) { stdruntime.Goexit() }))
	}()
	<-ended
	must(rt.Serve(ctx, "m", storiesModel))(t)
}

func TestManage(t *testing.T) {
	rt := must(New(WithDatabase(filepath.Join(t.TempDir(), "models.sqlite"))))(t)
	defer rt.Close()
	must(rt.Manage(ctx, "registry.create_model", map[string]any{"name": "main.chat.teller", "by": "me"}))(t)
	models := must(rt.Manage(ctx, "registry.models", nil))(t)
	if !strings.Contains(string(models), "main.chat.teller") {
		t.Fatalf("%s", models)
	}
	if _, err := rt.Manage(ctx, "registry.models", json.RawMessage(`{"nonsense": 1}`)); !errors.Is(err, ErrInvalidRequest) {
		t.Fatal(err)
	}
	if _, err := rt.Manage(ctx, "registry.dance", nil); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_, err := rt.Manage(ctx, "registry.models", nil)
	cancelled(t, err)
}

func TestARuntimeThatCannotBeMade(t *testing.T) {
	settled(t)
	_, err := New(WithDatabase(filepath.Join(t.TempDir(), "no", "such", "folder.sqlite")), WithClock(new(frozen)),
		WithLifecycleListener(func(LifecycleEvent) {}))
	if !errors.Is(err, ErrNotFound) || handles.Load() != 0 {
		t.Fatalf("%v; %d handles are left", err, handles.Load())
	}
	if _, err := New(WithCatalog("[[")); !errors.Is(err, ErrInvalidRequest) {
		t.Fatal(err)
	}
}
