package runtime

// #include "bridge.h"
import "C"

// ServeOption changes a default of [Runtime.Serve] and [Runtime.Plan].
type ServeOption func(*serveOptions)

type serveOptions struct {
	contextLength, cacheTokens                                        uint64
	maxBatchTokens, maxPrefillTokens, maxSequences, maxQueue, threads uint32
	noPrefixSharing                                                   bool
	version, chatTemplate                                             string
	backend                                                           Backend
	compute                                                           Compute
	cacheType                                                         CacheType
	quantize                                                          Quantize
	affinity                                                          []uint32
	progress                                                          func(Progress)
}

// Backend is what computes a model.
type Backend int32

const (
	// BackendCPU: the library's own kernels, which is the default.
	BackendCPU Backend = C.MR_BACKEND_CPU
	// BackendCandle: candle in single precision, the reference, slower and larger; not in every build of the library.
	BackendCandle Backend = C.MR_BACKEND_CANDLE
)

// Compute is the numbers that products are computed with. By default what each format was made for.
type Compute int32

const (
	// ComputeF32: single precision throughout.
	ComputeF32 Compute = C.MR_COMPUTE_F32
	// ComputeBF16: BF16 activations where the processor multiplies those, single precision elsewhere.
	ComputeBF16 Compute = C.MR_COMPUTE_BF16
	// ComputeInt8: int8 activations for all weights. The fastest, at some cost in accuracy.
	ComputeInt8 Compute = C.MR_COMPUTE_INT8
)

// CacheType is what the cache of keys and values holds; F16 by default.
type CacheType int32

const (
	// CacheF16: IEEE half precision.
	CacheF16 CacheType = C.MR_CACHE_TYPE_F16
	// CacheBF16: the upper half of single precision.
	CacheBF16 CacheType = C.MR_CACHE_TYPE_BF16
	// CacheF32: single precision.
	CacheF32 CacheType = C.MR_CACHE_TYPE_F32
	// CacheQ8: 8-bit integers with a scale per token and head.
	CacheQ8 CacheType = C.MR_CACHE_TYPE_Q8
)

// Quantize is what weights in floating point become while they are read; by default they stay as they are.
type Quantize int32

const (
	// QuantizeQ80: Q8_0.
	QuantizeQ80 Quantize = C.MR_QUANTIZE_Q8_0
	// QuantizeQ6K: Q6_K, or Q8_0 where the width is no multiple of 256.
	QuantizeQ6K Quantize = C.MR_QUANTIZE_Q6_K
	// QuantizeQ4K: Q4_K, or Q8_0 where the width is no multiple of 256.
	QuantizeQ4K Quantize = C.MR_QUANTIZE_Q4_K
)

// WithProgress has function called with how far the load is, on the goroutine that called [Runtime.Serve]. To end the
// load, cancel its context.
func WithProgress(function func(Progress)) ServeOption {
	return func(o *serveOptions) { o.progress = function }
}

// WithContextLength sets the longest prompt and answer together, in tokens. By default what the model was made for, at
// most 8192.
func WithContextLength(tokens uint64) ServeOption {
	return func(o *serveOptions) { o.contextLength = tokens }
}

// WithCacheTokens sets how many tokens the block cache holds for all requests together.
func WithCacheTokens(tokens uint64) ServeOption {
	return func(o *serveOptions) { o.cacheTokens = tokens }
}

// WithMaxBatchTokens bounds the tokens that are computed in one step.
func WithMaxBatchTokens(tokens uint32) ServeOption {
	return func(o *serveOptions) { o.maxBatchTokens = tokens }
}

// WithMaxPrefillTokens bounds the prompt tokens that are computed in a step beside running answers, and so their pauses.
func WithMaxPrefillTokens(tokens uint32) ServeOption {
	return func(o *serveOptions) { o.maxPrefillTokens = tokens }
}

// WithMaxSequences bounds the requests that run at the same time.
func WithMaxSequences(requests uint32) ServeOption {
	return func(o *serveOptions) { o.maxSequences = requests }
}

// WithMaxQueue bounds the requests that wait; one more is refused with [ErrOverloaded].
func WithMaxQueue(requests uint32) ServeOption {
	return func(o *serveOptions) { o.maxQueue = requests }
}

// WithoutPrefixSharing has every prompt computed anew. By default prompts that begin alike share what was computed for
// the beginning.
func WithoutPrefixSharing() ServeOption { return func(o *serveOptions) { o.noPrefixSharing = true } }

// WithVersion names the version, which responses give as Model. By default it is made from the contents of the files.
func WithVersion(version string) ServeOption { return func(o *serveOptions) { o.version = version } }

// WithChatTemplate sets a chat template (Jinja) to use instead of the model's own.
func WithChatTemplate(template string) ServeOption {
	return func(o *serveOptions) { o.chatTemplate = template }
}

// WithBackend chooses what computes the model.
func WithBackend(backend Backend) ServeOption { return func(o *serveOptions) { o.backend = backend } }

// WithThreads sets how many threads compute, at most 1024. By default one for each core of WithAffinity, or else as many
// as the process may use.
func WithThreads(threads uint32) ServeOption { return func(o *serveOptions) { o.threads = threads } }

// WithCompute chooses the numbers that products are computed with.
func WithCompute(compute Compute) ServeOption { return func(o *serveOptions) { o.compute = compute } }

// WithCacheType chooses what the cache of keys and values holds.
func WithCacheType(cacheType CacheType) ServeOption {
	return func(o *serveOptions) { o.cacheType = cacheType }
}

// WithQuantize has weights in floating point quantized while they are read.
func WithQuantize(quantize Quantize) ServeOption {
	return func(o *serveOptions) { o.quantize = quantize }
}

// WithAffinity names the cores, by the system's numbers, that the library's threads run on. Linux only. Threads of the
// Go program are never bound.
func WithAffinity(cores ...uint32) ServeOption { return func(o *serveOptions) { o.affinity = cores } }

func serving(given []ServeOption) *serveOptions {
	o := new(serveOptions)
	for _, option := range given {
		option(o)
	}
	return o
}

// numbers are the options without their texts and cores.
func (o *serveOptions) numbers() C.mr_serve_options {
	numbers := C.mr_serve_options{
		context_length:     C.uint64_t(o.contextLength),
		cache_tokens:       C.uint64_t(o.cacheTokens),
		max_batch_tokens:   C.uint32_t(o.maxBatchTokens),
		max_prefill_tokens: C.uint32_t(o.maxPrefillTokens),
		max_sequences:      C.uint32_t(o.maxSequences),
		max_queue:          C.uint32_t(o.maxQueue),
		backend:            C.int32_t(o.backend),
		threads:            C.uint32_t(o.threads),
		compute:            C.int32_t(o.compute),
		cache_type:         C.int32_t(o.cacheType),
		quantize:           C.int32_t(o.quantize),
	}
	if o.noPrefixSharing {
		numbers.prefix_sharing = C.MR_PREFIX_SHARING_OFF
	}
	return numbers
}
