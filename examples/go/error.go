package runtime

// #include "bridge.h"
import "C"

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrClosed is the error of calls on a [Runtime], [Stream] or [Embeddings] that was closed.
var ErrClosed = errors.New("model runtime: already closed")

// Error is a failure that the library reports. errors.Is compares it with a [Code]; errors.As gets its details:
//
//	var failure *runtime.Error
//	if errors.As(err, &failure) && failure.Retryable { ... }
type Error struct {
	// Code is what kind of failure it is.
	Code Code
	// Message is one line for people: the thing, the value and what would be accepted.
	Message string
	// Param is the field or parameter at fault, as a path such as messages[0].content; empty if none is.
	Param string
	// Status is the HTTP status that a hosted API would answer with, 400 to 599.
	Status int
	// Retryable says whether the same call can succeed later without being changed.
	Retryable bool
	// RetryAfter is after how long trying again makes sense; negative if that is not known.
	RetryAfter time.Duration
	// JSON is the error in the OpenAI shape, {"error":{"message","type","param","code"}}.
	JSON json.RawMessage
}

// Error gives the message behind the code's name.
func (e *Error) Error() string { return fmt.Sprintf("model runtime: %v: %s", e.Code, e.Message) }

// ServerSent is the error as a server-sent event, which ends an answer that has begun in place of [ServerSentDone].
func (e *Error) ServerSent() string { return "data: " + string(e.JSON) + "\n\n" }

// Unwrap gives the code, for errors.Is.
func (e *Error) Unwrap() error { return e.Code }

// readError copies what a lent error says.
func readError(native *C.mr_error) *Error {
	var fields C.mrgo_error_fields
	C.mrgo_error_read(native, &fields)
	e := &Error{
		Code:       Code(fields.code),
		Message:    copyString(fields.message, fields.message_len),
		Param:      copyString(fields.param, fields.param_len),
		Status:     int(fields.status),
		Retryable:  fields.retryable != 0,
		RetryAfter: -1,
		JSON:       copyBytes(fields.json, fields.json_len),
	}
	if fields.retry_after_ms >= 0 {
		e.RetryAfter = time.Duration(fields.retry_after_ms) * time.Millisecond
	}
	return e
}

// takeError makes a Go error of an owned one, which is freed; nil if the status is no failure.
func takeError(status C.mr_status, native *C.mr_error) error {
	if status < C.MR_E_INVALID_ARGUMENT {
		return nil
	}
	defer C.mr_error_free(native)
	if native == nil {
		return &Error{Code: Code(status), Message: "the library gave no details", Status: 500, RetryAfter: -1}
	}
	return readError(native)
}

// contextError is the error of a call that ended because its context did: it is ctx.Err(), the context's cause where there
// is one, and the code that the library has for it.
func contextError(ctx context.Context) error {
	code := ErrCancelled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		code = ErrDeadlineExceeded
	}
	return &ended{code, ctx.Err(), context.Cause(ctx)}
}

// ended is what contextError makes.
type ended struct {
	code       Code
	err, cause error
}

func (e *ended) Error() string { return "model runtime: " + e.cause.Error() }

func (e *ended) Unwrap() []error { return []error{e.err, e.cause, e.code} }
