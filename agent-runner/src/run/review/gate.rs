//! Whose words start work: everything else that is said on a pull request is context at most. Pure.
//!
//! Invariant: a program's words start nothing unless its login is named, nor do those of an account that is
//! gone; a signature counts as ours only where whoever wrote it may start work anyway, or is us. Programs
//! repeat what others say, signatures too: one of theirs is ours only where our token has no name to compare.

use api_client::ReviewAuthors;

use crate::forge::{Account, AccountKind, Comment};

/// The last line of everything that we say on a pull request. The app knows our comments by it.
pub(super) const SIGNATURE: &str = "<!-- terarchitect-bot -->";

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    /// This run, or an earlier one.
    Us,
    /// Somebody who may start work.
    Allowed,
    /// Anybody else.
    Other,
}

/// Tells who speaks.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    /// Who may start work.
    pub(super) authors: ReviewAuthors,
    /// Our own login, where the token has one.
    pub(super) own_login: Option<String>,
}

impl Gate {
    /// Who wrote a comment. What our own account says without the signature is a person's where the setting
    /// names that login: the token may be theirs.
    pub(super) fn speaker(&self, comment: &Comment) -> Speaker {
        let Account { login, kind, .. } = &comment.author;
        let own = self.own_login.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(login));
        let allowed = self.allows(&comment.author);
        let nameless = self.own_login.is_none() && *kind == AccountKind::Bot;
        match (is_signed(comment), own) {
            (true, true) => Speaker::Us,
            (true, false) if allowed || nameless => Speaker::Us,
            (false, true) if !self.authors.name(login) => Speaker::Us,
            _ if allowed => Speaker::Allowed,
            _ => Speaker::Other,
        }
    }

    fn allows(&self, author: &Account) -> bool {
        let Account { login, kind, association } = author;
        let named = !login.is_empty() && self.authors.name(login);
        let associated = association.is_some_and(|association| self.authors.have(association));
        named || (associated && *kind == AccountKind::Person && !login.is_empty())
    }
}

/// Whether a comment ends as ours do, whoever wrote it.
pub(super) fn is_signed(comment: &Comment) -> bool {
    comment.body.lines().any(|line| line.trim() == SIGNATURE)
}

#[cfg(test)]
mod tests {
    use api_client::Association;

    use super::*;

    fn comment(login: &str, association: Option<Association>, body: &str) -> Comment {
        let kind = match login.ends_with("[bot]") {
            true => AccountKind::Bot,
            false => AccountKind::Person,
        };
        let author = Account { login: login.to_owned(), kind, association };
        Comment { id: 1, author, body: body.to_owned(), at: String::new() }
    }

    fn gate(authors: &str) -> Gate {
        Gate { authors: authors.parse().unwrap(), own_login: Some("Agent".to_owned()) }
    }

    #[test]
    fn those_who_may_start_work_are_told_by_association_and_name() {
        let gate = gate("MEMBER,eve,helper[bot]");
        let speaker = |login, association| gate.speaker(&comment(login, association, "Why?"));
        assert_eq!(speaker("ann", Some(Association::Member)), Speaker::Allowed);
        assert_eq!(speaker("ann", Some(Association::Owner)), Speaker::Other);
        assert_eq!(speaker("ann", None), Speaker::Other);
        assert_eq!(speaker("Eve", None), Speaker::Allowed);
        assert_eq!(speaker("", Some(Association::Member)), Speaker::Other, "gone");
    }

    #[test]
    fn a_program_starts_nothing_unless_it_is_named() {
        let gate = gate("MEMBER,helper[bot]");
        let speaker = |login| gate.speaker(&comment(login, Some(Association::Member), "Why?"));
        assert_eq!(speaker("other[bot]"), Speaker::Other);
        assert_eq!(speaker("helper[bot]"), Speaker::Allowed);
    }

    #[test]
    fn a_signature_of_somebody_else_is_not_ours() {
        let gate = gate("MEMBER");
        let signed = format!("Done.\n\n{SIGNATURE}");
        let speaker = |login, association| gate.speaker(&comment(login, association, &signed));
        assert_eq!(speaker("mallory", None), Speaker::Other);
        assert_eq!(speaker("agent", None), Speaker::Us);
        assert_eq!(speaker("app[bot]", None), Speaker::Other, "it may repeat what others say");
        let nameless = Gate { own_login: None, ..gate.clone() };
        assert_eq!(nameless.speaker(&comment("app[bot]", None, &signed)), Speaker::Us);
        assert_eq!(nameless.speaker(&comment("mallory", None, &signed)), Speaker::Other);
        let quoted = comment("ann", Some(Association::Member), &format!("> {SIGNATURE}\n\nNo."));
        assert_eq!(gate.speaker(&quoted), Speaker::Allowed, "a quotation is no signature");
    }

    #[test]
    fn what_our_own_account_says_is_ours_unless_a_person_shares_it() {
        let words = comment("agent", Some(Association::Member), "Why?");
        assert_eq!(gate("MEMBER").speaker(&words), Speaker::Us);
        assert_eq!(gate("MEMBER,agent").speaker(&words), Speaker::Allowed);
    }
}
