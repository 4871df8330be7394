package runtime

// #include "bridge.h"
import "C"

import (
	"context"
	"errors"
	"io"
	"sync"
)

// task is what a request asks for.
type task C.int32_t

const (
	chatTask       task = C.MRGO_CHAT
	completionTask task = C.MRGO_COMPLETION
)

// piece is what an event of the library adds to an answer.
type piece struct {
	text   string
	json   []byte
	stream string
}

// request is a running request. The library's one thread for callbacks puts events into its queue and goes on, and
// goroutines wait at Go channels: however many wait, none holds a thread of the operating system. The queue holds at most
// one answer, which its max_tokens bounds.
//
// The library refers to it until the request has ended or is freed. It does not refer to the Stream that the user has, so
// that this can be collected, and the request with it, while the answer is still being made.
type request struct {
	ctx     context.Context
	version string
	// Has an element when there may be news for a reader.
	news chan struct{}
	// Closed behind the last event, and when the request is freed.
	ended chan struct{}
	// Ends the watch over ctx.
	unwatch func() bool

	mu     sync.Mutex
	pieces []piece
	// The last event has come.
	isOver bool
	// What the request ended with, if not well.
	failure error
	// What the library calls it: a number in disguise, which is safe to use when the request has been freed meanwhile.
	// nil when it is freed. cgo keeps such pointers to incomplete types out of the collector's sight.
	native *C.mr_request
}

// submit begins a request. One for a whole answer has no pieces to read, only its end.
func (rt *Runtime) submit(ctx context.Context, what task, whole bool, json []byte, given []RequestOption) (*request, error) {
	if ctx.Err() != nil {
		return nil, contextError(ctx)
	}
	o := rt.requested(ctx, given)
	numbers := o.numbers()
	if whole {
		numbers.whole = 1
	}
	r := &request{ctx: ctx, news: make(chan struct{}, 1), ended: make(chan struct{})}
	err := rt.use(func(native *C.mr_runtime) error {
		var failure *C.mr_error
		var submitted *C.mr_request
		var version *C.char
		var length C.size_t
		status := C.mrgo_submit(C.int32_t(what), native, byteChars(json), size(json), &numbers, charsOrNil(o.principal),
			size(o.principal), charsOrNil(o.entity), size(o.entity), newHandle(r), &submitted, &version, &length,
			&failure)
		if err := takeError(status, failure); err != nil {
			return err
		}
		r.version = copyString(version, length)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.native = submitted
		if !r.isOver {
			r.unwatch = context.AfterFunc(ctx, r.cancel)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// add is called on the library's thread, as end is.
func (r *request) add(p piece) {
	r.mu.Lock()
	r.pieces = append(r.pieces, p)
	r.mu.Unlock()
	r.wake()
}

func (r *request) end(failure error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isOver {
		return
	}
	r.isOver, r.failure = true, failure
	if r.unwatch != nil {
		r.unwatch()
	}
	close(r.ended)
}

func (r *request) wake() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// next waits for a piece; io.EOF is the good end. Several goroutines may read; each piece goes to one of them.
func (r *request) next() (piece, error) {
	for {
		r.mu.Lock()
		over := r.isOver
		if !over && r.ctx.Err() != nil {
			r.mu.Unlock()
			return piece{}, contextError(r.ctx)
		}
		if len(r.pieces) > 0 {
			first := r.pieces[0]
			r.pieces[0] = piece{}
			r.pieces = r.pieces[1:]
			more := len(r.pieces) > 0
			r.mu.Unlock()
			if more {
				r.wake()
			}
			return first, nil
		}
		r.mu.Unlock()
		if over {
			if err := r.outcome(); err != nil {
				return piece{}, err
			}
			return piece{}, io.EOF
		}
		select {
		case <-r.news:
		case <-r.ended:
		case <-r.ctx.Done():
		}
	}
}

// wait waits for the end and gives the whole answer.
func (r *request) wait() ([]byte, error) {
	select {
	case <-r.ended:
	default:
		select {
		case <-r.ended:
		case <-r.ctx.Done():
			return nil, contextError(r.ctx)
		}
	}
	if err := r.outcome(); err != nil {
		return nil, err
	}
	return r.text(func(native *C.mr_request, text **C.mr_text, failure **C.mr_error) C.mr_status {
		// The answer is there; this waits no longer than the callback needs to return.
		return C.mr_request_wait(native, C.MR_WAIT_FOREVER, text, failure)
	})
}

// outcome is what a request ended with. Where its context ended it, that is the error: the library's "cancelled" is
// only the echo.
func (r *request) outcome() error {
	r.mu.Lock()
	failure := r.failure
	r.mu.Unlock()
	if errors.Is(failure, ErrCancelled) && r.ctx.Err() != nil {
		return contextError(r.ctx)
	}
	return failure
}

// use calls function with the library's request.
func (r *request) use(function func(native *C.mr_request) error) error {
	r.mu.Lock()
	native := r.native
	r.mu.Unlock()
	if native == nil {
		return ErrClosed
	}
	return function(native)
}

// text is use for functions that give text. That the request is freed meanwhile is no failure of the call's own.
func (r *request) text(function func(*C.mr_request, **C.mr_text, **C.mr_error) C.mr_status) ([]byte, error) {
	var text []byte
	err := r.use(func(native *C.mr_request) error {
		var answer *C.mr_text
		var failure *C.mr_error
		status := function(native, &answer, &failure)
		if err := takeError(status, failure); err != nil {
			return r.closedOr(err)
		}
		text = takeText(answer)
		return nil
	})
	return text, err
}

// closedOr is ErrClosed where the request was freed while the library was asked, else the library's error.
func (r *request) closedOr(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.native == nil && err != nil {
		return ErrClosed
	}
	return err
}

// cancel asks the request to end, and returns at once.
func (r *request) cancel() {
	_ = r.use(func(native *C.mr_request) error {
		C.mr_request_cancel(native)
		return nil
	})
}

// free gives the request back to the library; what still runs is cancelled. Whoever waits for it learns ErrClosed.
func (r *request) free() {
	r.mu.Lock()
	native := r.native
	r.native = nil
	r.mu.Unlock()
	if native == nil {
		return
	}
	// Not under the lock: this waits for a callback that runs, and the callback takes the lock.
	C.mr_request_free(native)
	r.end(ErrClosed)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pieces, r.failure = nil, ErrClosed
}
