package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"
)

func TestAnErrorHasItsDetails(t *testing.T) {
	rt := serve(t, storiesModel)
	_, err := rt.Complete(ctx, CompletionRequest{Model: "m", Prompt: "x", Temperature: Ptr(9.0)})
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatal(err)
	}
	var body struct {
		Error struct{ Message, Param string }
	}
	if json.Unmarshal(failure.JSON, &body) != nil || body.Error.Param != "temperature" || body.Error.Message != failure.Message {
		t.Fatalf("%s", failure.JSON)
	}
	if failure.Code != ErrInvalidRequest || failure.Param != "temperature" || failure.Status != 400 || failure.Retryable || failure.RetryAfter >= 0 {
		t.Fatalf("%+v", failure)
	}
	_, err = rt.Complete(ctx, CompletionRequest{Model: "m", Prompt: "x", Extra: map[string]any{"magic": 1}})
	if !errors.As(err, &failure) || failure.Param != "magic" {
		t.Fatal("an unknown field:", err)
	}
	if _, err := rt.Complete(ctx, CompletionRequest{Model: "m", Prompt: make(chan int)}); err == nil {
		t.Fatal("a channel was accepted as a prompt")
	}
	if _, err := rt.Chat(ctx, ChatRequest{Model: "m", Messages: []Message{UserMessage("x")}}); !errors.Is(err, ErrUnsupported) {
		t.Fatal("a model without a chat template:", err)
	}
	for _, err := range rt.CompleteStream(ctx, CompletionRequest{Model: "nobody", Prompt: "x"}) {
		if !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
	}
}

func TestAFullQueueIsRetryable(t *testing.T) {
	rt := serve(t, storiesModel, WithMaxQueue(1), WithMaxSequences(1))
	var failure *Error
	for range 20 {
		stream, err := rt.SubmitCompletion(ctx, long())
		if errors.As(err, &failure) {
			break
		}
		defer stream.Close()
	}
	if failure == nil || failure.Code != ErrOverloaded || !failure.Retryable || failure.Status != 503 && failure.Status != 429 {
		t.Fatalf("%+v", failure)
	}
}

func TestRateLimitsSayWhenToComeBack(t *testing.T) {
	rt := serve(t, storiesModel)
	must(rt.Manage(ctx, "endpoint.set_limits", map[string]any{
		"name": "m", "limits": map[string]any{"principal": map[string]any{"queries_per_hour": 1}},
	}))(t)
	must(rt.Complete(ctx, short(1), WithPrincipal("greedy")))(t)
	_, err := rt.Complete(ctx, short(1), WithPrincipal("greedy"))
	var failure *Error
	if !errors.As(err, &failure) || failure.Code != ErrRateLimited || failure.RetryAfter <= 0 || failure.RetryAfter > 2*time.Hour {
		t.Fatalf("%+v", err)
	}
	must(rt.Complete(ctx, short(1), WithPrincipal("modest")))(t)
}

func TestCodes(t *testing.T) {
	for code, name := range map[Code]string{ErrNotFound: "not_found", ErrIO: "io", ErrInternal: "internal", 7777: "code_7777"} {
		if code.String() != name {
			t.Errorf("%d is %s", code, code)
		}
	}
	if !errors.Is(ErrCancelled, context.Canceled) || !errors.Is(ErrDeadlineExceeded, context.DeadlineExceeded) || errors.Is(ErrNotFound, context.Canceled) {
		t.Error("codes and errors of contexts")
	}
}
