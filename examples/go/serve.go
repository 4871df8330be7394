package runtime

// #include "bridge.h"
import "C"

import (
	"context"
	"strconv"
	"unsafe"
)

// Phase is what a load is doing.
type Phase int32

const (
	// PhaseDigest: the files are read to name their exact version.
	PhaseDigest Phase = C.MR_PHASE_DIGEST
	// PhaseWeights: the weights are read.
	PhaseWeights Phase = C.MR_PHASE_WEIGHTS
)

// String gives "digest", "weights", or "phase N" for one that a later library names.
func (p Phase) String() string {
	switch p {
	case PhaseDigest:
		return "digest"
	case PhaseWeights:
		return "weights"
	}
	return "phase " + strconv.Itoa(int(p))
}

// Progress is how far a load has come.
type Progress struct {
	// Phase is what is being read.
	Phase Phase
	// Done and Total are bytes, of this phase.
	Done, Total uint64
}

// Serve loads a model, a folder in the Hugging Face layout or a GGUF file, and serves it under a name, which requests
// give as Model. It returns when the model is loaded; other endpoints go on answering meanwhile.
//
// If ctx ends first, the load ends at the next piece that it reads, nothing is left behind, and the error is that of ctx.
// Other failures are [ErrNotFound], [ErrIO], [ErrInvalidModel], [ErrUnsupported], [ErrConflict] (the name is taken),
// [ErrInsufficientMemory] and [ErrInvalidRequest] (options that contradict each other or the model).
func (rt *Runtime) Serve(ctx context.Context, name, model string, given ...ServeOption) (*EndpointInfo, error) {
	if ctx.Err() != nil {
		return nil, contextError(ctx)
	}
	o := serving(given)
	numbers := o.numbers()
	info := new(EndpointInfo)
	hear := func(progress Progress) {
		if o.progress != nil {
			o.progress(progress)
		}
	}
	err := watched(ctx, hear, func(w *watch[Progress]) error {
		return rt.ask(info, func(native *C.mr_runtime, text **C.mr_text, failure **C.mr_error) C.mr_status {
			return C.mrgo_serve(native, chars(name), size(name), chars(model), size(model), &numbers,
				charsOrNil(o.version), size(o.version), charsOrNil(o.chatTemplate), size(o.chatTemplate),
				cores(o.affinity), C.size_t(len(o.affinity)), newHandle(w), text, failure)
		})
	})
	if err != nil {
		return nil, err
	}
	return info, nil
}

// Plan says what serving a model would cost. It reads the headers of the files only. It fails as [Runtime.Serve] does;
// of a plan that does not fit the memory budget the message names the largest context that would.
func (rt *Runtime) Plan(model string, given ...ServeOption) (*Plan, error) {
	o := serving(given)
	numbers := o.numbers()
	plan := new(Plan)
	err := rt.ask(plan, func(native *C.mr_runtime, text **C.mr_text, failure **C.mr_error) C.mr_status {
		return C.mrgo_plan(native, chars(model), size(model), &numbers, charsOrNil(o.version), size(o.version),
			charsOrNil(o.chatTemplate), size(o.chatTemplate), cores(o.affinity), C.size_t(len(o.affinity)), text, failure)
	})
	if err != nil {
		return nil, err
	}
	return plan, nil
}

func cores(numbers []uint32) *C.uint32_t {
	return (*C.uint32_t)(unsafe.Pointer(unsafe.SliceData(numbers)))
}

// LoadAdapter loads an adapter of low rank (LoRA), a folder as PEFT saves it, beside the model of an endpoint, which goes
// on answering. Requests choose it by their field Adapter, each its own.
//
// It fails with [ErrNotFound], [ErrIO], [ErrInvalidModel], [ErrInvalidRequest] (a name that is not accepted),
// [ErrUnsupported] (an encoder), [ErrConflict] (the name is taken) or [ErrInsufficientMemory].
func (rt *Runtime) LoadAdapter(endpoint, name, path string) (*AdapterInfo, error) {
	info := new(AdapterInfo)
	err := rt.ask(info, func(native *C.mr_runtime, text **C.mr_text, failure **C.mr_error) C.mr_status {
		return C.mr_runtime_load_adapter(native, chars(endpoint), size(endpoint), chars(name), size(name), chars(path),
			size(path), text, failure)
	})
	if err != nil {
		return nil, err
	}
	return info, nil
}

// UnloadAdapter takes an adapter away. Requests that run finish with what they began with.
func (rt *Runtime) UnloadAdapter(endpoint, name string) error {
	return rt.use(func(native *C.mr_runtime) error {
		var failure *C.mr_error
		status := C.mr_runtime_unload_adapter(native, chars(endpoint), size(endpoint), chars(name), size(name), &failure)
		return takeError(status, failure)
	})
}

// RestoreSession puts a conversation that [Stream.SaveSession] wrote into the cache of an endpoint that serves the same
// model in the same way, and says how many tokens from its beginning need not be computed again. The next request that
// begins with it finds it there.
//
// It fails with [ErrInvalidRequest] (no session, or a damaged one), [ErrConflict] (one of another model or cache),
// [ErrNotFound], [ErrUnsupported], [ErrOverloaded] or [ErrIO].
func (rt *Runtime) RestoreSession(endpoint, path string) (cachedTokens int, err error) {
	err = rt.use(func(native *C.mr_runtime) error {
		var failure *C.mr_error
		var tokens C.size_t
		status := C.mr_runtime_restore_session(native, chars(endpoint), size(endpoint), chars(path), size(path), &tokens, &failure)
		cachedTokens = int(tokens)
		return takeError(status, failure)
	})
	return cachedTokens, err
}
