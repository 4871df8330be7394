package runtime

// #include "bridge.h"
import "C"

import (
	"context"
	"encoding/json"
)

// EmbeddingRequest asks for the vectors of texts. A field at its zero value is left to the library's default. A field
// that the library does not know is refused by name.
type EmbeddingRequest struct {
	// Model is the endpoint's name.
	Model string `json:"model"`
	// Input is what to embed: a string, the token ids of a text ([]int or []uint32), or several of either ([]string,
	// [][]int, [][]uint32).
	Input any `json:"input"`
	// Dimensions keeps only so many values of each vector, from the first on.
	Dimensions int `json:"dimensions,omitempty"`
	// Instruction is put before every text, as it is: what the model's authors ask for before a query, for instance.
	Instruction string `json:"instruction,omitempty"`
	// PromptName names one of the model's own prompts, put before every text; not together with an instruction.
	PromptName string `json:"prompt_name,omitempty"`
	// Normalize is whether vectors have unit length: "model" (the default), "none" or "l2".
	Normalize string `json:"normalize,omitempty"`
	// Truncate is what happens to a text that is longer than the model takes: "error" (the default), or which side is
	// cut, "end" or "start".
	Truncate string `json:"truncate,omitempty"`
	// Pooling is how a text's rows become its vector: "cls", "mean" or "last"; as the model has it by default.
	Pooling string `json:"pooling,omitempty"`
	// EncodingFormat is how [Embeddings.JSON] writes vectors: "float" (the default) or "base64".
	EncodingFormat string `json:"encoding_format,omitempty"`
	// User is whom the request is for; opaque.
	User string `json:"user,omitempty"`
	// ClientRequestID is the caller's own name for the request; opaque.
	ClientRequestID string `json:"client_request_id,omitempty"`
	// UsageContext is what the caller wants to find with the request in the ledger.
	UsageContext map[string]string `json:"usage_context,omitempty"`

	// Extra holds fields that this struct does not have.
	Extra map[string]any `json:"-"`
	// Raw, if not nil, is the whole request as JSON, which goes to the library as it is; the other fields must be zero.
	Raw json.RawMessage `json:"-"`
}

// MarshalJSON writes the request, Extra included.
func (r EmbeddingRequest) MarshalJSON() ([]byte, error) {
	type plain EmbeddingRequest
	return marshalExtra(plain(r), r.Extra)
}

// Embed makes the vectors of texts. When ctx ends, so does the request, and Embed returns with an error that is ctx.Err()
// to errors.Is. Other failures are those of [Runtime.Chat]; [ErrContextLengthExceeded] says that a text is too long and
// Truncate does not say which side to cut.
func (rt *Runtime) Embed(ctx context.Context, request EmbeddingRequest, given ...RequestOption) (*Embeddings, error) {
	text, err := body(request.Raw, request)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, contextError(ctx)
	}
	o := rt.requested(ctx, given)
	numbers := o.numbers()
	var native *C.mr_embeddings
	done := make(chan struct{})
	err = rt.use(func(runtime *C.mr_runtime) error {
		var failure *C.mr_error
		status := C.mrgo_submit_embeddings(runtime, byteChars(text), size(text), &numbers, charsOrNil(o.principal),
			size(o.principal), charsOrNil(o.entity), size(o.entity), &native, &failure)
		if err := takeError(status, failure); err != nil {
			return err
		}
		return takeError(C.mrgo_embeddings_notify(native, newHandle(done), &failure), failure)
	})
	if err == nil {
		err = made(ctx, native, done)
	}
	if err != nil {
		// This cancels what is not done.
		C.mr_embeddings_free(native)
		return nil, err
	}
	return newEmbeddings(native), nil
}

// made waits until the library has closed done, and says whether all vectors are there.
func made(ctx context.Context, native *C.mr_embeddings, done <-chan struct{}) error {
	select {
	case <-done:
	default:
		select {
		case <-done:
		case <-ctx.Done():
			return contextError(ctx)
		}
	}
	var failure *C.mr_error
	return takeError(C.mr_embeddings_wait(native, 0, &failure), failure)
}
