//! The notations in which models write tool calls.

/// How a model writes tool calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ToolFormat {
    /// Llama 3.x: the whole answer is `{"name": NAME, "parameters": {...}}`, possibly after `<|python_tag|>`; several
    /// are separated by `;`.
    Llama,
    /// Mistral: `[TOOL_CALLS]` and a JSON list of `{"name": NAME, "arguments": {...}}`, or `[TOOL_CALLS]NAME[ARGS]{...}`.
    Mistral,
    /// DeepSeek V3 and R1: `<｜tool▁calls▁begin｜>`, for each call
    /// `<｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME`, a fenced block of JSON and `<｜tool▁call▁end｜>`, and at last
    /// `<｜tool▁calls▁end｜>`.
    DeepSeek,
    /// `<tool_call>{"name": NAME, "arguments": {...}}</tool_call>` within text: the form that models without one of their
    /// own are asked for, and that of the Hermes and Qwen families.
    #[default]
    Generic,
}

impl ToolFormat {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Llama, Self::Mistral, Self::DeepSeek, Self::Generic];

    /// The tokens of a vocabulary that belong to the notation; the first one begins calls.
    pub fn markers(self) -> &'static [&'static str] {
        match self {
            Self::Llama => &["<|python_tag|>"],
            Self::Mistral => &["[TOOL_CALLS]", "[ARGS]"],
            Self::DeepSeek => &[
                "<｜tool▁calls▁begin｜>",
                "<｜tool▁call▁begin｜>",
                "<｜tool▁sep｜>",
                "<｜tool▁call▁end｜>",
                "<｜tool▁calls▁end｜>",
            ],
            Self::Generic => &["<tool_call>", "</tool_call>"],
        }
    }
}
