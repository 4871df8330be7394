package runtime

import "encoding/json"

// CompletionResponse is a continuation.
type CompletionResponse struct {
	// ID names the request.
	ID string `json:"id"`
	// Object is "text_completion".
	Object string `json:"object"`
	// Created is when it was made, seconds since 1970, UTC.
	Created int64 `json:"created"`
	// Model is the exact version that answered.
	Model string `json:"model"`
	// Choices are the continuations, by prompt, as many of each as were asked for.
	Choices []CompletionChoice `json:"choices"`
	// Usage is what it took.
	Usage Usage `json:"usage"`
	// Lifecycle is what is known about the life of the model, when it was asked for and there is anything to say.
	Lifecycle json.RawMessage `json:"x_lifecycle,omitempty"`
	// Raw is the whole as the library gave it.
	Raw json.RawMessage `json:"-"`
}

// UnmarshalJSON reads a response and keeps its text in Raw.
func (r *CompletionResponse) UnmarshalJSON(data []byte) error {
	type plain CompletionResponse
	return unmarshalRaw(data, (*plain)(r), &r.Raw)
}

// CompletionChoice is one of the continuations; in a chunk, what is new in it.
type CompletionChoice struct {
	// Text is the continuation, after the prompt if the request asked for an echo; in a chunk, text to append.
	Text string `json:"text"`
	// Index is its number.
	Index int `json:"index"`
	// Logprobs are those of the tokens, when asked for.
	Logprobs *CompletionLogprobs `json:"logprobs"`
	// FinishReason is why it ended; empty in all chunks but its last.
	FinishReason FinishReason `json:"finish_reason"`
}

// CompletionLogprobs are the log-probabilities of a continuation's tokens: lists of equal length, an entry per token.
type CompletionLogprobs struct {
	// Tokens are what each contributes to the text.
	Tokens []string `json:"tokens"`
	// TokenLogprobs are natural logarithms of their probabilities; nil for the first token of an echoed prompt.
	TokenLogprobs []*float64 `json:"token_logprobs"`
	// TopLogprobs are the most likely tokens at each place; nil for the first token of an echoed prompt.
	TopLogprobs []map[string]float64 `json:"top_logprobs"`
	// TextOffset is where each token begins in the choice's text, in Unicode code points.
	TextOffset []int `json:"text_offset"`
}

// CompletionChunk is a piece of a continuation while it is made.
type CompletionChunk struct {
	// ID names the request; the same in all its chunks.
	ID string `json:"id"`
	// Object is "text_completion".
	Object string `json:"object"`
	// Created is when the continuation was begun, seconds since 1970, UTC.
	Created int64 `json:"created"`
	// Model is the exact version that answers.
	Model string `json:"model"`
	// Choices is what is new; empty in the chunk that reports the usage.
	Choices []CompletionChoice `json:"choices"`
	// Usage is in the last chunk, when StreamOptions asked for it.
	Usage *Usage `json:"usage,omitempty"`
	// Lifecycle is as in [CompletionResponse], in the last chunk of the choice.
	Lifecycle json.RawMessage `json:"x_lifecycle,omitempty"`
}
