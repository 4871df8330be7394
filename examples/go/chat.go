package runtime

import (
	"context"
	"iter"
)

// Chat answers a conversation, all at once.
//
// When ctx ends, so does the request, and Chat returns at once with an error that is ctx.Err() to errors.Is. Other
// failures are [ErrInvalidRequest], [ErrContextLengthExceeded], [ErrNotFound] (no such endpoint), [ErrUnsupported] (a
// field, or a model without a chat template), [ErrOverloaded], [ErrRateLimited], [ErrModelRetired],
// [ErrPermissionDenied], [ErrDeadlineExceeded], [ErrShuttingDown] and [ErrInternal].
func (rt *Runtime) Chat(ctx context.Context, request ChatRequest, given ...RequestOption) (*ChatResponse, error) {
	text, err := body(request.Raw, request)
	if err != nil {
		return nil, err
	}
	return decode[ChatResponse](rt.whole(ctx, chatTask, text, given))
}

// ChatStream answers a conversation in pieces, for a range loop:
//
//	for event, err := range rt.ChatStream(ctx, request) {
//		if err != nil { ... }
//		fmt.Print(event.Text)
//	}
//
// The request is submitted when the loop begins; leaving the loop cancels and frees it. A failure, as of
// [Runtime.Chat], is the last element. For the whole response, timings and sessions see [Runtime.SubmitChat].
func (rt *Runtime) ChatStream(ctx context.Context, request ChatRequest, given ...RequestOption) iter.Seq2[Event[ChatChunk], error] {
	return events(func() (*Stream[ChatResponse, ChatChunk], error) { return rt.SubmitChat(ctx, request, given...) })
}

// SubmitChat begins to answer a conversation. ctx holds for the life of the stream. It fails as [Runtime.Chat] does, as
// far as that shows before the first token.
func (rt *Runtime) SubmitChat(ctx context.Context, request ChatRequest, given ...RequestOption) (*Stream[ChatResponse, ChatChunk], error) {
	text, err := body(request.Raw, request)
	if err != nil {
		return nil, err
	}
	return newStream[ChatResponse, ChatChunk](rt.submit(ctx, chatTask, false, text, given))
}

// Complete continues a text, all at once. It fails as [Runtime.Chat] does.
func (rt *Runtime) Complete(ctx context.Context, request CompletionRequest, given ...RequestOption) (*CompletionResponse, error) {
	text, err := body(request.Raw, request)
	if err != nil {
		return nil, err
	}
	return decode[CompletionResponse](rt.whole(ctx, completionTask, text, given))
}

// CompleteStream continues a text in pieces, for a range loop, as [Runtime.ChatStream] does.
func (rt *Runtime) CompleteStream(ctx context.Context, request CompletionRequest, given ...RequestOption) iter.Seq2[Event[CompletionChunk], error] {
	return events(func() (*Stream[CompletionResponse, CompletionChunk], error) {
		return rt.SubmitCompletion(ctx, request, given...)
	})
}

// SubmitCompletion begins to continue a text. ctx holds for the life of the stream. It fails as [Runtime.Chat] does, as
// far as that shows before the first token.
func (rt *Runtime) SubmitCompletion(ctx context.Context, request CompletionRequest, given ...RequestOption) (*Stream[CompletionResponse, CompletionChunk], error) {
	text, err := body(request.Raw, request)
	if err != nil {
		return nil, err
	}
	return newStream[CompletionResponse, CompletionChunk](rt.submit(ctx, completionTask, false, text, given))
}

// whole submits a request and waits for its whole answer. It is not the library's call for whole answers, because that can
// be neither cancelled nor waited for without a thread.
func (rt *Runtime) whole(ctx context.Context, what task, request []byte, given []RequestOption) ([]byte, error) {
	r, err := rt.submit(ctx, what, true, request, given)
	if err != nil {
		return nil, err
	}
	defer r.free()
	return r.wait()
}
