//! The hidden key of a reply: what it answers. A later run knows by it what was said already. Pure.

use std::fmt;
use std::str::FromStr;

use crate::forge::{Thread, ThreadKind};

const BEGIN: &str = "<!-- terarchitect-reply ";
const END: &str = " -->";

/// A thread, up to one of its comments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReplyKey {
    /// `line:…`, `review:…` or `comment:…`, with the forge's name of it.
    pub(super) thread: String,
    /// The newest comment that is answered.
    pub(super) comment: u64,
}

/// The name of a thread among all of a pull request.
pub(super) fn name_of(thread: &Thread) -> String {
    let kind = match thread.kind {
        ThreadKind::Line => "line",
        ThreadKind::Review => "review",
        ThreadKind::Conversation => "comment",
    };
    format!("{kind}:{}", thread.id)
}

impl ReplyKey {
    /// The line that carries it.
    pub(super) fn line(&self) -> String {
        format!("{BEGIN}{self}{END}")
    }

    /// The keys that a comment carries.
    pub(super) fn all_in(body: &str) -> impl Iterator<Item = Self> {
        body.lines()
            .filter_map(|line| line.trim().strip_prefix(BEGIN)?.strip_suffix(END)?.parse().ok())
    }
}

impl fmt::Display for ReplyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.thread, self.comment)
    }
}

impl FromStr for ReplyKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let (thread, comment) = text.rsplit_once('@').ok_or(NotAKey)?;
        let (kind, id) = thread.split_once(':').ok_or(NotAKey)?;
        let known = ["line", "review", "comment", "checks"].contains(&kind);
        let plain =
            !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric());
        let comment = comment.parse().map_err(|_| NotAKey)?;
        match known && plain {
            true => Ok(Self { thread: thread.to_owned(), comment }),
            false => Err(NotAKey),
        }
    }
}

/// The text is no key of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no key of a reply")]
pub(super) struct NotAKey;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_again_in_the_comment_that_carries_it() {
        let key = ReplyKey { thread: "line:11".to_owned(), comment: 14 };
        let body = format!("Done.\r\n\r\n{}\r\n<!-- terarchitect-bot -->", key.line());
        assert_eq!(ReplyKey::all_in(&body).collect::<Vec<_>>(), [key]);
    }

    #[test]
    fn what_is_not_exactly_a_key_is_none() {
        for text in ["line:11", "line:@1", "other:1@2", "line:a b@1", "line:1@x", "line:1@2 -->"] {
            assert!(text.parse::<ReplyKey>().is_err(), "{text}");
        }
        assert_eq!(ReplyKey::all_in("> <!-- terarchitect-reply line:1@2 -->").count(), 0);
    }
}
