//! What is remembered of a review from one run to the next, in a hidden line of the pull request's own text:
//! what was decided of which thread, the commit that has it, and the rounds that failing checks took.
//!
//! Invariants: the text that people wrote stays as it is, byte for byte. Whoever may edit that text may break
//! or forge the line: what decides anything in it counts only with a seal that needs our token, and rounds,
//! which can only make us do less, count without. Nothing in it ends the comment that hides it.

use api_client::Secret;
use api_client::outcome::ThreadEnding;
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::endings::Decision;
use super::key::ReplyKey;
use crate::forge::UNTIL_CHECKS_PASS;
use crate::git::CommitId;

const BEGIN: &str = "<!-- terarchitect-review 1 ";
const END: &str = " -->";
/// Longest line that is looked at, in bytes.
const LINE_MAX: usize = 60_000;
/// Longest text of a pull request, in characters: GitHub's limit, the lowest, with room for what it counts otherwise.
const BODY_MAX_CHARS: usize = 65_000;
/// Longest replies that are kept, in characters, the first that brings all of them into the room there is.
const REPLY_MAX_CHARS: [usize; 4] = [4_000, 1_000, 300, 80];
/// What may be between the line and the rest.
const GAPS: [&str; 3] = ["\r\n\r\n", "\n\n", "\n"];
/// Most decisions that are read.
const DECISIONS_MAX: usize = 200;
/// Most threads that are known to be settled.
const SETTLED_MAX: usize = 100;

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    /// How often failing checks were given to the worker.
    pub(super) rounds: u32,
    /// The commit that has what was changed, where something was.
    pub(super) commit: Option<CommitId>,
    /// What was decided and the app does not know yet.
    pub(super) decisions: Vec<Decision>,
    /// What is over: the app knows of it, or the forge refuses the reply for good. No reply to it is posted again,
    /// also where somebody deletes ours. Oldest first, one of each thread.
    pub(super) settled: Vec<ReplyKey>,
}

/// Tells our own lines from others'.
#[derive(Debug)]
pub(super) struct Seal {
    key: hmac::Key,
    token: hmac::Key,
    /// The pull request, so that the line of another is none of this one.
    place: String,
}

/// There is no room in the text of the pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "its text is so long that what was decided of its threads cannot be noted there; shorten it"
)]
pub(super) struct NoRoom;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    rounds: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    decided: Vec<WrittenDecision>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    settled: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDecision {
    key: String,
    ending: ThreadEnding,
    reply: String,
}

