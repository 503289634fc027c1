//! Follow-up tickets that a worker or a Director proposes in its last words. Pure.
//!
//! Invariants: only a block that is written as it was asked for counts, and the last one alone; of it a
//! bounded number of bounded texts is taken, and nothing else; a block that is taken is no part of the
//! words any more.

use api_client::wire::{FollowUp, PROPOSALS_MAX, TEXT_MAX_CHARS, TITLE_MAX_CHARS};
use serde::Deserialize;

/// The line that begins a block.
const FENCE: &str = "```follow-up-tickets";
/// The line that ends it.
const FENCE_END: &str = "```";

/// As it is written; a field that was not asked for makes it something else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    title: String,
    text: String,
}

/// Last words without their block of proposals, and the proposals.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) text: String,
    pub(crate) proposals: Vec<FollowUp>,
}

/// Takes last words apart; a block that cannot be used stays where it is.
pub(crate) fn taken_apart(text: &str) -> Words {
    let whole = || Words { text: text.to_owned(), proposals: Vec::new() };
    let lines: Vec<&str> = text.lines().collect();
    let Some(begin) = lines.iter().rposition(|line| line.trim_end() == FENCE) else {
        return whole();
    };
    let inside = &lines[begin + 1..];
    let Some(length) = inside.iter().position(|line| line.trim_end() == FENCE_END) else {
        return whole();
    };
    let Ok(written) = serde_json::from_str::<Vec<Written>>(&inside[..length].join("\n")) else {
        return whole();
    };
    let (before, after) = (&lines[..begin], &inside[length + 1..]);
    let text = [before, after].concat().join("\n").trim_end().to_owned();
    let proposals = written.into_iter().filter_map(Written::accepted).take(PROPOSALS_MAX);
    Words { text, proposals: proposals.collect() }
}

impl Written {
    fn accepted(self) -> Option<FollowUp> {
        let title = self.title.split_whitespace().collect::<Vec<_>>().join(" ");
        let fits = !title.is_empty()
            && title.chars().count() <= TITLE_MAX_CHARS
            && self.text.len() <= TEXT_MAX_CHARS;
        fits.then_some(FollowUp { title, text: self.text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::{Prompts, Template};

    fn block(json: &str) -> String {
        format!("Done.\n\n```follow-up-tickets\n{json}\n```\n")
    }

    #[test]
    fn a_block_is_taken_out_of_the_words() {
        let words = taken_apart(&block(r#"[{"title": " Rotate\nkeys", "text": "Never done."}]"#));
        assert_eq!(words.text, "Done.");
        let expected = FollowUp { title: "Rotate keys".into(), text: "Never done.".into() };
        assert_eq!(words.proposals, [expected]);
        let nothing = taken_apart(&block("[]"));
        assert_eq!((nothing.text.as_str(), nothing.proposals.len()), ("Done.", 0));
    }

    #[test]
    fn a_block_that_is_not_as_asked_for_stays_in_the_words() {
        let priority = r#"[{"title": "a", "text": "", "priority": "high"}]"#;
        for text in [
            block("no JSON"),
            block(r#"{"title": "a", "text": ""}"#),
            block(priority),
            "Done.\n```follow-up-tickets\n[]".to_owned(),
            "Done.\n```json\n[{\"title\": \"a\", \"text\": \"\"}]\n```".to_owned(),
            "Done.".to_owned(),
        ] {
            let words = taken_apart(&text);
            assert_eq!((words.text, words.proposals), (text, vec![]));
        }
    }

    #[test]
    fn three_are_taken_and_none_that_is_too_long() {
        let one = |title: &str, text: &str| format!(r#"{{"title": "{title}", "text": "{text}"}}"#);
        let long = [one(&"t".repeat(201), ""), one("long", &"x".repeat(4_097)), one(" ", "")];
        let good = ["a", "b", "c", "d"].map(|title| one(title, ""));
        let words = taken_apart(&block(&format!("[{}, {}]", long.join(", "), good.join(", "))));
        let titles: Vec<_> = words.proposals.iter().map(|one| one.title.as_str()).collect();
        assert_eq!(titles, ["a", "b", "c"]);
    }

    #[test]
    fn of_two_blocks_the_last_counts() {
        let first = block(r#"[{"title": "a", "text": ""}]"#);
        let second = block(r#"[{"title": "b", "text": ""}]"#);
        let words = taken_apart(&(first.clone() + &second));
        assert_eq!(words.proposals[0].title, "b");
        assert!(words.text.starts_with(&first), "{}", words.text);
    }

    #[test]
    fn what_a_worker_is_shown_can_be_used() {
        assert_eq!(
            taken_apart(&Prompts::default().fill(Template::FollowUps, &[])).proposals.len(),
            1
        );
    }
}
