//! How the worker says that each thread ends, and what is believed of it. Pure.
//!
//! Invariant: every thread that was asked has one ending, whatever the worker says; *fixed* is one only where
//! the run changed something.

use std::collections::BTreeMap;

use api_client::outcome::ThreadEnding;
use serde::Deserialize;

use super::key::ReplyKey;
use super::threads::Asked;
use crate::bounded::bounded;
use crate::git::CommitId;

/// Longest reply, in bytes.
const REPLY_MAX: usize = 8 << 10;

const FENCE: &str = "```";

/// What was decided of one thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// What it answers.
    pub(super) key: ReplyKey,
    /// How it ends.
    pub(super) ending: ThreadEnding,
    /// What is said of it.
    pub(super) reply: String,
}

/// Why the endings cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// There is no such block.
    #[error("your last message has no block that begins with ```json and ends with ```")]
    Absent,
    /// It is something else.
    #[error("the block cannot be read: {0}")]
    Unreadable(String),
    /// A thread that nobody asked about.
    #[error("there is no thread {0:?}")]
    Unknown(String),
    /// A thread with two endings.
    #[error("thread {0} is there twice")]
    Twice(String),
    /// Threads without an ending.
    #[error("these threads have no ending: {0}")]
    Missing(String),
    /// An ending without words.
    #[error("thread {0} has an empty reply")]
    Wordless(String),
}

/// Whether the run changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// It did, and this commit is to be pushed.
    In(CommitId),
    /// It did not.
    Nothing,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    threads: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    thread: String,
    ending: ThreadEnding,
    reply: String,
}

/// What the worker calls the thread at this place, counted from 0.
pub(super) fn label(place: usize) -> String {
    format!("T{}", place + 1)
}

/// Reads the last block of the worker's last words: an ending for each thread, in their order.
pub(super) fn parse(words: &str, threads: usize) -> Result<Vec<(ThreadEnding, String)>, Fault> {
    let block = last_block(words).ok_or(Fault::Absent)?;
    let block: Block =
        serde_json::from_str(block).map_err(|error| Fault::Unreadable(error.to_string()))?;
    let mut missing: BTreeMap<String, usize> =
        (0..threads).map(|place| (label(place), place)).collect();
    let mut found: Vec<Option<(ThreadEnding, String)>> = vec![None; threads];
    for Entry { thread, ending, reply } in block.threads {
        let Some(place) = missing.remove(&thread) else {
            let known = (0..threads).any(|place| label(place) == thread);
            return Err(if known { Fault::Twice(thread) } else { Fault::Unknown(thread) });
        };
        if reply.trim().is_empty() {
            return Err(Fault::Wordless(thread));
        }
        found[place] = Some((ending, reply));
    }
    match missing.is_empty() {
        true => Ok(found.into_iter().flatten().collect()),
        false => {
            let mut names: Vec<(usize, String)> =
                missing.into_iter().map(|(name, place)| (place, name)).collect();
            names.sort();
            let names: Vec<String> = names.into_iter().map(|(_, name)| name).collect();
            Err(Fault::Missing(names.join(", ")))
        }
    }
}

/// The words without that block, for people.
pub(super) fn without_block(words: &str) -> String {
    let Some(block) = last_block(words) else { return words.trim().to_owned() };
    let begin = block.as_ptr().addr() - words.as_ptr().addr();
    let (before, after) = (&words[..begin], &words[begin + block.len()..]);
    let before = before.rsplit_once(FENCE).map_or(before, |(before, _)| before);
    let after = after.strip_prefix(FENCE).unwrap_or(after);
    format!("{}\n{}", before.trim_end(), after.trim_start()).trim().to_owned()
}

/// What is made of the endings; of those that could not be read, that they could not.
pub(super) fn decided(
    asked: &[Asked],
    said: Option<Vec<(ThreadEnding, String)>>,
    changed: Changed,
) -> Vec<Decision> {
    let unread = || {
        let unread = "what it says of this thread could not be read.";
        let (ending, reply) = match changed {
            // It may be the very thing that was asked for.
            Changed::In(commit) => (
                ThreadEnding::Answered,
                format!("The agent worked on the review in {commit}; {unread}"),
            ),
            Changed::Nothing => {
                (ThreadEnding::Declined, format!("The agent changed nothing, and {unread}"))
            }
        };
        vec![(ending, reply); asked.len()]
    };
    let said = said.unwrap_or_else(unread);
    let decisions = asked.iter().zip(said).map(|(asked, (ending, reply))| {
        let reply = bounded(reply.trim(), REPLY_MAX);
        let key = asked.key.clone();
        match (ending, changed) {
            (ThreadEnding::Fixed, Changed::Nothing) => Decision {
                key,
                ending: ThreadEnding::Declined,
                reply: format!("Nothing was changed for this. The agent says: {reply}"),
            },
            (ending, _) => Decision { key, ending, reply },
        }
    });
    decisions.collect()
}

