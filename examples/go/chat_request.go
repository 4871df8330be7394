package runtime

import "encoding/json"

// ChatRequest asks for the next message of a conversation. A field at its zero value is left to the library's default,
// unless its comment says otherwise. A field that the library does not know is refused by name.
type ChatRequest struct {
	// Model is the endpoint's name.
	Model string `json:"model"`
	// Messages is the conversation so far, at least one message; a system message only once and first.
	Messages []Message `json:"messages"`

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

	// Logprobs asks for the log-probabilities of the generated tokens.
	Logprobs bool `json:"logprobs,omitempty"`
	// TopLogprobs is how many most likely tokens to report beside each generated one, 0 to 20; only with Logprobs.
	TopLogprobs int `json:"top_logprobs,omitempty"`
	// Tools are functions that the model may call, at most 32.
	Tools []Tool `json:"tools,omitempty"`
	// ToolChoice says whether it calls them; by default it decides itself.
	ToolChoice ToolChoice `json:"tool_choice,omitzero"`
	// ParallelToolCalls says whether one answer may hold several calls; by default where the model's format has room.
	ParallelToolCalls *bool `json:"parallel_tool_calls,omitempty"`
	// ResponseFormat is what form the answer must have; nil is any text.
	ResponseFormat *ResponseFormat `json:"response_format,omitempty"`
	// Thinking is how long a model that thinks may think.
	Thinking *Thinking `json:"thinking,omitempty"`

	// Stream must be set where StreamOptions is, and is refused by Chat.
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
func (r ChatRequest) MarshalJSON() ([]byte, error) {
	type plain ChatRequest
	return marshalExtra(plain(r), r.Extra)
}

// StreamOptions has details of streaming.
type StreamOptions struct {
	// IncludeUsage asks for a last chunk without choices that reports the usage.
	IncludeUsage bool `json:"include_usage"`
}

// Thinking lets a model that thinks do so.
type Thinking struct {
	// BudgetTokens is the most tokens of reasoning, at least 1: then it is closed, and the answer begins.
	BudgetTokens int
}

// MarshalJSON writes {"type": "enabled", "budget_tokens": N}.
func (t Thinking) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Type         string `json:"type"`
		BudgetTokens int    `json:"budget_tokens"`
	}{"enabled", t.BudgetTokens})
}

// ResponseFormat is what form an answer must have. Every token is chosen among those that lead to it. Make one with
// [JSONObject], [Schema], [Regex] or [Lark].
type ResponseFormat struct {
	// Type is "text", "json_object", "json_schema" or "grammar".
	Type string `json:"type"`
	// JSONSchema belongs to "json_schema".
	JSONSchema *JSONSchema `json:"json_schema,omitempty"`
	// Grammar belongs to "grammar".
	Grammar *Grammar `json:"grammar,omitempty"`
}

// JSONSchema is a named JSON schema.
type JSONSchema struct {
	// Name is 1 to 64 letters, digits, _ and -.
	Name string `json:"name"`
	// Description says what the format is for.
	Description string `json:"description,omitempty"`
	// Schema marshals to the schema, such as a json.RawMessage.
	Schema any `json:"schema"`
	// Strict is accepted as true or false: answers always follow the schema.
	Strict *bool `json:"strict,omitempty"`
}

// Grammar is a language that the answer is in.
type Grammar struct {
	// Syntax is "regex" or "lark".
	Syntax string `json:"syntax"`
	// Definition is the regular expression, or the grammar with the start rule start.
	Definition string `json:"definition"`
}

// JSONObject is the form of any JSON object.
func JSONObject() *ResponseFormat { return &ResponseFormat{Type: "json_object"} }

// Schema is the form of JSON of a schema.
func Schema(name string, schema any) *ResponseFormat {
	return &ResponseFormat{Type: "json_schema", JSONSchema: &JSONSchema{Name: name, Schema: schema}}
}

// Regex is the form of a text that a regular expression matches as a whole.
func Regex(expression string) *ResponseFormat {
	return &ResponseFormat{Type: "grammar", Grammar: &Grammar{"regex", expression}}
}

// Lark is the form of a text of a context-free grammar in the notation of Lark.
func Lark(grammar string) *ResponseFormat {
	return &ResponseFormat{Type: "grammar", Grammar: &Grammar{"lark", grammar}}
}
