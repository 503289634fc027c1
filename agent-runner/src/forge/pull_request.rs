//! Pull requests (on GitLab: merge requests) as all forges have them.

use crate::git::BranchName;

/// Longest title of a pull request, in characters (that of Gitea and GitLab; GitHub has one more).
pub(super) const TITLE_MAX_CHARS: usize = 255;
/// Longest body of a pull request, in characters; GitHub's limit, the lowest, is 65,536.
pub(super) const BODY_MAX_CHARS: usize = 60_000;
/// Ends the body of a pull request that is a draft until its checks pass, so that a later run knows
/// that no person made it one. It is not shown.
pub(crate) const UNTIL_CHECKS_PASS: &str = "<!-- agent-runner: a draft until the checks pass -->";

/// Whether a pull request can still be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullRequestState {
    /// It can.
    Open,
    /// It was closed or merged.
    Closed,
}

/// Whether a pull request is meant to be reviewed and merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It is.
    Ready,
    /// It was opened as a draft, or made one by a person. Of one that is there already, nothing is
    /// changed.
    Draft,
    /// It is a draft because the repository's checks fail. A later run for which they pass makes it
    /// ready.
    DraftUntilChecksPass,
}

/// A pull request as the forge shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PullRequest {
    /// Its number in the repository.
    pub(crate) number: u64,
    /// Its page, for people.
    pub(crate) url: String,
    /// The commit at the tip of its branch, 40 hexadecimal digits; empty where the forge has not
    /// looked yet.
    pub(crate) head_sha: String,
    /// The branch that it is to go to.
    pub(crate) base: String,
    /// Whether it is open.
    pub(crate) state: PullRequestState,
    /// Whether it is a draft.
    pub(crate) readiness: Readiness,
}

/// What a pull request is to say.
#[derive(Clone, Debug)]
pub(crate) struct PullRequestDraft {
    /// One line; what is too long is cut.
    pub(crate) title: String,
    /// Markdown; more than 60,000 characters are cut.
    pub(crate) body: String,
    /// The branch with the work, in the same repository.
    pub(crate) head: BranchName,
    /// The branch that the work is to go to.
    pub(crate) base: BranchName,
    /// Whether it is to be a draft.
    pub(crate) readiness: Readiness,
    /// Labels that it is to have; those that the repository does not know are left out.
    pub(crate) labels: Vec<String>,
    /// Who is to be asked for a review, by login; on GitHub and Gitea also `organisation/team`.
    pub(crate) reviewers: Vec<String>,
}

impl Readiness {
    /// What a forge shows: whether it is a draft, and the body.
    pub(super) fn shown(draft: bool, body: Option<&str>) -> Self {
        match (draft, body) {
            (false, _) => Self::Ready,
            (true, Some(body)) if body.trim_end().ends_with(UNTIL_CHECKS_PASS) => {
                Self::DraftUntilChecksPass
            }
            (true, _) => Self::Draft,
        }
    }

    /// Whether it is a draft, for whatever reason.
    pub(crate) const fn is_draft(self) -> bool {
        match self {
            Self::Ready => false,
            Self::Draft | Self::DraftUntilChecksPass => true,
        }
    }

    /// What is to be done with a pull request that is there already, if anything: only what a run
    /// did itself is undone.
    pub(super) const fn change_from(self, now: Self) -> Option<Self> {
        match (self, now) {
            (Self::DraftUntilChecksPass, Self::Ready) => Some(Self::DraftUntilChecksPass),
            (Self::Ready, Self::DraftUntilChecksPass) => Some(Self::Ready),
            _ => None,
        }
    }
}

impl PullRequestDraft {
    /// The title on one line, within the limit.
    pub(super) fn title(&self) -> String {
        let line = self.title.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = if line.is_empty() { self.head.to_string() } else { line };
        cut(&line, TITLE_MAX_CHARS)
    }

    /// The title for a forge that tells a draft by the beginning of the title, which is `mark`.
    pub(super) fn title_with(&self, mark: DraftMark) -> String {
        mark.put_on(&self.title(), self.readiness)
    }

    /// The same, but for its readiness.
    pub(super) fn with(&self, readiness: Readiness) -> Self {
        Self { readiness, ..self.clone() }
    }

    /// The body within the limit.
    pub(super) fn body(&self) -> String {
        let body = cut(&self.body.replace('\0', ""), BODY_MAX_CHARS);
        match self.readiness {
            Readiness::Ready | Readiness::Draft => body,
            Readiness::DraftUntilChecksPass => format!("{body}\n\n{UNTIL_CHECKS_PASS}\n"),
        }
    }
}

/// How a title begins on a forge that tells drafts by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct DraftMark {
    /// The beginning that we write.
    pub(super) written: &'static str,
    /// All that the forge knows, in lower case.
    pub(super) known: &'static [&'static str],
}

