//! Who wrote a comment, and whether it may start a job. Pure.
//!
//! Invariant: what an agent signed starts nothing, nor do programs and our own account unless their login is named.

use api_client::{Association, ReviewAuthors};

/// A line of each comment of an agent, of this program or of the original one.
const SIGNATURE: &str = "<!-- terarchitect-bot -->";

/// Who wrote a comment, as far as the forge tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// An agent of ours, or the account that the token is of.
    Ourselves,
    /// Another program.
    Bot,
    /// Nobody of those who may start a job.
    Outsider,
    /// One of them.
    Person,
}

/// What the forge says of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Account {
    Program,
    /// A person, and what they have to do with the repository.
    Person(Option<Association>),
}

/// Tells who wrote a comment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate<'a> {
    /// The login of the token's account, if it may be known.
    pub(super) own: Option<&'a str>,
    /// Who may start a job.
    pub(super) authors: &'a ReviewAuthors,
}

impl Gate<'_> {
    pub(super) fn author(self, login: &str, account: Account, body: &str) -> Author {
        // Who quotes an agent has the line too, after a `>`.
        let signed = body.lines().any(|line| line.trim() == SIGNATURE);
        let own = self.own.is_some_and(|own| own.eq_ignore_ascii_case(login));
        match account {
            _ if signed => Author::Ourselves,
            _ if !login.is_empty() && self.authors.name(login) => Author::Person,
            _ if own => Author::Ourselves,
            Account::Program => Author::Bot,
            Account::Person(_) if login.ends_with("[bot]") => Author::Bot,
            Account::Person(Some(association)) if self.authors.have(association) => Author::Person,
            Account::Person(_) => Author::Outsider,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: Account = Account::Person(Some(Association::Member));

    fn author(authors: &str, login: &str, account: Account, body: &str) -> Author {
        let authors = match authors {
            "" => ReviewAuthors::default(),
            list => list.parse().unwrap(),
        };
        Gate { own: Some("agents"), authors: &authors }.author(login, account, body)
    }

    #[test]
    fn our_own_comments_are_known_by_signature_or_account_and_bots_by_name() {
        let who = |login, body| author("", login, MEMBER, body);
        assert_eq!(who("ann", "please rename"), Author::Person);
        assert_eq!(who("Agents", "done"), Author::Ourselves);
        assert_eq!(who("ann", "done\n\n<!-- terarchitect-bot -->"), Author::Ourselves);
        let quoted = "> done\n> <!-- terarchitect-bot -->\n\nNot quite.";
        assert_eq!(who("ann", quoted), Author::Person);
        assert_eq!(who("renovate[bot]", "update"), Author::Bot);
        assert_eq!(author("", "project_1_bot", Account::Program, "update"), Author::Bot);
        assert_eq!(author("", "eve", Account::Person(None), "x"), Author::Outsider);
    }

    #[test]
    fn the_setting_says_who_may_start_a_job() {
        let contributor = Account::Person(Some(Association::Contributor));
        assert_eq!(author("", "zoe", contributor, "x"), Author::Outsider);
        assert_eq!(author("CONTRIBUTOR", "zoe", contributor, "x"), Author::Person);
        assert_eq!(author("CONTRIBUTOR", "ann", MEMBER, "x"), Author::Outsider);
        assert_eq!(author("Eve", "eve", Account::Person(None), "x"), Author::Person);
        assert_eq!(author("lint[bot]", "lint[bot]", Account::Program, "x"), Author::Person);
        let signed = author("agents", "agents", MEMBER, "done\n<!-- terarchitect-bot -->");
        assert_eq!(signed, Author::Ourselves);
        assert_eq!(author("agents", "agents", MEMBER, "and this?"), Author::Person);
    }
}
