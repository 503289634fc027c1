//! What a run tells and proposes while it goes, and after: for an app that takes it.

use serde::{Deserialize, Serialize};

use super::clean_text;
use crate::TicketId;

/// Longest note of a checkpoint, in characters; the app takes no longer one.
pub const NOTE_MAX_CHARS: usize = 1_000;

/// The word by which an app says that follow-up tickets may be proposed.
pub const OFFERS_FOLLOW_UPS: &str = "follow_ups";

/// How many follow-up tickets a run may add.
pub const PROPOSALS_MAX: usize = 3;

/// Longest title of a follow-up ticket, in characters.
pub const TITLE_MAX_CHARS: usize = 200;

/// Longest text of a follow-up ticket, in characters, and in bytes.
pub const TEXT_MAX_CHARS: usize = 4_096;

/// What happened in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hook {
    /// It began.
    #[serde(rename = "on_start")]
    Start,
    /// A turn of the worker ended.
    #[serde(rename = "on_turn")]
    Turn,
    /// The worker used a tool.
    #[serde(rename = "on_tool")]
    Tool,
    /// It could not go on.
    #[serde(rename = "on_error")]
    Error,
    /// It delivered.
    #[serde(rename = "on_complete")]
    Complete,
}

/// What a run tells of itself while it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// What happened.
    pub hook: Hook,
    /// The turn of the worker, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<u32>,
    /// One line; at most [`NOTE_MAX_CHARS`].
    pub note: String,
    /// Tokens that the run has used until then.
    pub tokens: u64,
}

impl Checkpoint {
    /// The checkpoint as the app can store it.
    #[must_use]
    pub fn cleaned(&self) -> Self {
        let note = clean_text(&self.note).chars().take(NOTE_MAX_CHARS).collect();
        Self { note, ..self.clone() }
    }
}

/// A ticket that a run proposes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowUp {
    /// One line; at most [`TITLE_MAX_CHARS`].
    pub title: String,
    /// Markdown; at most [`TEXT_MAX_CHARS`].
    pub text: String,
}

impl FollowUp {
    /// The proposal as the app can store it.
    #[must_use]
    pub fn cleaned(&self) -> Self {
        Self { title: clean_text(&self.title), text: clean_text(&self.text) }
    }
}

/// What became of a run's proposals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Proposed {
    /// The new tickets.
    pub created: Vec<TicketId>,
    /// So many were proposed before.
    pub known: usize,
    /// So many were more than a run may add.
    pub refused: usize,
}
