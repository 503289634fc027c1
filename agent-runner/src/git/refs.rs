//! Names of branches and commits.

use std::fmt;
use std::str::FromStr;

use api_client::{JobId, TicketId};
use serde::{Deserialize, Serialize};

/// The text cannot name a branch or a commit.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a valid {what}")]
pub(crate) struct InvalidName {
    what: &'static str,
    text: String,
}

impl InvalidName {
    fn new(what: &'static str, text: &str) -> Self {
        let text = text.chars().take(100).collect();
        Self { what, text }
    }
}

/// The name of a branch, without `refs/heads/`: valid for git, and never like an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BranchName(String);

impl BranchName {
    /// The branch of a ticket, as the app expects it: `ticket-<uuid>`.
    pub(crate) fn for_ticket(ticket: TicketId) -> Self {
        Self(format!("ticket-{ticket}"))
    }

    /// The branch of a run without a ticket: `agent-<8 hexadecimal digits>`.
    pub(crate) fn for_task(run: JobId) -> Self {
        Self(format!("agent-{}", run.short()))
    }

    /// The branch on which unfinished work of this one is saved.
    pub(crate) fn rescue(&self) -> Self {
        Self(format!("{}-rescue", self.0))
    }

    /// A further branch for a commit that does not build upon this one.
    pub(crate) fn with_suffix(&self, commit: CommitId) -> Self {
        let commit: String = commit.to_string().chars().take(8).collect();
        Self(format!("{}-{commit}", self.0))
    }

    /// The name, as people write it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The full name of the branch's ref.
    pub(crate) fn to_ref(&self) -> String {
        format!("refs/heads/{}", self.0)
    }

    /// The branch of a full ref name.
    pub(super) fn from_ref(name: &str) -> Result<Self, InvalidName> {
        name.strip_prefix("refs/heads/")
            .ok_or_else(|| InvalidName::new("branch name", name))?
            .parse()
    }
}

impl FromStr for BranchName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match git2::Branch::name_is_valid(text) {
            Ok(true) if !text.starts_with('-') && text != "HEAD" => Ok(Self(text.to_owned())),
            _ => Err(InvalidName::new("branch name", text)),
        }
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a commit: 40 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct CommitId(git2::Oid);

impl CommitId {
    pub(crate) const fn oid(self) -> git2::Oid {
        self.0
    }
}

impl From<git2::Oid> for CommitId {
    fn from(oid: git2::Oid) -> Self {
        Self(oid)
    }
}

impl From<CommitId> for String {
    fn from(commit: CommitId) -> Self {
        commit.to_string()
    }
}

impl TryFrom<String> for CommitId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl FromStr for CommitId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName::new("commit id", text);
        if text.len() != 40 {
            return Err(invalid());
        }
        git2::Oid::from_str(text).map(Self).map_err(|_| invalid())
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_name_is_never_an_option_or_a_path_out_of_the_refs() {
        for text in
            ["-f", "--upload-pack=x", "", "HEAD", "a..b", "../x", "a b", "x.lock", "a\nb", "a:b"]
        {
            assert!(text.parse::<BranchName>().is_err(), "{text:?}");
        }
        for text in ["main", "develop", "feature/ünïcode", "ticket-1"] {
            assert_eq!(text.parse::<BranchName>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn the_branches_of_tickets_have_the_name_the_app_expects() {
        let ticket: TicketId = "93863a0a-985e-474b-a6b2-40a89654e6bf".parse().unwrap();
        let branch = BranchName::for_ticket(ticket);
        assert_eq!(branch.to_ref(), "refs/heads/ticket-93863a0a-985e-474b-a6b2-40a89654e6bf");
        let run: JobId = "93863a0a-985e-474b-a6b2-40a89654e6bf".parse().unwrap();
        assert_eq!(BranchName::for_task(run).as_str(), "agent-93863a0a");
    }

    #[test]
    fn a_commit_id_is_whole() {
        assert!("abc123".parse::<CommitId>().is_err());
        assert!("z".repeat(40).parse::<CommitId>().is_err());
        let text = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(text.parse::<CommitId>().unwrap().to_string(), text);
    }
}
