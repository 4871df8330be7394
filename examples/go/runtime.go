package runtime

// #include "bridge.h"
import "C"

import (
	"context"
	"encoding/json"
	"fmt"
	stdruntime "runtime"
	"sync"
)

// Runtime serves models under endpoint names. All its methods may be called from any goroutine, at the same time.
type Runtime struct {
	native   *reference
	ownClock bool
	cleanup  stdruntime.Cleanup
}

// New makes a runtime that serves nothing yet.
//
// Close it when it is no longer needed. One that is dropped without Close is closed by the garbage collector, which does
// not know how much memory its models take.
//
// It fails if an option is not accepted or the database cannot be opened; see [Code].
func New(given ...Option) (*Runtime, error) {
	if library := uint32(C.mr_abi_version()); library != C.MR_ABI_VERSION {
		return nil, fmt.Errorf("model runtime: the library's binary interface is %d; this package needs %d", library, C.MR_ABI_VERSION)
	}
	var o options
	for _, option := range given {
		option(&o)
	}
	// The library frees the handles, also when it fails.
	var clock, news C.uintptr_t
	if o.clock != nil {
		clock = newHandle(o.clock)
	}
	if o.listener != nil {
		news = newHandle(&listener{function: o.listener})
	}
	var native *C.mr_runtime
	var failure *C.mr_error
	status := C.mrgo_new(C.uint64_t(o.memoryBudget), charsOrNil(o.database), size(o.database), charsOrNil(o.catalog), size(o.catalog),
		clock, news, &native, &failure)
	if err := takeError(status, failure); err != nil {
		return nil, err
	}
	rt := &Runtime{native: &reference{runtime: native}, ownClock: o.clock != nil}
	// Releasing may wait for a step of the engine; cleanups of others must not.
	rt.cleanup = stdruntime.AddCleanup(rt, func(native *reference) { go native.release() }, rt.native)
	return rt, nil
}

// Close gives the runtime up. Later calls fail with [ErrClosed]; calls that run go on. Requests whose [Stream] or
// [Embeddings] is still open go on too, and when the last of them is closed the runtime ends and its memory is free.
//
// It may be called more than once, and waits for about one step of the engine. It never fails.
func (rt *Runtime) Close() error {
	rt.cleanup.Stop()
	rt.native.release()
	stdruntime.KeepAlive(rt)
	return nil
}

// reference is the package's reference to a runtime of the library. Each call takes one of its own, so that Close need
// not wait for calls.
type reference struct {
	mu      sync.RWMutex
	runtime *C.mr_runtime
}

func (r *reference) retain() (*C.mr_runtime, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.runtime == nil {
		return nil, ErrClosed
	}
	C.mr_runtime_retain(r.runtime)
	return r.runtime, nil
}

func (r *reference) release() {
	r.mu.Lock()
	native := r.runtime
	r.runtime = nil
	r.mu.Unlock()
	C.mr_runtime_release(native)
}

// use calls function with a reference to the library's runtime, which it has for as long as it runs.
func (rt *Runtime) use(function func(*C.mr_runtime) error) error {
	native, err := rt.native.retain()
	stdruntime.KeepAlive(rt)
	if err != nil {
		return err
	}
	defer C.mr_runtime_release(native)
	return function(native)
}

// ask is use for functions of the library that give JSON, which is read into response if that is not nil.
func (rt *Runtime) ask(response any, function func(*C.mr_runtime, **C.mr_text, **C.mr_error) C.mr_status) error {
	var text []byte
	err := rt.use(func(native *C.mr_runtime) error {
		var answer *C.mr_text
		var failure *C.mr_error
		status := function(native, &answer, &failure)
		if err := takeError(status, failure); err != nil {
			return err
		}
		text = takeText(answer)
		return nil
	})
	if err != nil {
		return err
	}
	return json.Unmarshal(text, response)
}

// Remove takes an endpoint away. Its requests end with [ErrShuttingDown], its memory is given back. It fails with
// [ErrNotFound], or with [ErrConflict] while the endpoint is being loaded.
func (rt *Runtime) Remove(name string) error {
	return rt.use(func(native *C.mr_runtime) error {
		var failure *C.mr_error
		return takeError(C.mr_runtime_remove(native, chars(name), size(name), &failure), failure)
	})
}

// Endpoints says what is served, in order of name.
func (rt *Runtime) Endpoints() ([]EndpointInfo, error) {
	var endpoints []EndpointInfo
	err := rt.ask(&endpoints, func(native *C.mr_runtime, text **C.mr_text, failure **C.mr_error) C.mr_status {
		return C.mr_runtime_endpoints(native, text, failure)
	})
	return endpoints, err
}

// Stats says what the runtime is doing.
func (rt *Runtime) Stats() (*Stats, error) {
	stats := new(Stats)
	err := rt.ask(stats, func(native *C.mr_runtime, text **C.mr_text, failure **C.mr_error) C.mr_status {
		return C.mr_runtime_stats(native, text, failure)
	})
	if err != nil {
		return nil, err
	}
	return stats, nil
}

// Manage does one of the library's operations, such as "registry.register" or "usage.records": those on registered
// models, endpoints with several models, updates, retirements, limits and usage, as the documentation of the Rust module
// management has them.
//
// request is marshalled; a json.RawMessage goes to the library as it is, and nil is an empty object. The answer is JSON,
// "null" where there is nothing to say.
//
// The library does an operation as a whole or not at all, and cannot be interrupted in it: ctx is looked at before it
// begins, and then Manage returns when it is done, which for those that load or hash a model may take minutes.
func (rt *Runtime) Manage(ctx context.Context, operation string, request any) (json.RawMessage, error) {
	var text []byte
	switch given := request.(type) {
	case nil:
	case json.RawMessage:
		text = given
	default:
		var err error
		if text, err = marshal(request); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, contextError(ctx)
	}
	var response json.RawMessage
	err := rt.ask(&response, func(native *C.mr_runtime, answer **C.mr_text, failure **C.mr_error) C.mr_status {
		return C.mr_runtime_manage(native, chars(operation), size(operation), byteChars(text), size(text), answer, failure)
	})
	return response, err
}