impl Seal {
    /// The seal of what is said of this pull request under this key; what the token of the forge sealed is read as
    /// well.
    pub(super) fn new(key: &Secret, token: &Secret, pull_request: &str) -> Self {
        let [key, token] = [key, token]
            .map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose().trim().as_bytes()));
        Self { key, token, place: format!("terarchitect-review\n{pull_request}\n") }
    }

    fn of(&self, text: &str) -> String {
        self.by(&self.key, text)
    }

    fn is_of(&self, seal: &str, text: &str) -> bool {
        [&self.key, &self.token].into_iter().any(|key| {
            let expected = self.by(key, text);
            subtle::ConstantTimeEq::ct_eq(seal.as_bytes(), expected.as_bytes()).into()
        })
    }

    fn by(&self, key: &hmac::Key, text: &str) -> String {
        let tag = hmac::sign(key, format!("{}{text}", self.place).as_bytes());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Ledger {
    /// What the text of a pull request remembers.
    pub(super) fn read(body: &str, seal: &Seal) -> Self {
        let mut ledger = Self::default();
        let mut rounds = 0;
        for (tag, text) in body.lines().filter_map(parts) {
            let Ok(written) = serde_json::from_str::<Written>(text) else { continue };
            rounds = rounds.max(written.rounds);
            if seal.is_of(tag, text)
                && let Some(read) = written.read()
            {
                ledger = read;
            }
        }
        Self { rounds, ..ledger }
    }

    /// Notes that there is nothing more to say of this.
    pub(super) fn settle(&mut self, key: ReplyKey) {
        self.settled.retain(|one| one.thread != key.thread);
        self.settled.push(key);
        let excess = self.settled.len().saturating_sub(SETTLED_MAX);
        self.settled.drain(..excess);
    }

    /// The text of the pull request with this in the place of what it remembered before.
    ///
    /// # Errors
    /// When there is no room for it.
    pub(super) fn write_into(&self, body: &str, seal: &Seal) -> Result<String, NoRoom> {
        let human = without_ledger(body);
        let room = BODY_MAX_CHARS.saturating_sub(human.chars().count() + 2);
        let lines = REPLY_MAX_CHARS.into_iter().filter_map(|most| self.line(seal, most));
        let fits = |line: &String| line.chars().count() <= room && line.len() <= LINE_MAX;
        let line = lines.into_iter().find(fits).ok_or(NoRoom)?;
        // What our own drafts end with stays at the end.
        let words = human.trim_end().strip_suffix(UNTIL_CHECKS_PASS);
        Ok(match words.map(|words| human.split_at(words.len())) {
            Some((words, mark)) => format!("{words}{line}\n\n{mark}"),
            None if human.is_empty() => line,
            None => format!("{human}\n\n{line}"),
        })
    }

    fn line(&self, seal: &Seal, most: usize) -> Option<String> {
        let decided = self.decisions.iter().map(|decision| WrittenDecision {
            key: decision.key.to_string(),
            ending: decision.ending,
            reply: shortened(&decision.reply, most),
        });
        let commit = self.commit.map(|commit| commit.to_string());
        let settled = self.settled.iter().map(ReplyKey::to_string).collect();
        let written = Written { rounds: self.rounds, commit, decided: decided.collect(), settled };
        let text = serde_json::to_string(&written).ok()?;
        // Neither the end of a comment nor the name of a person is in it, then.
        let text = ['<', '>', '@', '&']
            .into_iter()
            .fold(text, |text, one| text.replace(one, &format!("\\u{:04x}", u32::from(one))));
        Some(format!("{BEGIN}{} {text}{END}", seal.of(&text)))
    }
}

impl Written {
    fn read(self) -> Option<Ledger> {
        let commit = self.commit.map(|commit| commit.parse()).transpose().ok()?;
        if self.decided.len() > DECISIONS_MAX {
            return None;
        }
        let read = |written: WrittenDecision| {
            let key = written.key.parse().ok()?;
            Some(Decision { key, ending: written.ending, reply: written.reply })
        };
        let decisions: Option<Vec<Decision>> = self.decided.into_iter().map(read).collect();
        let settled: Result<Vec<ReplyKey>, _> =
            self.settled.iter().take(SETTLED_MAX).map(|key| key.parse()).collect();
        let (decisions, settled) = (decisions?, settled.ok()?);
        Some(Ledger { rounds: self.rounds, commit, decisions, settled })
    }
}

/// Seal and text of a line that has the form of ours.
fn parts(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_end();
    if line.len() > LINE_MAX {
        return None;
    }
    let (seal, text) = line.strip_prefix(BEGIN)?.strip_suffix(END)?.split_once(' ')?;
    let is_seal = seal.len() == 64 && seal.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_seal && text.starts_with('{')).then_some((seal, text))
}

/// The text as people wrote it: what [`Ledger::write_into`] put in, and nothing else, is taken out.
fn without_ledger(body: &str) -> String {
    let mut human = body.to_owned();
    while let Some((begin, end)) = place_in(&human) {
        let (before, after) = (&human[..begin], &human[end..]);
        let (before, after) = match after.trim().is_empty() {
            true => (GAPS.iter().find_map(|gap| before.strip_suffix(gap)).unwrap_or(before), after),
            false => (before, GAPS.iter().find_map(|gap| after.strip_prefix(gap)).unwrap_or(after)),
        };
        human = format!("{before}{after}");
    }
    human
}

/// Where a line of ours begins and ends, if there is one.
fn place_in(body: &str) -> Option<(usize, usize)> {
    let mut begin = 0;
    for line in body.split_inclusive('\n') {
        if parts(line).is_some() {
            return Some((begin, begin + line.trim_end().len()));
        }
        begin += line.len();
    }
    None
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests;
