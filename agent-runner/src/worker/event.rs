//! What a coding CLI does in a turn: the same for every CLI.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ending::Ending;

/// One event of a turn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// The CLI named its session, by which it can be resumed.
    Session(String),
    /// Text of the model.
    Text(String),
    /// A tool was used.
    Tool {
        /// The CLI's name of the tool.
        name: String,
        /// What it was used on: a path, a command.
        on: String,
    },
    /// A tool could not do its work, in the tool's words.
    ToolFailed(String),
    /// A tool ran a command that did not succeed: nothing is wrong with the tool.
    CommandFailed(String),
    /// A file was written, as far as the CLI tells: a path, or a name of the repository's.
    FileChange(String),
    /// Tokens of one request, or of all, as the CLI counts them.
    Usage(Usage),
    /// Tokens of all turns of the session until now, as the CLI counts them.
    SessionUsage(Usage),
    /// What the session cost until now in US dollars, by the CLI's own prices.
    SessionCost(f64),
    /// A request to the model failed and is tried again.
    Retry(String),
    /// An error, as the ending that it would come to.
    Error(Ending),
    /// A remark of the CLI that changes nothing.
    Note(String),
    /// The CLI wanted to ask somebody.
    Question(String),
    /// The CLI says that the turn is over.
    End,
    /// The CLI did what is the last thing of a turn, unless it goes on.
    PerhapsEnd,
    /// The CLI will not come to this end by itself, or not soon.
    Hopeless(Ending),
    /// An event of a kind that is not known, or no event at all.
    Unknown,
}

impl Event {
    /// Its kind, in one word.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Session(_) => "session",
            Self::Text(_) => "text",
            Self::Tool { .. } => "tool",
            Self::ToolFailed(_) => "tool_failed",
            Self::CommandFailed(_) => "command_failed",
            Self::FileChange(_) => "file_change",
            Self::Usage(_) => "usage",
            Self::SessionUsage(_) => "session_usage",
            Self::SessionCost(_) => "session_cost",
            Self::Retry(_) => "retry",
            Self::Error(_) => "error",
            Self::Note(_) => "note",
            Self::Question(_) => "question",
            Self::End => "end",
            Self::PerhapsEnd => "perhaps_end",
            Self::Hopeless(_) => "hopeless",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Event {
    /// One entry of the transcript; nothing for what people do not read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Tool { name, on } => write!(f, "[{name}] {on}"),
            Self::ToolFailed(text) => write!(f, "[tool failed] {text}"),
            Self::CommandFailed(text) => write!(f, "[command failed] {text}"),
            Self::Retry(text) => write!(f, "[retry] {text}"),
            Self::Error(ending) => write!(f, "[error] {ending}"),
            Self::Note(text) => write!(f, "[note] {text}"),
            Self::Question(text) => write!(f, "[question] {text}"),
            Self::Hopeless(ending) => write!(f, "[hopeless] {ending}"),
            Self::Session(_)
            | Self::FileChange(_)
            | Self::Usage(_)
            | Self::SessionUsage(_)
            | Self::SessionCost(_)
            | Self::End
            | Self::PerhapsEnd
            | Self::Unknown => Ok(()),
        }
    }
}

/// Tokens of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Read by the model, without those from its cache.
    pub(crate) input: u64,
    /// Read from the cache.
    pub(crate) cached: u64,
    /// Written by the model.
    pub(crate) output: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.cached += other.cached;
        self.output += other.output;
    }
}

impl Usage {
    /// What of it came after `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            input: self.input.saturating_sub(before.input),
            cached: self.cached.saturating_sub(before.cached),
            output: self.output.saturating_sub(before.output),
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, cached, output } = self;
        write!(f, "tokens: {input} in, {cached} cached, {output} out")
    }
}
