package runtime

// #cgo pkg-config: model-runtime
// #include "bridge.h"
import "C"

import "unsafe"

// chars lends a string's bytes to a C call, which keeps its arguments alive. The library copies what it is given.
func chars(s string) *C.char { return (*C.char)(unsafe.Pointer(unsafe.StringData(s))) }

// charsOrNil is chars, with NULL for an empty string: where the library distinguishes absent from empty, empty is absent.
func charsOrNil(s string) *C.char {
	if s == "" {
		return nil
	}
	return chars(s)
}

func byteChars(b []byte) *C.char { return (*C.char)(unsafe.Pointer(unsafe.SliceData(b))) }

func size[T ~string | ~[]byte](s T) C.size_t { return C.size_t(len(s)) }

// copyString copies lent text; NULL is empty.
func copyString(data *C.char, length C.size_t) string { return string(lent(data, length)) }

// copyBytes copies lent text; NULL is nil.
func copyBytes(data *C.char, length C.size_t) []byte {
	if data == nil {
		return nil
	}
	return append(make([]byte, 0, length), lent(data, length)...)
}

// lent is C memory as a slice, to be copied before it goes away.
func lent(data *C.char, length C.size_t) []byte {
	if data == nil {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(data)), length)
}

// takeText copies an owned text and frees it.
func takeText(text *C.mr_text) []byte {
	defer C.mr_text_free(text)
	var length C.size_t
	data := C.mr_text_get_data(text, &length)
	return copyBytes(data, length)
}

// Version is the version of the library that runs, such as "0.1.0".
func Version() string { return C.GoString(C.mr_version()) }
