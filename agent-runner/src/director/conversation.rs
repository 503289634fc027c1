//! What was said so far, within a number of tokens: the newest rounds whole, older ones as one line each.
//!
//! Invariant: the question itself is always there; where even that is too much, its middle is left out.

use serde::{Deserialize, Serialize};

use super::wire::{Message, Role};
use crate::bounded::bounded;

/// Bytes that are counted as one token: about right for English and code.
const BYTES_PER_TOKEN: usize = 4;

/// How many older rounds are told in brief; before those nothing is.
const BRIEF_MAX: usize = 30;

/// Least that is left of a question, in tokens.
const QUESTION_MIN: usize = 1_000;

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Round {
    /// The answer in one line.
    pub(super) brief: String,
    pub(super) asked: String,
    pub(super) answered: String,
}

/// All rounds.
#[derive(Debug)]
pub(super) struct Conversation {
    rounds: Vec<Round>,
    limit: usize,
}

/// The estimate for a text.
pub(super) fn tokens_of(text: &str) -> usize {
    text.len().div_ceil(BYTES_PER_TOKEN)
}

impl Round {
    fn tokens(&self) -> usize {
        tokens_of(&self.asked) + tokens_of(&self.answered)
    }
}

impl Conversation {
    /// An empty one, of which a question may have so many tokens with all that goes with it.
    pub(super) fn within(tokens: u32) -> Self {
        Self { rounds: Vec::new(), limit: usize::try_from(tokens).unwrap_or(usize::MAX) }
    }

    pub(super) fn add(&mut self, round: Round) {
        self.rounds.push(round);
    }

    pub(super) fn clear(&mut self) {
        self.rounds.clear();
    }

    /// What was said so far.
    pub(super) fn rounds(&self) -> &[Round] {
        &self.rounds
    }

    /// The same conversation with what was said in another run.
    pub(super) fn with(self, rounds: Vec<Round>) -> Self {
        Self { rounds, ..self }
    }

    /// The messages for a question, beside so many tokens that are pinned.
    pub(super) fn messages(&self, pinned: usize, question: &str) -> Vec<Message> {
        let room = self.limit.saturating_sub(pinned).max(QUESTION_MIN);
        let question = bounded(question, room.saturating_mul(BYTES_PER_TOKEN));
        let mut left = room.saturating_sub(tokens_of(&question));
        let fitting = self.rounds.iter().rev().take_while(|round| {
            let fits = round.tokens() <= left;
            left = left.saturating_sub(round.tokens());
            fits
        });
        let (old, whole) = self.rounds.split_at(self.rounds.len() - fitting.count());
        let mut messages: Vec<Message> = whole.iter().flat_map(both).collect();
        messages.push(Message { role: Role::Runner, text: question });
        if let (Some(first), false) = (messages.first_mut(), old.is_empty()) {
            first.text = format!("{}\n{}", in_brief(old), first.text);
        }
        messages
    }
}

fn both(round: &Round) -> [Message; 2] {
    [
        Message { role: Role::Runner, text: round.asked.clone() },
        Message { role: Role::Director, text: round.answered.clone() },
    ]
}

/// Older rounds, one line each.
fn in_brief(old: &[Round]) -> String {
    let skipped = old.len().saturating_sub(BRIEF_MAX);
    let mut text = "## Your earlier answers, in brief\n\n".to_owned();
    if skipped > 0 {
        text.push_str(&format!("- ({skipped} more before these)\n"));
    }
    old.iter().skip(skipped).for_each(|round| text.push_str(&format!("- {}\n", round.brief)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(limit: u32, rounds: usize) -> Conversation {
        let mut conversation = Conversation::within(limit);
        for number in 0..rounds {
            conversation.add(Round {
                brief: format!("brief {number}"),
                asked: format!("question {number} {}", "x".repeat(4_000)),
                answered: format!("answer {number}"),
            });
        }
        conversation
    }

    fn size(messages: &[Message]) -> usize {
        messages.iter().map(|message| tokens_of(&message.text)).sum()
    }

    #[test]
    fn all_is_there_while_there_is_room() {
        let messages = conversation(10_000, 3).messages(100, "and now?");
        assert_eq!(messages.len(), 7);
        assert!(messages[0].text.starts_with("question 0"));
        assert_eq!(messages[6].text, "and now?");
    }

    #[test]
    fn older_rounds_become_one_line_and_the_newest_stay_whole() {
        let messages = conversation(4_000, 40).messages(500, "and now?");
        assert_eq!(messages.len(), 7, "three rounds and the question");
        let first = &messages[0].text;
        assert!(first.contains("- (7 more before these)\n- brief 7\n"), "{first}");
        assert!(first.contains("- brief 36\n\nquestion 37"), "{first}");
        assert!(size(&messages) <= 3_700, "{}", size(&messages));
    }

    #[test]
    fn a_question_that_is_too_long_loses_its_middle() {
        let question = format!("begins {} ends", "y".repeat(100_000));
        let messages = conversation(2_000, 5).messages(1_900, &question);
        assert_eq!(messages.len(), 1);
        let text = &messages[0].text;
        assert!(text.contains("begins") && text.ends_with("ends"), "{text}");
        assert!(size(&messages) < 1_300, "{}", size(&messages));
    }
}
