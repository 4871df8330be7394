package runtime

// #include "bridge.h"
import "C"

import (
	"runtime/cgo"
	"sync/atomic"
)

// The functions that C calls. There is one of each kind, whatever the number of requests: the first argument is the
// cgo.Handle of what is meant. Nothing of the user's runs in them but a Clock; no panic may leave them, because it would
// unwind through the library.

// handles counts what the library refers to, so that tests see that it lets go of everything.
var handles atomic.Int64

// newHandle gives the library a number for value, which it gives back by mrgoFree, once, whatever happens.
func newHandle(value any) C.uintptr_t {
	handles.Add(1)
	return C.uintptr_t(cgo.NewHandle(value))
}

//export mrgoFree
func mrgoFree(handle C.uintptr_t) {
	cgo.Handle(handle).Delete()
	handles.Add(-1)
}

//export mrgoClock
func mrgoClock(handle C.uintptr_t, which C.int32_t) C.int64_t {
	return C.int64_t(readClock(cgo.Handle(handle).Value().(Clock), int32(which)))
}

//export mrgoLifecycle
func mrgoLifecycle(handle C.uintptr_t, event *C.char, length C.size_t) {
	cgo.Handle(handle).Value().(*listener).hear(copyBytes(event, length))
}

//export mrgoProgress
func mrgoProgress(handle C.uintptr_t, phase C.int32_t, done, total C.uint64_t) C.int32_t {
	return answer(cgo.Handle(handle).Value().(*watch[Progress]).report(Progress{Phase(phase), uint64(done), uint64(total)}))
}

//export mrgoBatch
func mrgoBatch(handle C.uintptr_t, progress *C.char, length C.size_t) C.int32_t {
	return answer(cgo.Handle(handle).Value().(*watch[[]byte]).report(copyBytes(progress, length)))
}

// answer is what tells the library whether to go on.
func answer(goOn bool) C.int32_t {
	if goOn {
		return 0
	}
	return 1
}

//export mrgoVectors
func mrgoVectors(handle C.uintptr_t) { close(cgo.Handle(handle).Value().(chan struct{})) }

// The texts and the error are lent.
//
//export mrgoEvent
func mrgoEvent(handle C.uintptr_t, kind C.int32_t, text *C.char, textLen C.size_t, json *C.char, jsonLen C.size_t, stream *C.char, streamLen C.size_t, failure *C.mr_error) {
	r := cgo.Handle(handle).Value().(*request)
	switch kind {
	case C.MR_EVENT_CHUNKS:
		r.add(piece{copyString(text, textLen), copyBytes(json, jsonLen), copyString(stream, streamLen)})
	case C.MR_EVENT_FINISHED:
		r.end(nil)
	case C.MR_EVENT_FAILED:
		r.end(readError(failure))
	}
}
