package runtime

// #include "bridge.h"
import "C"

import (
	"context"
	"encoding/json"
)

// BatchProgress is how far a run of many requests is.
type BatchProgress struct {
	// Read is the lines that were read, those without a request in them left out.
	Read uint64 `json:"read"`
	// Skipped lines had their result already when the run began.
	Skipped uint64 `json:"skipped"`
	// Done is the answers that were written.
	Done uint64 `json:"done"`
	// Failed is the errors that were written: of requests that were refused or have failed, and of lines that are no
	// requests.
	Failed uint64 `json:"failed"`
	// Running requests are being answered.
	Running int `json:"running"`
	// Waiting requests were refused for now, by a full queue or a limit, and are tried again later.
	Waiting int `json:"waiting"`
	// PromptTokens are those of the prompts of all answers.
	PromptTokens uint64 `json:"prompt_tokens"`
	// CompletionTokens are those of all answers.
	CompletionTokens uint64 `json:"completion_tokens"`
	// BytesRead of the file of requests.
	BytesRead uint64 `json:"bytes_read"`
	// BytesTotal of the file of requests; nil where that is not known, as of a pipe.
	BytesTotal *uint64 `json:"bytes_total"`
}

// BatchSummary is how a run of many requests ended.
type BatchSummary struct {
	BatchProgress
	// Complete says whether every request has its result.
	Complete bool `json:"complete"`
	// Raw is the whole as the library gave it.
	Raw json.RawMessage `json:"-"`
}

// UnmarshalJSON reads what the library says and keeps its text in Raw.
func (s *BatchSummary) UnmarshalJSON(data []byte) error {
	type plain BatchSummary
	return unmarshalRaw(data, (*plain)(s), &s.Raw)
}

// BatchOption changes a default of [Runtime.RunBatch].
type BatchOption func(*batchOptions)

type batchOptions struct {
	concurrency uint32
	order       int32
	requests    []RequestOption
	progress    func(BatchProgress)
}

// WithConcurrency bounds the requests that a run has in the runtime at once, at most 1024; by default 64. Each has a
// thread of the library that sleeps until its answer is there.
func WithConcurrency(requests uint32) BatchOption {
	return func(o *batchOptions) { o.concurrency = requests }
}

// WithResultsAsReady has each result written when it is ready. By default they are in the order of the requests.
func WithResultsAsReady() BatchOption { return func(o *batchOptions) { o.order = C.MR_ORDER_AS_READY } }

// WithEachRequest says something about every request of a run, such as a low [WithPriority], which lets others go before.
// A [WithTimeout] is that of each request.
func WithEachRequest(given ...RequestOption) BatchOption {
	return func(o *batchOptions) { o.requests = append(o.requests, given...) }
}

// WithBatchProgress has function called with how far the run is, on the goroutine that called [Runtime.RunBatch], whenever
// results were written and before the run waits for more. The run waits for it. To end the run, cancel its context.
func WithBatchProgress(function func(BatchProgress)) BatchOption {
	return func(o *batchOptions) { o.progress = function }
}

// RunBatch answers a file of requests, one in each line in the shape of the OpenAI batch API (chat, completions and
// embeddings, mixed), and writes a result for each into another file, which is made or continued. A request that fails has
// its error in its result; one that is refused for now, by a full queue or a limit, is tried again.
//
// When ctx ends, no new request is begun; those that run end and are written, and then RunBatch returns with an error that
// is ctx.Err() to errors.Is. It so returns later than ctx ends, by up to one answer; a [WithTimeout] for each request
// bounds that. A run that was ended, in whatever way, goes on where it was when it is run again with the same files.
//
// Other failures are [ErrNotFound] and [ErrIO] (files that cannot be read or written), [ErrInvalidRequest] (an option, or
// results of other requests), [ErrShuttingDown] and [ErrInsufficientMemory]. It keeps a thread for as long as it takes.
func (rt *Runtime) RunBatch(ctx context.Context, requests, results string, given ...BatchOption) (*BatchSummary, error) {
	if ctx.Err() != nil {
		return nil, contextError(ctx)
	}
	var o batchOptions
	for _, option := range given {
		option(&o)
	}
	// Not the deadline of ctx: it would become errors of single requests, which nobody does again.
	each := collected(o.requests)
	numbers := each.numbers()
	hear := func(text []byte) {
		var progress BatchProgress
		if o.progress != nil && json.Unmarshal(text, &progress) == nil {
			o.progress(progress)
		}
	}
	summary := new(BatchSummary)
	err := watched(ctx, hear, func(w *watch[[]byte]) error {
		return rt.ask(summary, func(native *C.mr_runtime, text **C.mr_text, failure **C.mr_error) C.mr_status {
			return C.mrgo_run_batch(native, chars(requests), size(requests), chars(results), size(results),
				C.uint32_t(o.concurrency), C.int32_t(o.order), &numbers, charsOrNil(each.principal), size(each.principal),
				charsOrNil(each.entity), size(each.entity), newHandle(w), text, failure)
		})
	})
	if err != nil {
		return nil, err
	}
	return summary, nil
}
