package runtime

import "encoding/json"

// ChatResponse is an answer to a conversation.
type ChatResponse struct {
	// ID names the request.
	ID string `json:"id"`
	// Object is "chat.completion".
	Object string `json:"object"`
	// Created is when it was made, seconds since 1970, UTC.
	Created int64 `json:"created"`
	// Model is the exact version that answered.
	Model string `json:"model"`
	// Choices are the answers, as many as were asked for.
	Choices []ChatChoice `json:"choices"`
	// Usage is what it took.
	Usage Usage `json:"usage"`
	// Lifecycle is what is known about the life of the model, when it was asked for and there is anything to say.
	Lifecycle json.RawMessage `json:"x_lifecycle,omitempty"`
	// Raw is the whole as the library gave it.
	Raw json.RawMessage `json:"-"`
}

// UnmarshalJSON reads a response and keeps its text in Raw.
func (r *ChatResponse) UnmarshalJSON(data []byte) error {
	type plain ChatResponse
	return unmarshalRaw(data, (*plain)(r), &r.Raw)
}

// ChatChoice is one of the answers.
type ChatChoice struct {
	// Index is its number.
	Index int `json:"index"`
	// Message is what the model says.
	Message ResponseMessage `json:"message"`
	// Logprobs are those of the tokens, when asked for.
	Logprobs *ChatLogprobs `json:"logprobs"`
	// FinishReason is why it ended.
	FinishReason FinishReason `json:"finish_reason"`
}

// ResponseMessage is what the model says. Its Message goes into the next request.
type ResponseMessage struct {
	Message
	// Classification is what a classifier of conversations (Llama Guard) found, where the text is in its format.
	Classification *Classification `json:"x_classification,omitempty"`
}

// MarshalJSON writes the message with what was found.
func (m ResponseMessage) MarshalJSON() ([]byte, error) {
	if m.Classification == nil {
		return m.Message.MarshalJSON()
	}
	return marshalExtra(m.Message, map[string]any{"x_classification": m.Classification})
}

// Classification is what a classifier found in a conversation.
type Classification struct {
	// Safe says whether it found nothing.
	Safe bool `json:"safe"`
	// Categories are what it found, by the names of the model's categories, such as S1.
	Categories []string `json:"categories"`
}

// FinishReason is why a generation ended.
type FinishReason string

const (
	// FinishStop: the model was done, or a stop string or stop token was met.
	FinishStop FinishReason = "stop"
	// FinishLength: the limit of tokens was reached.
	FinishLength FinishReason = "length"
	// FinishToolCalls: the model calls functions.
	FinishToolCalls FinishReason = "tool_calls"
)

// Usage is how many tokens a request took.
type Usage struct {
	// PromptTokens are those of the prompt, with everything that the chat template added.
	PromptTokens int64 `json:"prompt_tokens"`
	// CompletionTokens are those that were generated.
	CompletionTokens int64 `json:"completion_tokens"`
	// TotalTokens are both together.
	TotalTokens int64 `json:"total_tokens"`
	// PromptTokensDetails says what the prompt's tokens were.
	PromptTokensDetails struct {
		// CachedTokens were found in the cache and not computed.
		CachedTokens int64 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	// CompletionTokensDetails says what the generated tokens were.
	CompletionTokensDetails struct {
		// ReasoningTokens are no part of the answer.
		ReasoningTokens int64 `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

// ChatLogprobs are the log-probabilities of an answer's tokens.
type ChatLogprobs struct {
	// Content has one per generated token, in order.
	Content []TokenLogprob `json:"content"`
}

// TokenLogprob is a token, its log-probability and its rivals.
type TokenLogprob struct {
	// Token is what it contributes to the text.
	Token string `json:"token"`
	// Logprob is the natural logarithm of its probability.
	Logprob float64 `json:"logprob"`
	// Bytes is the same contribution in bytes, because a token may be a part of a character; nil if there is none.
	Bytes []int `json:"bytes"`
	// TopLogprobs are the most likely tokens at this place, descending; those have no rivals.
	TopLogprobs []TokenLogprob `json:"top_logprobs,omitempty"`
}

// ChatChunk is a piece of an answer while it is made.
type ChatChunk struct {
	// ID names the request; the same in all its chunks.
	ID string `json:"id"`
	// Object is "chat.completion.chunk".
	Object string `json:"object"`
	// Created is when the answer was begun, seconds since 1970, UTC.
	Created int64 `json:"created"`
	// Model is the exact version that answers.
	Model string `json:"model"`
	// Choices is what is new; empty in the chunk that reports the usage.
	Choices []ChatChunkChoice `json:"choices"`
	// Usage is in the last chunk, when StreamOptions asked for it.
	Usage *Usage `json:"usage,omitempty"`
	// Lifecycle is as in [ChatResponse], in the last chunk of the choice.
	Lifecycle json.RawMessage `json:"x_lifecycle,omitempty"`
}

// ChatChunkChoice is what is new in an answer.
type ChatChunkChoice struct {
	// Index is the answer's number.
	Index int `json:"index"`
	// Delta is what is new.
	Delta ChatDelta `json:"delta"`
	// Logprobs are those of the new tokens, when asked for.
	Logprobs *ChatLogprobs `json:"logprobs"`
	// FinishReason is why it ended; empty in all chunks but the answer's last.
	FinishReason FinishReason `json:"finish_reason"`
}

// ChatDelta is what is new in a message.
type ChatDelta struct {
	// Role is in the first chunk only.
	Role Role `json:"role,omitempty"`
	// Content is text to append.
	Content string `json:"content,omitempty"`
	// ReasoningContent is reasoning to append.
	ReasoningContent string `json:"reasoning_content,omitempty"`
	// ToolCalls are calls that begin or go on.
	ToolCalls []ToolCallDelta `json:"tool_calls,omitempty"`
}

// ToolCallDelta is what is new in a call: first its id, type and name, then pieces of its arguments.
type ToolCallDelta struct {
	// Index is its number among the calls of the answer.
	Index int `json:"index"`
	// ID is its name; only in its first delta.
	ID string `json:"id,omitempty"`
	// Type is "function"; only in its first delta.
	Type string `json:"type,omitempty"`
	// Function has the name in its first delta, and text to append to the arguments.
	Function FunctionCall `json:"function"`
}