impl DraftMark {
    /// The title of a draft, or of a pull request that is none; the rest of it stays as it is.
    pub(super) fn put_on(self, title: &str, readiness: Readiness) -> String {
        let bare = self.taken_off(title);
        if readiness.is_draft() {
            return cut(&format!("{}{bare}", self.written), TITLE_MAX_CHARS);
        }
        bare.to_owned()
    }

    /// Whether the title is that of a draft.
    pub(super) fn is_on(self, title: &str) -> bool {
        self.taken_off(title).len() != title.trim_start().len()
    }

    /// The title without any such beginning.
    fn taken_off(self, title: &str) -> &str {
        let mut bare = title.trim_start();
        while let Some(rest) = self.known.iter().find_map(|mark| without(bare, mark)) {
            bare = rest.trim_start();
        }
        bare
    }
}

fn without<'t>(title: &'t str, mark: &str) -> Option<&'t str> {
    let (beginning, rest) = title.split_at_checked(mark.len())?;
    beginning.eq_ignore_ascii_case(mark).then_some(rest)
}

/// The text, or its beginning with an ellipsis.
pub(super) fn cut(text: &str, max_chars: usize) -> String {
    if text.chars().nth(max_chars).is_none() {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(max_chars - 1).collect();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: DraftMark = DraftMark { written: "Draft: ", known: &["draft:", "[draft]"] };

    fn draft(title: &str, readiness: Readiness) -> PullRequestDraft {
        PullRequestDraft {
            title: title.to_owned(),
            body: "Body".to_owned(),
            head: "ticket-1".parse().unwrap(),
            base: "main".parse().unwrap(),
            readiness,
            labels: Vec::new(),
            reviewers: Vec::new(),
        }
    }

    #[test]
    fn a_title_is_one_line_within_the_limit_and_never_empty() {
        let title = |title: &str| draft(title, Readiness::Ready).title();
        assert_eq!(title(" Fix\r\nthe  thing "), "Fix the thing");
        assert_eq!(title("\n"), "ticket-1");
        let long = title(&"ü".repeat(300));
        assert_eq!(long.chars().count(), TITLE_MAX_CHARS);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn a_body_within_the_limit_is_left_as_it_is() {
        assert_eq!(cut(&"x".repeat(5), 5), "xxxxx");
        assert_eq!(cut(&"x".repeat(6), 5), "xxxx…");
    }

    #[test]
    fn the_mark_of_a_draft_is_put_on_once_and_taken_off_wholly() {
        for (title, as_draft, as_ready) in [
            ("Fix it", "Draft: Fix it", "Fix it"),
            ("DRAFT: [Draft] Fix it", "Draft: Fix it", "Fix it"),
            ("Drafting: ü", "Draft: Drafting: ü", "Drafting: ü"),
            ("ü", "Draft: ü", "ü"),
        ] {
            assert_eq!(MARK.put_on(title, Readiness::Draft), as_draft);
            assert_eq!(MARK.put_on(title, Readiness::Ready), as_ready);
        }
        let long = draft(&"x".repeat(300), Readiness::Draft).title_with(MARK);
        assert_eq!(long.chars().count(), TITLE_MAX_CHARS);
        assert!(MARK.is_on("draft: x") && !MARK.is_on(" Fix draft: x"));
    }

    #[test]
    fn a_draft_for_its_checks_is_known_again_by_its_body() {
        let body = draft("t", Readiness::DraftUntilChecksPass).body();
        assert_eq!(Readiness::shown(true, Some(&body)), Readiness::DraftUntilChecksPass);
        assert_eq!(Readiness::shown(false, Some(&body)), Readiness::Ready);
        let body = draft("t", Readiness::Draft).body();
        assert_eq!(Readiness::shown(true, Some(&body)), Readiness::Draft);
        let quoted = format!("{UNTIL_CHECKS_PASS}\nis quoted here");
        assert_eq!(Readiness::shown(true, Some(&quoted)), Readiness::Draft);
    }

    #[test]
    fn what_a_person_decided_of_a_draft_is_left_alone() {
        use Readiness::{Draft, DraftUntilChecksPass, Ready};
        for (wanted, now, change) in [
            (Ready, Ready, None),
            (Ready, Draft, None),
            (Ready, DraftUntilChecksPass, Some(Ready)),
            (Draft, Ready, None),
            (Draft, DraftUntilChecksPass, None),
            (DraftUntilChecksPass, Ready, Some(DraftUntilChecksPass)),
            (DraftUntilChecksPass, Draft, None),
        ] {
            assert_eq!(wanted.change_from(now), change, "{wanted:?} from {now:?}");
        }
    }
}
