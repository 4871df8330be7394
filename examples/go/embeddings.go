package runtime

// #include "bridge.h"
import "C"

import (
	stdruntime "runtime"
	"sync"
	"unsafe"
)

// Embeddings are the vectors of the texts of a request, in its order. They lie in one block of the library's memory. Its
// methods may be called from any goroutine, at the same time.
//
// Close them when they are no longer needed. Those that are dropped are closed by the garbage collector, which does not
// know their size.
type Embeddings struct {
	// Version is the exact version that answered.
	Version string
	// Dimension is the number of values of a vector.
	Dimension int
	// Normalized says whether the vectors have unit length.
	Normalized bool
	// Tokens are those of each text that were computed, special tokens included.
	Tokens []int
	// Truncated says of each text whether it was longer than the model takes and was cut.
	Truncated []bool

	block   *block
	cleanup stdruntime.Cleanup
}

func newEmbeddings(native *C.mr_embeddings) *Embeddings {
	var length, rows, dimension C.size_t
	version := C.mr_embeddings_get_version(native, &length)
	values := C.mr_embeddings_get_values(native, &rows, &dimension)
	e := &Embeddings{
		Version:    copyString(version, length),
		Dimension:  int(dimension),
		Normalized: C.mr_embeddings_get_normalize(native) == C.MR_NORMALIZE_L2,
		Tokens:     make([]int, rows),
		Truncated:  make([]bool, rows),
		block:      &block{native: native, values: unsafe.Slice((*float32)(unsafe.Pointer(values)), rows*dimension)},
	}
	// An int of Go is as wide as a size_t of C, and a bool is a byte that is 0 or 1.
	C.mrgo_embeddings_rows(native, rows, (*C.size_t)(unsafe.Pointer(unsafe.SliceData(e.Tokens))),
		(*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(e.Truncated))))
	e.cleanup = stdruntime.AddCleanup(e, func(b *block) { go b.close() }, e.block)
	return e
}

// Len is the number of vectors.
func (e *Embeddings) Len() int { return len(e.Tokens) }

// View lends the vectors where they lie, without a copy: a row for each text, until function returns. Rows must not be
// kept or changed; [Embeddings.Vectors] gives rows to keep. Close, and the garbage collector, wait until function has
// returned. The error is [ErrClosed] if the vectors are gone.
//
// It is a function and not a slice to keep because Go's collector does not follow slices into the library's memory: such
// a slice would not keep its vectors alive.
func (e *Embeddings) View(function func(vectors [][]float32)) error {
	defer stdruntime.KeepAlive(e)
	values, err := e.block.borrow()
	if err != nil {
		return err
	}
	defer e.block.giveBack()
	function(e.rows(values))
	return nil
}

// Vectors copies the vectors, once, into one block of Go's memory: a row for each text. They are the caller's, and stay
// after Close. It is nil if the embeddings are closed.
func (e *Embeddings) Vectors() [][]float32 {
	defer stdruntime.KeepAlive(e)
	values, err := e.block.borrow()
	if err != nil {
		return nil
	}
	defer e.block.giveBack()
	return e.rows(append(make([]float32, 0, len(values)), values...))
}

// rows cuts a block into vectors. An append to one of them cannot run into the next.
func (e *Embeddings) rows(values []float32) [][]float32 {
	rows := make([][]float32, e.Len())
	for i := range rows {
		start, end := i*e.Dimension, (i+1)*e.Dimension
		rows[i] = values[start:end:end]
	}
	return rows
}

// JSON is the response in the OpenAI shape, in the encoding that the request asked for.
func (e *Embeddings) JSON() ([]byte, error) {
	defer stdruntime.KeepAlive(e)
	if _, err := e.block.borrow(); err != nil {
		return nil, err
	}
	defer e.block.giveBack()
	var text *C.mr_text
	var failure *C.mr_error
	if err := takeError(C.mr_embeddings_response(e.block.native, &text, &failure), failure); err != nil {
		return nil, err
	}
	return takeText(text), nil
}

// Close frees the vectors, or has them freed when those have returned who look at them. It may be called more than once,
// and never fails.
func (e *Embeddings) Close() error {
	e.cleanup.Stop()
	e.block.close()
	stdruntime.KeepAlive(e)
	return nil
}

// block is the library's memory, freed when it is closed and nobody looks at it.
type block struct {
	native *C.mr_embeddings
	values []float32

	mu       sync.Mutex
	borrowed int
	closed   bool
}

func (b *block) borrow() ([]float32, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	b.borrowed++
	return b.values, nil
}

func (b *block) giveBack() {
	b.mu.Lock()
	b.borrowed--
	last := b.closed && b.borrowed == 0
	b.mu.Unlock()
	if last {
		C.mr_embeddings_free(b.native)
	}
}

func (b *block) close() {
	b.mu.Lock()
	last := !b.closed && b.borrowed == 0
	b.closed = true
	b.mu.Unlock()
	if last {
		C.mr_embeddings_free(b.native)
	}
}
