package runtime

import "encoding/json"

// CompletionRequest asks for the continuation of a text. A field at its zero value is left to the library's default,
// unless its comment says otherwise. A field that the library does not know is refused by name.
type CompletionRequest struct {
	// Model is the endpoint's name.
	Model string `json:"model"`
	// Prompt is what to continue: a string, the token ids of a text ([]int or []uint32), or several of either ([]string,
	// [][]int, [][]uint32), at most 16.
	Prompt any `json:"prompt"`

	// MaxTokens is the most tokens to generate; without it, as many as the context window leaves room for.
	MaxTokens int `json:"max_tokens,omitempty"`
	// Temperature is from 0 (greedy) to 2; nil is 1.
	Temperature *float64 `json:"temperature,omitempty"`
	// TopP samples from the smallest set of tokens with at least this probability together; above 0, at most 1.
	TopP float64 `json:"top_p,omitempty"`
	// TopK samples from this many most likely tokens.
	TopK int `json:"top_k,omitempty"`
	// MinP samples from tokens with at least this share of the most likely one's probability, 0 to 1.
	MinP float64 `json:"min_p,omitempty"`
	// RepetitionPenalty makes tokens of prompt and text less likely when above 1.
	RepetitionPenalty float64 `json:"repetition_penalty,omitempty"`
	// FrequencyPenalty is subtracted from a token's logit for each time it occurs in the generated text; -2 to 2.
	FrequencyPenalty float64 `json:"frequency_penalty,omitempty"`
	// PresencePenalty is subtracted once from the logits of tokens that occur in the generated text; -2 to 2.
	PresencePenalty float64 `json:"presence_penalty,omitempty"`
	// LogitBias is added to the logits of single tokens; -100 to 100 each.
	LogitBias map[uint32]float64 `json:"logit_bias,omitempty"`
	// Seed decides every draw; nil draws one.
	Seed *int64 `json:"seed,omitempty"`
	// Stop are texts that end the generation when met, at most four; they are not part of the answer.
	Stop []string `json:"stop,omitempty"`
	// StopTokenIDs are tokens that end the generation beside the model's own.
	StopTokenIDs []uint32 `json:"stop_token_ids,omitempty"`
	// N is how many answers to give, 1 to 5.
	N int `json:"n,omitempty"`
	// PromptLookupTokens is the most tokens that a step may guess ahead, 0 to 16. The answer is the same, and comes sooner
	// where it repeats what was said.
	PromptLookupTokens int `json:"prompt_lookup_tokens,omitempty"`
	// Adapter names an adapter that the endpoint has loaded.
	Adapter string `json:"adapter,omitempty"`

	// Echo has the answer begin with the prompt.
	Echo bool `json:"echo,omitempty"`
	// Logprobs asks for log-probabilities, with this many most likely alternatives per token, 0 to 5; nil for none.
	Logprobs *int `json:"logprobs,omitempty"`
	// Suffix is a text that is put behind every answer.
	Suffix string `json:"suffix,omitempty"`
	// UseRawPrompt sends texts to the model as they are. Without it they are put into the model's chat template, if it has
	// one.
	UseRawPrompt bool `json:"use_raw_prompt,omitempty"`
	// ErrorBehavior is what happens where the context or the time is too short: "error", or "truncate" for as many tokens
	// as fit.
	ErrorBehavior string `json:"error_behavior,omitempty"`

	// Stream must be set where StreamOptions is, and is refused by Complete.
	Stream bool `json:"stream,omitempty"`
	// StreamOptions has details of streaming.
	StreamOptions *StreamOptions `json:"stream_options,omitempty"`
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
func (r CompletionRequest) MarshalJSON() ([]byte, error) {
	type plain CompletionRequest
	return marshalExtra(plain(r), r.Extra)
}
