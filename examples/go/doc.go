// Package runtime runs foundation models in the process of a Go program: chat, completions and embeddings on open
// models, batched across all goroutines that ask. It is a layer over the C interface of model-runtime, which must be
// installed (pkg-config: model-runtime).
//
//	rt, err := runtime.New()
//	...
//	defer rt.Close()
//	_, err = rt.Serve(ctx, "stories", "examples/models/stories260K")
//	...
//	for event, err := range rt.CompleteStream(ctx, runtime.CompletionRequest{Model: "stories", Prompt: "Once"}) {
//		...
//	}
//
// # Goroutines and threads
//
// Everything may be called from any goroutine, at the same time. Goroutines that wait for an answer wait at Go channels:
// one thread of the library hands all events of a runtime over, so a thousand answers that are being made take no
// thousand threads of the operating system, and a thousand that wait for vectors neither. Calls that load a model, manage,
// run a batch, or save a session keep a thread for as long as they take.
//
// # Contexts
//
// When a request's context ends, the request is cancelled, its place in the batch is free at the next step, and the call
// returns at once with an error that is ctx.Err() to errors.Is. A context's deadline is given to the library too, so that
// a request that waits in its queue leaves it in time.
//
// # Lifetimes
//
// [Runtime], [Stream] and [Embeddings] hold memory of the library, which Close gives back; it may be called at any time, in
// any order, more than once. What is dropped without Close is closed by the garbage collector, some time. ChatStream,
// CompleteStream, Chat and Complete leave nothing to close.
//
// # Errors
//
// A failure of the library is an [*Error], and one of the codes to errors.Is:
//
//	if errors.Is(err, runtime.ErrOverloaded) { ... }
//
// # JSON
//
// Requests and responses are structs of the OpenAI shape. Fields that a struct does not have go into its Extra, a whole
// request that is JSON already into its Raw, and every response keeps the library's own text in its Raw.
package runtime
