package runtime

import "encoding/json"

// EndpointInfo is what is known about an endpoint.
type EndpointInfo struct {
	// Name is what requests give as Model.
	Name string `json:"name"`
	// Version is the exact version that answers.
	Version string `json:"version"`
	// Path is where the model was read from.
	Path string `json:"path"`
	// Task is "generation" or "embedding".
	Task string `json:"task"`
	// ContextLength is the most tokens of one request, prompt and answer together; of an encoder, of one text.
	ContextLength int `json:"context_length"`
	// VocabSize is the number of tokens in the vocabulary.
	VocabSize int `json:"vocab_size"`
	// Chat says whether the model has a chat template.
	Chat bool `json:"chat"`
	// Embedding says what the vectors of an encoder are; nil for a model that generates.
	Embedding *EmbeddingInfo `json:"embedding"`
	// Adapters are those that are loaded, in order of name.
	Adapters []AdapterInfo `json:"adapters"`
	// Backend is what computes.
	Backend string `json:"backend"`
	// Plan is what the load took.
	Plan Plan `json:"plan"`
	// Offering is how the endpoint is offered, such as "pay_per_token".
	Offering string `json:"offering"`
	// Entities is everything that is served under the name. What stands above is about the first that gets requests.
	Entities []EntityInfo `json:"entities"`
	// Draining is the number of models that are no longer served and stay loaded until their last request has ended.
	Draining int `json:"draining"`
	// Raw is the whole as the library gave it.
	Raw json.RawMessage `json:"-"`
}

// UnmarshalJSON reads what the library says and keeps its text in Raw.
func (e *EndpointInfo) UnmarshalJSON(data []byte) error {
	type plain EndpointInfo
	return unmarshalRaw(data, (*plain)(e), &e.Raw)
}

// EntityInfo is one of the models of an endpoint.
type EntityInfo struct {
	// Name is its name within the endpoint.
	Name string `json:"name"`
	// Version is the exact version that answers.
	Version string `json:"version"`
	// Registered is the registered version that was loaded, as NAME/VERSION; empty if it is not a registered one.
	Registered string `json:"registered"`
	// Traffic is its share of the endpoint's requests in percent.
	Traffic int `json:"traffic"`
}

// EmbeddingInfo is what the vectors of an endpoint are when a request asks for nothing else.
type EmbeddingInfo struct {
	// Dimension is the number of values of a vector.
	Dimension int `json:"dimension"`
	// MaxTokens is the most tokens of one text, special tokens included.
	MaxTokens int `json:"max_tokens"`
	// Pooling is how a text's rows become its vector: "cls", "mean" or "last".
	Pooling string `json:"pooling"`
	// Normalize is "l2" when vectors have unit length, else "none".
	Normalize string `json:"normalize"`
	// Prompts are the model's own prompts, by name.
	Prompts map[string]string `json:"prompts"`
	// DefaultPrompt names the prompt that is put before texts when a request names none; empty for none.
	DefaultPrompt string `json:"default_prompt"`
}

// AdapterInfo is an adapter beside a model.
type AdapterInfo struct {
	// Name is what requests call it.
	Name string `json:"name"`
	// Version is the exact version that answers with it.
	Version string `json:"version"`
	// Path is where it was read from.
	Path string `json:"path"`
	// Rank is the largest rank of its factors.
	Rank int `json:"rank"`
	// Modules are the last parts of the names of the modules that it changes.
	Modules []string `json:"modules"`
	// Bytes of memory that it takes.
	Bytes uint64 `json:"bytes"`
	// Digest is SHA-256 over its configuration and its weights.
	Digest string `json:"digest"`
	// Raw is the whole as the library gave it.
	Raw json.RawMessage `json:"-"`
}

// UnmarshalJSON reads what the library says and keeps its text in Raw.
func (a *AdapterInfo) UnmarshalJSON(data []byte) error {
	type plain AdapterInfo
	return unmarshalRaw(data, (*plain)(a), &a.Raw)
}

// Plan is what serving a model costs.
type Plan struct {
	// WeightBytes are those of packed weights.
	WeightBytes uint64 `json:"weight_bytes"`
	// AdapterBytes are those of adapters that are loaded with the model.
	AdapterBytes uint64 `json:"adapter_bytes"`
	// CacheBytes are those of the block cache.
	CacheBytes uint64 `json:"cache_bytes"`
	// ScratchBytes are those of activations of the largest step.
	ScratchBytes uint64 `json:"scratch_bytes"`
	// TotalBytes are all together.
	TotalBytes uint64 `json:"total_bytes"`
	// AvailableBytes is what the budget leaves for this load; nil without a budget.
	AvailableBytes *uint64 `json:"available_bytes"`
	// ContextLength is the most tokens of one request.
	ContextLength int `json:"context_length"`
	// CacheTokens is how many tokens the block cache holds.
	CacheTokens int `json:"cache_tokens"`
	// MaxContext is the longest context that the model was made for and that would fit the budget.
	MaxContext int `json:"max_context"`
	// Raw is the whole as the library gave it.
	Raw json.RawMessage `json:"-"`
}

// UnmarshalJSON reads what the library says and keeps its text in Raw.
func (p *Plan) UnmarshalJSON(data []byte) error {
	type plain Plan
	if err := unmarshalRaw(data, (*plain)(p), &p.Raw); err != nil {
		return err
	}
	// The plan within an endpoint's description has no total.
	p.TotalBytes = p.WeightBytes + p.AdapterBytes + p.CacheBytes + p.ScratchBytes
	return nil
}
