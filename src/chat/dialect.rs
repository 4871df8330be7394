//! How a model talks: what its chat template and its answers look like.

use super::tool_format::ToolFormat;

/// The token that begins reasoning.
pub(super) const THINK: &str = "<think>";
/// The token that ends reasoning.
pub(super) const END_THINK: &str = "</think>";

/// Which of system messages a template renders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum SystemMessage {
    /// None: the template refuses or drops them.
    #[default]
    Never,
    /// Only beside tools.
    WithTools,
    /// Always.
    Always,
}

/// How a template takes the calls of an assistant message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallStyle {
    /// Arguments are an object; otherwise their JSON text.
    pub(super) object: bool,
    /// The content of a message that only calls is null; otherwise an empty string.
    pub(super) null: bool,
    /// A message with both content and calls loses its calls: it is given as two.
    pub(super) apart: bool,
}

/// How a model talks, found once when its chat template is compiled
/// ([`ChatTemplate::dialect`](super::ChatTemplate::dialect)).
///
/// What a template can do is found by rendering short conversations with it and looking whether what they say is in the
/// prompt; the notation of its tool calls is the one by which its own rendering of a call is read back.
/// [`messages`](Self::messages) puts a conversation into the form that the template takes;
/// [`OutputParser`](super::OutputParser) reads the answers.
///
/// The default is a model of which nothing is known: generic calls, no system message, no reasoning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dialect {
    pub(super) format: ToolFormat,
    /// The template describes the tools itself.
    pub(super) renders_tools: bool,
    /// The template writes calls and results itself, and takes them so.
    pub(super) calls: Option<CallStyle>,
    pub(super) system: SystemMessage,
    pub(super) reasons: bool,
    pub(super) opens_reasoning: bool,
    pub(super) classifies: bool,
    /// Contents are lists of parts; otherwise strings.
    pub(super) parts: bool,
}

impl Dialect {
    /// The notation of the model's tool calls.
    pub fn tool_format(&self) -> ToolFormat {
        self.format
    }

    /// Whether the template describes the tools itself. Otherwise [`messages`](Self::messages) does it in a message.
    pub fn renders_tools(&self) -> bool {
        self.renders_tools
    }

    /// Whether the template writes earlier calls and their results itself. Otherwise [`messages`](Self::messages) turns them
    /// into text.
    pub fn renders_calls(&self) -> bool {
        self.calls.is_some()
    }

    /// Whether a system message may be given, in a request with or without tools.
    pub fn takes_system_message(&self, tools: bool) -> bool {
        match self.system {
            SystemMessage::Always => true,
            SystemMessage::WithTools => tools,
            SystemMessage::Never => false,
        }
    }

    /// Whether the model thinks aloud between `<think>` and `</think>` before it answers.
    pub fn reasons(&self) -> bool {
        self.reasons
    }

    /// Whether the prompt for an answer to a user's message already ends with `<think>`. After tool results the same
    /// template may leave it out: [`prompt_opens_reasoning`](Self::prompt_opens_reasoning) tells it of one prompt.
    pub fn opens_reasoning(&self) -> bool {
        self.opens_reasoning
    }

    /// Whether this prompt ends with `<think>`, so that the answer begins within the reasoning.
    pub fn prompt_opens_reasoning(&self, prompt: &str) -> bool {
        self.reasons && prompt.trim_end().ends_with(THINK)
    }

    /// Whether the model is a LlamaGuard: it classifies a conversation instead of answering it
    /// ([`classification`](super::classification)).
    pub fn classifies(&self) -> bool {
        self.classifies
    }

    /// The tokens that are given to [`OutputParser::marker`](super::OutputParser::marker), as a vocabulary spells them,
    /// instead of being shown or dropped. A vocabulary need not have them all.
    pub fn markers(&self) -> Vec<&'static str> {
        let thinking: &[&str] = if self.reasons { &[THINK, END_THINK] } else { &[] };
        [self.format.markers(), thinking].concat()
    }
}
