//! Whose words on a pull request start work: [`AGENT_REVIEW_AUTHORS`](crate::contract::env::AGENT_REVIEW_AUTHORS),
//! which the app and the agent read alike.

use std::str::FromStr;

/// Words that forges use of accounts, and that would open a run to everybody.
const REFUSED: [&str; 4] = ["NONE", "FIRST_TIMER", "FIRST_TIME_CONTRIBUTOR", "MANNEQUIN"];
/// Words that are meant as something else than the account of that name.
const NO_LOGINS: [&str; 14] = [
    "ADMIN",
    "ADMINS",
    "ALL",
    "ANYONE",
    "COLLABORATORS",
    "CONTRIBUTORS",
    "DEVELOPER",
    "DEVELOPERS",
    "EVERYBODY",
    "EVERYONE",
    "MAINTAINER",
    "MAINTAINERS",
    "MEMBERS",
    "OWNERS",
];

/// What an account has to do with a repository, from most to least, in GitHub's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Association {
    /// It owns the repository.
    Owner,
    /// It belongs to the organisation that does.
    Member,
    /// It was given the right to work on the repository; on Gitea and GitLab, to write to it.
    Collaborator,
    /// A change of it was merged.
    Contributor,
}

/// Who may have the agent work by what they say on a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewAuthors {
    associations: Vec<Association>,
    /// In lower case.
    logins: Vec<String>,
}

/// A list that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReviewAuthors {
    /// It has nobody.
    #[error("must name somebody")]
    Nobody,
    /// This word stands for everybody.
    #[error("must not let everybody start work, got {0:?}")]
    Everybody(String),
    /// This is no login, or a word that is meant as something else than a login.
    #[error("must be a list of {known} and logins, got {0:?}", known = Association::ALL.map(Association::word).join(", "))]
    Word(String),
}

impl Association {
    /// All that can be allowed.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Member, Self::Collaborator, Self::Contributor];

    /// GitHub's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Owner => "OWNER",
            Self::Member => "MEMBER",
            Self::Collaborator => "COLLABORATOR",
            Self::Contributor => "CONTRIBUTOR",
        }
    }

    /// The association of this word in letters of either case, if it is one that can be allowed.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|association| association.word().eq_ignore_ascii_case(word))
    }
}

impl Default for ReviewAuthors {
    /// Owners, members and collaborators.
    fn default() -> Self {
        let associations = vec![Association::Owner, Association::Member, Association::Collaborator];
        Self { associations, logins: Vec::new() }
    }
}

impl ReviewAuthors {
    /// Whether accounts of this association are among them.
    pub fn have(&self, association: Association) -> bool {
        self.associations.contains(&association)
    }

    /// Whether this account is named.
    pub fn name(&self, login: &str) -> bool {
        self.logins.contains(&login.to_lowercase())
    }
}

impl FromStr for ReviewAuthors {
    type Err = InvalidReviewAuthors;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut authors = Self { associations: Vec::new(), logins: Vec::new() };
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match Association::of_word(word) {
                Some(association) => authors.associations.push(association),
                None if is_one_of(&REFUSED, word) => {
                    return Err(InvalidReviewAuthors::Everybody(word.to_owned()));
                }
                None if is_login(word) && !is_one_of(&NO_LOGINS, word) => {
                    authors.logins.push(word.to_lowercase());
                }
                None => return Err(InvalidReviewAuthors::Word(word.to_owned())),
            }
        }
        match authors.associations.is_empty() && authors.logins.is_empty() {
            true => Err(InvalidReviewAuthors::Nobody),
            false => Ok(authors),
        }
    }
}

fn is_one_of(words: &[&str], word: &str) -> bool {
    words.iter().any(|one| one.eq_ignore_ascii_case(word))
}

/// Accounts of programs have brackets in their names on GitHub.
fn is_login(word: &str) -> bool {
    word.chars().all(|c| c.is_alphanumeric() || "-_.[]".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_associations_and_logins() {
        let authors: ReviewAuthors = "OWNER, Alice,helper[bot]".parse().unwrap();
        assert!(authors.have(Association::Owner) && !authors.have(Association::Member));
        assert!(authors.name("alice") && authors.name("Helper[bot]") && !authors.name("bob"));
        let small: ReviewAuthors = "owner,Member".parse().unwrap();
        assert!(small.have(Association::Owner) && small.have(Association::Member));
        assert!(!small.name("owner") && !small.name("member"));
        let usual = ReviewAuthors::default();
        assert!(usual.have(Association::Collaborator) && !usual.have(Association::Contributor));
    }

    #[test]
    fn a_list_names_neither_nobody_nor_everybody() {
        for text in ["NONE", "none", "OWNER,First_Timer", ",", "two words", "*", "Maintainers"] {
            assert!(text.parse::<ReviewAuthors>().is_err(), "{text}");
        }
    }
}
