//! Whose comments a review job answers.

use std::str::FromStr;

use api_client::contract::env;

use super::{Layers, SettingsError};
use crate::cli::Kind;
use crate::forge::Association;

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

/// Who may have the agent work by what they say on a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReviewAuthors {
    associations: Vec<Association>,
    /// In lower case.
    logins: Vec<String>,
}

impl Default for ReviewAuthors {
    /// Owners, members and collaborators.
    fn default() -> Self {
        let associations = vec![Association::Owner, Association::Member, Association::Collaborator];
        Self { associations, logins: Vec::new() }
    }
}

impl ReviewAuthors {
    /// Those of the setting, else the usual ones.
    ///
    /// # Errors
    /// When the setting names nobody, or everybody.
    pub(super) fn read(layers: &Layers) -> Result<Self, SettingsError> {
        let found = layers.find(env::AGENT_REVIEW_AUTHORS).map(|authors| authors.parse());
        Ok(found.transpose()?.unwrap_or_default())
    }

    /// Whether accounts of this association are among them.
    pub(crate) fn have(&self, association: Association) -> bool {
        self.associations.contains(&association)
    }

    /// Whether this account is named.
    pub(crate) fn name(&self, login: &str) -> bool {
        self.logins.contains(&login.to_lowercase())
    }
}

/// The number of the pull request that a review is of.
pub(super) fn pull_request(layers: &Layers, kind: Kind) -> Result<Option<u64>, SettingsError> {
    if kind != Kind::Review {
        return Ok(None);
    }
    let found = layers.required(env::PR_NUMBER, "the number of the pull request to answer")?;
    Ok(Some(u64::from(found.number(u32::MAX)?)))
}

impl FromStr for ReviewAuthors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut authors = Self { associations: Vec::new(), logins: Vec::new() };
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match Association::of_word(word) {
                Some(association) => authors.associations.push(association),
                None if is_one_of(&REFUSED, word) => {
                    return Err(format!("must not let everybody start work, got {word:?}"));
                }
                None if is_login(word) && !is_one_of(&NO_LOGINS, word) => {
                    authors.logins.push(word.to_lowercase());
                }
                None => {
                    let known = Association::ALL.map(Association::word).join(", ");
                    return Err(format!("must be a list of {known} and logins, got {word:?}"));
                }
            }
        }
        match authors.associations.is_empty() && authors.logins.is_empty() {
            true => Err("must name somebody".to_owned()),
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
