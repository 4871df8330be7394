package runtime

// #include "bridge.h"
import "C"

import (
	"context"
	"strconv"
)

// Code says what kind of failure an [Error] is. It is an error itself, so that errors.Is(err, ErrNotFound) asks for it.
//
// Numbers are never reused; a later library may have codes that this package has no constant for.
type Code int32

// What can go wrong. The names of the library are the same with MR_E_ before them.
const (
	// ErrInvalidArgument: an argument breaks its contract, such as text that is not UTF-8.
	ErrInvalidArgument Code = C.MR_E_INVALID_ARGUMENT
	// ErrInvalidRequest: the request is malformed, or a field is missing, unknown, of the wrong type or out of range.
	ErrInvalidRequest Code = C.MR_E_INVALID_REQUEST
	// ErrContextLengthExceeded: prompt and max_tokens together exceed the context window or the cache.
	ErrContextLengthExceeded Code = C.MR_E_CONTEXT_LENGTH_EXCEEDED
	// ErrNotFound: there is no endpoint, file or operation of that name.
	ErrNotFound Code = C.MR_E_NOT_FOUND
	// ErrConflict: the name is taken, or the thing is in a state that forbids the call.
	ErrConflict Code = C.MR_E_CONFLICT
	// ErrUnsupported: understood, but nothing that this library or this model can do.
	ErrUnsupported Code = C.MR_E_UNSUPPORTED
	// ErrModelRetired: the model was retired; the message names the day and what to use instead.
	ErrModelRetired Code = C.MR_E_MODEL_RETIRED
	// ErrPermissionDenied: the caller may not use this, though others may.
	ErrPermissionDenied Code = C.MR_E_PERMISSION_DENIED
	// ErrInvalidModel: the model's files are damaged, truncated, contradictory or hostile.
	ErrInvalidModel Code = C.MR_E_INVALID_MODEL
	// ErrIO: reading or writing a file failed.
	ErrIO Code = C.MR_E_IO
	// ErrInsufficientMemory: the load or the request does not fit the memory budget.
	ErrInsufficientMemory Code = C.MR_E_INSUFFICIENT_MEMORY
	// ErrOverloaded: the queue is full; try again later.
	ErrOverloaded Code = C.MR_E_OVERLOADED
	// ErrCancelled: the request was cancelled. It is context.Canceled too.
	ErrCancelled Code = C.MR_E_CANCELLED
	// ErrDeadlineExceeded: the request's time was up. It is context.DeadlineExceeded too.
	ErrDeadlineExceeded Code = C.MR_E_DEADLINE_EXCEEDED
	// ErrShuttingDown: the endpoint or the runtime is going away.
	ErrShuttingDown Code = C.MR_E_SHUTTING_DOWN
	// ErrRateLimited: a rate limit is reached; [Error.RetryAfter] says after how long to try again.
	ErrRateLimited Code = C.MR_E_RATE_LIMITED
	// ErrCallback: a callback ended the call.
	ErrCallback Code = C.MR_E_CALLBACK
	// ErrInternal: a defect of the library. The call is lost, the process and the runtime go on.
	ErrInternal Code = C.MR_E_INTERNAL
)

var codeNames = map[Code]string{
	ErrInvalidArgument:       "invalid_argument",
	ErrInvalidRequest:        "invalid_request",
	ErrContextLengthExceeded: "context_length_exceeded",
	ErrNotFound:              "not_found",
	ErrConflict:              "conflict",
	ErrUnsupported:           "unsupported",
	ErrModelRetired:          "model_retired",
	ErrPermissionDenied:      "permission_denied",
	ErrInvalidModel:          "invalid_model",
	ErrIO:                    "io",
	ErrInsufficientMemory:    "insufficient_memory",
	ErrOverloaded:            "overloaded",
	ErrCancelled:             "cancelled",
	ErrDeadlineExceeded:      "deadline_exceeded",
	ErrShuttingDown:          "shutting_down",
	ErrRateLimited:           "rate_limited",
	ErrCallback:              "callback",
	ErrInternal:              "internal",
}

// String gives the code's name, such as "not_found"; "code_N" for one that this package does not know.
func (c Code) String() string {
	if name, known := codeNames[c]; known {
		return name
	}
	return "code_" + strconv.Itoa(int(c))
}

// Error is String: it makes a code an error.
func (c Code) Error() string { return c.String() }

// Is reports that ErrCancelled is context.Canceled and that ErrDeadlineExceeded is context.DeadlineExceeded.
func (c Code) Is(target error) bool {
	return c == ErrCancelled && target == context.Canceled || c == ErrDeadlineExceeded && target == context.DeadlineExceeded
}
