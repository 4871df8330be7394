package runtime

import "encoding/json"

// Stats is what a runtime is doing.
type Stats struct {
	// MemoryAvailableBytes is what is left of the memory budget; nil without a budget.
	MemoryAvailableBytes *uint64 `json:"memory_available_bytes"`
	// Endpoints are in order of name.
	Endpoints []EndpointStats `json:"endpoints"`
	// Raw is the whole as the library gave it.
	Raw json.RawMessage `json:"-"`
}

// UnmarshalJSON reads what the library says and keeps its text in Raw.
func (s *Stats) UnmarshalJSON(data []byte) error {
	type plain Stats
	return unmarshalRaw(data, (*plain)(s), &s.Raw)
}

// EndpointStats is what an endpoint is doing.
type EndpointStats struct {
	// Name is the endpoint's.
	Name string `json:"name"`
	// Version is the one that answers.
	Version string `json:"version"`
	// Engine is about a model that generates; nil for an encoder.
	Engine *EngineStats `json:"engine"`
	// Embedding is about an encoder; nil for a model that generates.
	Embedding *EmbeddingStats `json:"embedding"`
	// Entities has the same for each model of the endpoint, where there are several, by its name.
	Entities map[string]EndpointStats `json:"entities"`
}

// EngineStats is what is in an engine now, and totals since its start.
type EngineStats struct {
	// Queued requests wait to run, preempted ones included.
	Queued int `json:"queued"`
	// Running is the number of sequences in the cache.
	Running int `json:"running"`
	// BlocksTotal is the number of blocks of the cache.
	BlocksTotal int `json:"blocks_total"`
	// BlocksUsed are held by running sequences.
	BlocksUsed int `json:"blocks_used"`
	// BlocksCached are held by nobody, and their content can be shared.
	BlocksCached int `json:"blocks_cached"`
	// Steps computed.
	Steps uint64 `json:"steps"`
	// LastBatchRows are the rows of the last step.
	LastBatchRows int `json:"last_batch_rows"`
	// LastBatchSequences are the sequences in the last step.
	LastBatchSequences int `json:"last_batch_sequences"`
	// MeanBatchRows are the rows per step on average.
	MeanBatchRows float64 `json:"mean_batch_rows"`
	// PrefillTokens were computed for prompts, and again after preemptions.
	PrefillTokens uint64 `json:"prefill_tokens"`
	// DecodeTokens were computed for single new tokens.
	DecodeTokens uint64 `json:"decode_tokens"`
	// DraftTokens were guessed ahead.
	DraftTokens uint64 `json:"draft_tokens"`
	// AcceptedDraftTokens were guessed right.
	AcceptedDraftTokens uint64 `json:"accepted_draft_tokens"`
	// GeneratedTokens is the number of tokens generated.
	GeneratedTokens uint64 `json:"generated_tokens"`
	// LateChoices are tokens that were chosen after their step, because it was not known in time what they may be.
	LateChoices uint64 `json:"late_choices"`
	// PrefixHitTokens were not computed because they were found in the cache.
	PrefixHitTokens uint64 `json:"prefix_hit_tokens"`
	// LongestDecodeGap is the most prompt tokens in a step that also had running answers.
	LongestDecodeGap int `json:"longest_decode_gap"`
	// Preemptions of sequences, which were computed again later.
	Preemptions uint64 `json:"preemptions"`
	// Refused requests found the queue full.
	Refused uint64 `json:"refused"`
	// Finished requests ended well.
	Finished uint64 `json:"finished"`
	// Cancelled requests were given up, by the caller or by a shutdown.
	Cancelled uint64 `json:"cancelled"`
	// Expired requests were out of time.
	Expired uint64 `json:"expired"`
	// Failed requests ended with any other error.
	Failed uint64 `json:"failed"`
	// QueueWait is from submission to the first step.
	QueueWait DurationStats `json:"queue_wait"`
	// TimeToFirstToken is from submission to the first token.
	TimeToFirstToken DurationStats `json:"time_to_first_token"`
}

// EmbeddingStats is what an encoder is doing, and totals since its start.
type EmbeddingStats struct {
	// Queued requests wait for their first batch.
	Queued int `json:"queued"`
	// Running requests have some texts done and others not.
	Running int `json:"running"`
	// WaitingTexts wait to be part of a batch.
	WaitingTexts int `json:"waiting_texts"`
	// Batches computed.
	Batches uint64 `json:"batches"`
	// LastBatchTexts are the texts of the last batch.
	LastBatchTexts int `json:"last_batch_texts"`
	// LastBatchTokens are the tokens of the last batch.
	LastBatchTokens int `json:"last_batch_tokens"`
	// MeanBatchTokens are the tokens per batch on average.
	MeanBatchTokens float64 `json:"mean_batch_tokens"`
	// Texts computed.
	Texts uint64 `json:"texts"`
	// Tokens computed.
	Tokens uint64 `json:"tokens"`
	// Refused requests found the queue full.
	Refused uint64 `json:"refused"`
	// Finished requests ended well.
	Finished uint64 `json:"finished"`
	// Cancelled requests were given up, by the caller or by a shutdown.
	Cancelled uint64 `json:"cancelled"`
	// Expired requests were out of time.
	Expired uint64 `json:"expired"`
	// Failed requests ended with any other error.
	Failed uint64 `json:"failed"`
	// QueueWait is from submission to the first batch.
	QueueWait DurationStats `json:"queue_wait"`
	// TotalTime is from submission to the end, of requests that ended well.
	TotalTime DurationStats `json:"total_time"`
}

// DurationStats sums durations up.
type DurationStats struct {
	// Count of durations.
	Count uint64 `json:"count"`
	// SumSeconds is their sum.
	SumSeconds float64 `json:"sum_seconds"`
	// MaxSeconds is the longest.
	MaxSeconds float64 `json:"max_seconds"`
}
