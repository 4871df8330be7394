package runtime

// #include "bridge.h"
import "C"

import (
	"encoding/json"
	"errors"
	"io"
	"iter"
	stdruntime "runtime"
	"time"
)

// Event is what is new in an answer: one or more chunks, all that had come when it was read.
type Event[Chunk any] struct {
	// Text is what the chunks add to the answer; where several answers were asked for, to the first of them. It never
	// holds a part of a character.
	Text string
	// Raw is the chunks in the OpenAI shape, as a JSON list.
	Raw json.RawMessage

	stream string
}

// ServerSent is the event as server-sent events, which a handler of HTTP writes as it is: "data: ", a chunk in the OpenAI
// shape and an empty line, for each chunk. Behind the last event goes [ServerSentDone], behind a failure
// [Error.ServerSent] instead.
func (e Event[Chunk]) ServerSent() string { return e.stream }

// ServerSentDone ends a complete answer among server-sent events: see [Event.ServerSent].
const ServerSentDone = C.MR_EVENT_STREAM_DONE

// Chunks reads Raw. Who needs the text alone does not pay for it.
func (e Event[Chunk]) Chunks() ([]Chunk, error) {
	var chunks []Chunk
	err := json.Unmarshal(e.Raw, &chunks)
	return chunks, err
}

// Stream is an answer that is being made: a Stream[ChatResponse, ChatChunk] or a
// Stream[CompletionResponse, CompletionChunk]. Its methods may be called from any goroutine, at the same time.
//
// The context that it was submitted with holds for its whole life: when it ends, so does the request, and what waits for
// it returns the context's error. Close a stream when it is no longer needed; one that is dropped is closed by the
// garbage collector.
type Stream[Response, Chunk any] struct {
	request *request
	cleanup stdruntime.Cleanup
}

func newStream[Response, Chunk any](r *request, err error) (*Stream[Response, Chunk], error) {
	if err != nil {
		return nil, err
	}
	s := &Stream[Response, Chunk]{request: r}
	// Freeing may wait for a callback or, as the last handle of a closed runtime, for a step.
	s.cleanup = stdruntime.AddCleanup(s, func(r *request) { go r.free() }, r)
	return s, nil
}

// Version is the exact version that answers, as the response's Model names it.
func (s *Stream[Response, Chunk]) Version() string { return s.request.version }

// Next waits for what is new in the answer. The error is io.EOF behind the last event, or what ended the request:
// [ErrCancelled], [ErrDeadlineExceeded], [ErrShuttingDown], [ErrInternal], [ErrClosed] or that of the context.
//
// Several goroutines may read one stream; each event goes to one of them.
func (s *Stream[Response, Chunk]) Next() (Event[Chunk], error) {
	defer stdruntime.KeepAlive(s)
	p, err := s.request.next()
	return Event[Chunk]{Text: p.text, Raw: p.json, stream: p.stream}, err
}

// Events is the rest of the stream for a range loop. A failure is its last element. Breaking out leaves the stream as it
// is: it can be read on, and must be closed.
func (s *Stream[Response, Chunk]) Events() iter.Seq2[Event[Chunk], error] {
	return func(yield func(Event[Chunk], error) bool) {
		for {
			event, err := s.Next()
			if err == io.EOF || !yield(event, err) || err != nil {
				return
			}
		}
	}
}

// Wait waits for the end and gives the whole response, whatever of it was read before. It fails as Next does.
func (s *Stream[Response, Chunk]) Wait() (*Response, error) {
	defer stdruntime.KeepAlive(s)
	return decode[Response](s.request.wait())
}

// Cancel asks the request to end: what was made until then can still be read, and then the error is [ErrCancelled]. A
// request that has ended stays as it is. It does not wait.
func (s *Stream[Response, Chunk]) Cancel() {
	s.request.cancel()
	stdruntime.KeepAlive(s)
}

// Close frees the request; one that still runs is cancelled. Whoever waits for it learns [ErrClosed], and so does who
// uses the stream later; only Version stays. It may be called more than once, and never fails.
func (s *Stream[Response, Chunk]) Close() error {
	s.cleanup.Stop()
	s.request.free()
	stdruntime.KeepAlive(s)
	return nil
}

// Timings says when things happened to a request.
type Timings struct {
	// Queued is how long it waited for its first step.
	Queued time.Duration
	// TimeToFirstToken is from submission to the first token; 0 if it had none.
	TimeToFirstToken time.Duration
	// Total is from submission to the end.
	Total time.Duration
	// Preemptions is how often it made way for others and was computed again.
	Preemptions int
}

// Timings says when things happened, once the request has ended well; before and otherwise the error is [ErrConflict].
func (s *Stream[Response, Chunk]) Timings() (Timings, error) {
	defer stdruntime.KeepAlive(s)
	text, err := s.request.text(func(native *C.mr_request, text **C.mr_text, failure **C.mr_error) C.mr_status {
		return C.mr_request_timings(native, text, failure)
	})
	if err != nil {
		return Timings{}, err
	}
	var t struct {
		Queued           float64 `json:"queued_seconds"`
		TimeToFirstToken float64 `json:"time_to_first_token_seconds"`
		Total            float64 `json:"total_seconds"`
		Preemptions      int     `json:"preemptions"`
	}
	if err := json.Unmarshal(text, &t); err != nil {
		return Timings{}, err
	}
	return Timings{seconds(t.Queued), seconds(t.TimeToFirstToken), seconds(t.Total), t.Preemptions}, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// SaveSession writes the conversation of one of the answers, from 0, into a file: its tokens, and what the endpoint's
// cache holds of them. See [Runtime.RestoreSession].
//
// It fails with [ErrConflict] (the request has not ended, or not well, or has no such answer), [ErrNotFound] (its endpoint
// or adapter is gone), [ErrUnsupported] (an endpoint without prefix sharing), [ErrIO] or [ErrInsufficientMemory]. The file
// is complete afterwards or as it was before.
func (s *Stream[Response, Chunk]) SaveSession(choice int, path string) error {
	defer stdruntime.KeepAlive(s)
	if choice < 0 {
		return &Error{Code: ErrInvalidArgument, Message: "choice is negative", Param: "choice", Status: 400, RetryAfter: -1}
	}
	return s.request.use(func(native *C.mr_request) error {
		var failure *C.mr_error
		status := C.mr_request_save_session(native, C.size_t(choice), chars(path), size(path), &failure)
		return s.request.closedOr(takeError(status, failure))
	})
}

// events submits a request when it is ranged over, and frees it behind the loop, however that ends.
func events[Response, Chunk any](submit func() (*Stream[Response, Chunk], error)) iter.Seq2[Event[Chunk], error] {
	return func(yield func(Event[Chunk], error) bool) {
		stream, err := submit()
		if err != nil {
			yield(Event[Chunk]{}, err)
			return
		}
		defer stream.Close()
		stream.Events()(yield)
	}
}

func decode[Response any](text []byte, err error) (*Response, error) {
	if err != nil {
		return nil, err
	}
	response := new(Response)
	if err := json.Unmarshal(text, response); err != nil {
		return nil, errors.Join(errors.New("model runtime: a response cannot be read"), err)
	}
	return response, nil
}
