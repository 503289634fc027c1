//! What an account has to do with a repository.

/// From most to least, in GitHub's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Association {
    /// It owns the repository.
    Owner,
    /// It belongs to the organisation that does.
    Member,
    /// It was given the right to work on the repository; on Gitea and GitLab, to write to it.
    Collaborator,
    /// A change of it was merged.
    Contributor,
}

impl Association {
    /// All that can be allowed.
    pub(crate) const ALL: [Self; 4] =
        [Self::Owner, Self::Member, Self::Collaborator, Self::Contributor];

    /// GitHub's word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Owner => "OWNER",
            Self::Member => "MEMBER",
            Self::Collaborator => "COLLABORATOR",
            Self::Contributor => "CONTRIBUTOR",
        }
    }

    /// The association of this word in letters of either case, if it is one that can be allowed.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|association| association.word().eq_ignore_ascii_case(word))
    }
}