/// What is between a fence of JSON and the next one: the last such block that is one of endings, else the last. A reply
/// may have a fence in it, which is no line of its own in JSON.
fn last_block(words: &str) -> Option<&str> {
    let blocks = words.rmatch_indices("```json").filter_map(|(at, fence)| {
        let rest = &words[at + fence.len()..];
        Some(&rest[..rest.find("\n```")? + 1])
    });
    let mut blocks = blocks.peekable();
    let last = blocks.peek().copied();
    blocks.find(|block| serde_json::from_str::<Block>(block).is_ok()).or(last)
}

#[cfg(test)]
mod tests {
    use super::super::threads::tests::{comment, thread};
    use super::*;
    use crate::forge::ThreadKind;

    const WORDS: &str = "I did it.\n\n```json\n{\"threads\":[\n{\"thread\":\"T2\",\"ending\":\"answered\",\
        \"reply\":\"Because: ```x```\"},{\"thread\":\"T1\",\"ending\":\"fixed\",\"reply\":\"Done.\"}]}\n```\n";

    fn commit() -> CommitId {
        "0123456789abcdef0123456789abcdef01234567".parse().unwrap()
    }

    fn asked() -> Vec<Asked> {
        let of = |id| {
            let thread = thread(ThreadKind::Line, vec![comment(id, "ann", "Why?")]);
            let key = ReplyKey { thread: format!("line:{id}"), comment: id };
            Asked { key, thread, speakers: Vec::new() }
        };
        vec![of(1), of(2)]
    }

    #[test]
    fn endings_are_read_in_the_order_of_the_threads() {
        let said = parse(WORDS, 2).unwrap();
        assert_eq!(said[0], (ThreadEnding::Fixed, "Done.".to_owned()));
        assert_eq!(said[1], (ThreadEnding::Answered, "Because: ```x```".to_owned()));
        assert_eq!(without_block(WORDS), "I did it.");
        assert_eq!(without_block(" Nothing. "), "Nothing.");
    }

    #[test]
    fn what_comes_after_the_block_is_no_part_of_it() {
        let more =
            format!("{WORDS}\nTo see it:\n\n```\nmake\n```\n\n```follow-up-tickets\n[]\n```\n");
        assert_eq!(parse(&more, 2), parse(WORDS, 2));
        assert!(without_block(&more).starts_with("I did it.\nTo see it:\n\n```\nmake"));
        assert_eq!(parse(&WORDS.replace('\n', "\r\n"), 2), parse(WORDS, 2));
        let sample = format!("{WORDS}\nIt answers:\n\n```json\n{{\"ok\": true}}\n```\n");
        assert_eq!(parse(&sample, 2), parse(WORDS, 2));
    }

    #[test]
    fn what_is_not_exactly_one_ending_for_each_thread_is_a_fault() {
        let block = |entries: &str| format!("```json\n{{\"threads\":[{entries}]}}\n```");
        let one = r#"{"thread":"T1","ending":"fixed","reply":"x"}"#;
        for (words, fault) in [
            ("All done.".to_owned(), Fault::Absent),
            (block(one), Fault::Missing("T2".to_owned())),
            (block(&format!("{one},{one}")), Fault::Twice("T1".to_owned())),
            (block(&one.replace("T1", "T3")), Fault::Unknown("T3".to_owned())),
            (block(&one.replace("\"x\"", "\" \"")), Fault::Wordless("T1".to_owned())),
        ] {
            assert_eq!(parse(&words, 2), Err(fault), "{words}");
        }
        for entry in [one.replace("fixed", "maybe"), one.replace("reply", "answer")] {
            let fault = parse(&block(&entry), 1).unwrap_err();
            assert!(matches!(fault, Fault::Unreadable(_)), "{fault}");
        }
    }

    #[test]
    fn fixed_is_believed_only_where_something_changed() {
        let said = || parse(WORDS, 2).ok();
        let endings = |changed| {
            let decided = decided(&asked(), said(), changed);
            decided.into_iter().map(|one| one.ending).collect::<Vec<_>>()
        };
        assert_eq!(endings(Changed::In(commit())), [ThreadEnding::Fixed, ThreadEnding::Answered]);
        assert_eq!(endings(Changed::Nothing), [ThreadEnding::Declined, ThreadEnding::Answered]);
    }

    #[test]
    fn endings_that_cannot_be_read_leave_no_thread_without_one() {
        for (changed, ending) in [
            (Changed::In(commit()), ThreadEnding::Answered),
            (Changed::Nothing, ThreadEnding::Declined),
        ] {
            let decided = decided(&asked(), None, changed);
            assert_eq!(decided.len(), 2);
            assert!(decided.iter().all(|one| one.ending == ending), "{decided:?}");
        }
        let worked = decided(&asked(), None, Changed::In(commit()));
        assert!(worked[0].reply.contains(&commit().to_string()), "it is not said to be undone");
    }
}
