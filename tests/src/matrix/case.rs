//! The cases: which CLI, and what happens to it.

use clap::ValueEnum;

/// A coding CLI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Cli {
    /// OpenCode.
    #[value(name = "opencode")]
    OpenCode,
    /// Claude Code.
    ClaudeCode,
    /// Codex.
    Codex,
    /// Gemini CLI.
    Gemini,
    /// Aider.
    Aider,
}

/// What happens in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum TurnEnd {
    /// It edits and finishes.
    Edits,
    /// It finishes without a change.
    NoChange,
    /// The endpoint answers 401.
    Unauthorised,
    /// The endpoint answers 429, with the time at which it will not any more.
    RateLimited,
    /// The endpoint answers 500, and recovers.
    Recovers,
    /// Nothing listens at the endpoint.
    ConnectionRefused,
    /// The model stops in the middle of its answer.
    HangsMidStream,
    /// The endpoint streams what is not the protocol.
    Garbage,
    /// Every use of a tool fails.
    ToolFails,
    /// The CLI does not exit when it is done.
    HangsAfterEnd,
    /// Somebody kills the CLI.
    Killed,
    /// The model asks the person something.
    AsksForInput,
}

/// One cell of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Case {
    /// The CLI.
    pub cli: Cli,
    /// What happens to it.
    pub end: TurnEnd,
}

impl Cli {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::OpenCode, Self::ClaudeCode, Self::Codex, Self::Gemini, Self::Aider];

    /// Its name in `WORKER_MODE`.
    pub const fn mode(self) -> &'static str {
        match self {
            Self::OpenCode => "opencode",
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Aider => "aider",
        }
    }

    /// Whether the model may use tools; Aider reads changes out of the model's text.
    pub(super) const fn has_tools(self) -> bool {
        !matches!(self, Self::Aider)
    }
}

impl TurnEnd {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Edits,
        Self::NoChange,
        Self::Unauthorised,
        Self::RateLimited,
        Self::Recovers,
        Self::ConnectionRefused,
        Self::HangsMidStream,
        Self::Garbage,
        Self::ToolFails,
        Self::HangsAfterEnd,
        Self::Killed,
        Self::AsksForInput,
    ];

    /// The same for people.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Edits => "edits and finishes",
            Self::NoChange => "finishes without a change",
            Self::Unauthorised => "the endpoint answers 401",
            Self::RateLimited => "the endpoint answers 429, with a reset",
            Self::Recovers => "the endpoint answers 500, and recovers",
            Self::ConnectionRefused => "connection refused",
            Self::HangsMidStream => "the model hangs in mid-stream",
            Self::Garbage => "a stream of garbage",
            Self::ToolFails => "every tool call fails",
            Self::HangsAfterEnd => "hangs after its end",
            Self::Killed => "is killed",
            Self::AsksForInput => "asks for input",
        }
    }

    pub(super) const fn slug(self) -> &'static str {
        match self {
            Self::Edits => "edits",
            Self::NoChange => "no-change",
            Self::Unauthorised => "unauthorised",
            Self::RateLimited => "rate-limited",
            Self::Recovers => "recovers",
            Self::ConnectionRefused => "connection-refused",
            Self::HangsMidStream => "hangs-mid-stream",
            Self::Garbage => "garbage",
            Self::ToolFails => "tool-fails",
            Self::HangsAfterEnd => "hangs-after-end",
            Self::Killed => "killed",
            Self::AsksForInput => "asks-for-input",
        }
    }
}

impl Case {
    /// All of them, CLI by CLI.
    pub fn all() -> Vec<Self> {
        let ends = |cli| TurnEnd::ALL.into_iter().map(move |end| Self { cli, end });
        Cli::ALL.into_iter().flat_map(ends).collect()
    }

    /// A fifth of them, which has every CLI and every ending in it.
    pub fn fifth() -> Vec<Self> {
        let clis = Cli::ALL.into_iter().cycle();
        TurnEnd::ALL.into_iter().zip(clis).map(|(end, cli)| Self { cli, end }).collect()
    }

    /// A name for files, repositories and containers.
    pub fn name(self) -> String {
        format!("{}-{}", self.cli.mode(), self.end.slug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_cases_touches_every_cli_and_every_ending() {
        let (all, fifth) = (Case::all(), Case::fifth());
        assert_eq!((all.len(), fifth.len()), (60, 12));
        assert!(Cli::ALL.into_iter().all(|cli| fifth.iter().any(|case| case.cli == cli)));
        assert!(TurnEnd::ALL.into_iter().all(|end| fifth.iter().any(|case| case.end == end)));
    }

    #[test]
    fn no_two_cases_share_a_name() {
        let names: std::collections::BTreeSet<_> =
            Case::all().into_iter().map(Case::name).collect();
        assert_eq!(names.len(), 60);
    }
}
