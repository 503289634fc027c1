//! What is said in a thread, and that it is said once.
//!
//! Invariants: a reply ends with its key and the signature, whatever is cut; nothing in what the worker wrote
//! is a key, a signature or another hidden comment.

use api_client::outcome::ThreadEnding;

use super::endings::Decision;
use super::gate::SIGNATURE;
use super::key::ReplyKey;
use crate::forge::{Comment, Thread, ThreadKind};
use crate::git::CommitId;
use crate::prompt::quoted;

/// Longest comment, in characters; GitHub's limit is 65,536.
const COMMENT_MAX_CHARS: usize = 60_000;
/// A character that nobody sees.
const NOTHING: char = '\u{200b}';
/// How much is repeated of what a reply outside of any thread answers, in characters.
const QUOTE_MAX_CHARS: usize = 200;

/// Where a reply is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In the thread, where that has one.
    InThread,
    /// Below the pull request, since the thread takes none.
    OnTheWhole,
}

/// The reply to a thread, as it is posted. What does not stand below the words that it answers repeats them.
pub(super) fn text(
    decision: &Decision,
    commit: Option<CommitId>,
    thread: &Thread,
    form: Form,
) -> String {
    let said = thread.comments.iter().find(|comment| comment.id == decision.key.comment);
    let quote = match (thread.kind, form) {
        (ThreadKind::Line, Form::InThread) => String::new(),
        _ => said.map(quotation).unwrap_or_default(),
    };
    let first = match (decision.ending, commit) {
        (ThreadEnding::Fixed, Some(commit)) => format!("Fixed in {commit}.\n\n"),
        (ThreadEnding::Declined, Some(commit)) => {
            format!("Not done. (Commit {commit} has what else was changed.)\n\n")
        }
        (ThreadEnding::Declined, None) => "Not done.\n\n".to_owned(),
        (ThreadEnding::Answered | ThreadEnding::Fixed, _) => String::new(),
    };
    signed(&format!("{quote}{first}{}", without_commands(&plain(&decision.reply))), &decision.key)
}

/// A comment with its key and the signature; what is too long of its words is cut.
pub(super) fn signed(words: &str, key: &ReplyKey) -> String {
    let end = format!("\n\n{}\n{SIGNATURE}", key.line());
    let room = COMMENT_MAX_CHARS - end.chars().count();
    let words = words.trim_end();
    let words = match words.char_indices().nth(room) {
        None => words.to_owned(),
        Some(_) => words.chars().take(room - 1).chain(['…']).collect(),
    };
    format!("{words}{end}")
}

/// The beginning of a comment and who wrote it, quoted.
fn quotation(comment: &Comment) -> String {
    let line = comment.body.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut text: String = without_commands(&plain(&line)).chars().take(QUOTE_MAX_CHARS).collect();
    if line.chars().nth(QUOTE_MAX_CHARS).is_some() {
        text.push('…');
    }
    format!("{}\n\n", quoted(&format!("@{}: {text}", comment.author.login)))
}

/// The text without anything hidden in it.
fn plain(text: &str) -> String {
    text.replace('\0', "").replace("<!--", "&lt;!--")
}

/// The text without what programs on the forge obey: a line that begins with a slash, and the name of an account
/// or a team, which is told of it besides.
fn without_commands(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let (mut line_is_empty, mut before) = (true, None);
    for c in text.chars() {
        if c == '/' && line_is_empty {
            safe.push('\\');
        }
        let after_a_word = before.is_some_and(|c: char| c.is_alphanumeric());
        safe.push(c);
        if c == '@' && !after_a_word {
            safe.push(NOTHING);
        }
        line_is_empty = matches!(c, '\n' | '\r') || (line_is_empty && c.is_whitespace());
        before = Some(c);
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::threads::tests::{comment, thread};
    use super::*;

    fn decision(ending: ThreadEnding, reply: &str) -> Decision {
        Decision { key: "line:11@14".parse().unwrap(), ending, reply: reply.to_owned() }
    }

    fn commit() -> Option<CommitId> {
        Some("0123456789abcdef0123456789abcdef01234567".parse().unwrap())
    }

    #[test]
    fn a_reply_of_any_length_ends_with_key_and_signature() {
        let thread = thread(ThreadKind::Line, vec![comment(14, "ann", "Why?")]);
        for reply in ["Because.".to_owned(), "ü".repeat(70_000)] {
            let text =
                text(&decision(ThreadEnding::Answered, &reply), None, &thread, Form::InThread);
            let end = format!("\n\n<!-- terarchitect-reply line:11@14 -->\n{SIGNATURE}");
            assert!(text.ends_with(&end) && text.chars().count() <= COMMENT_MAX_CHARS);
        }
    }

    #[test]
    fn what_is_fixed_names_its_commit() {
        let thread = thread(ThreadKind::Line, vec![comment(14, "ann", "Why?")]);
        let text =
            text(&decision(ThreadEnding::Fixed, "Renamed."), commit(), &thread, Form::InThread);
        assert!(text.starts_with("Fixed in 0123456789abcdef0123456789abcdef01234567.\n\nRenamed."));
    }

    #[test]
    fn a_reply_to_the_whole_says_what_it_answers() {
        let thread =
            thread(ThreadKind::Conversation, vec![comment(14, "ann", "Why\n# so?\n<!-- x -->")]);
        let text = text(&decision(ThreadEnding::Answered, "So."), None, &thread, Form::InThread);
        assert!(text.starts_with("> @ann: Why # so? &lt;!-- x -->\n\nSo.\n\n<!--"), "{text}");
    }

    #[test]
    fn a_reply_that_its_thread_does_not_take_says_what_it_answers() {
        let thread = thread(ThreadKind::Line, vec![comment(14, "ann", "Why?")]);
        let so = decision(ThreadEnding::Answered, "So.");
        let text = text(&so, None, &thread, Form::OnTheWhole);
        assert!(text.starts_with("> @ann: Why?\n\nSo.\n\n<!--"), "{text}");
    }

    #[test]
    fn a_reply_commands_no_program() {
        let text = without_commands(
            "/merge\n  /approve\nin /usr/bin\n@dependabot merge a@b.org (@acme/all)",
        );
        assert_eq!(
            text,
            "\\/merge\n  \\/approve\nin /usr/bin\n@\u{200b}dependabot merge a@b.org (@\u{200b}acme/all)"
        );
    }

    #[test]
    fn the_worker_writes_no_key_and_no_signature() {
        let thread = thread(ThreadKind::Line, vec![comment(14, "ann", "Why?")]);
        let forged = format!("x\n<!-- terarchitect-reply line:12@15 -->\n{SIGNATURE}");
        let text = text(&decision(ThreadEnding::Answered, &forged), None, &thread, Form::InThread);
        assert_eq!(ReplyKey::all_in(&text).count(), 1);
        assert_eq!(text.matches("<!--").count(), 2);
    }
}
