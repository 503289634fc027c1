//! What the reviews of a pull request come to. Pure.

use std::collections::HashMap;

use super::Approval;

/// What a review says; one that only comments says nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Approves,
    AsksForChanges,
    /// It was dismissed.
    Withdrawn,
}

/// Whether a pull request is approved, by the newest verdict of each reviewer; oldest first.
pub(super) fn approval<'a>(verdicts: impl IntoIterator<Item = (&'a str, Verdict)>) -> Approval {
    let newest: HashMap<&str, Verdict> = verdicts.into_iter().collect();
    let any = |wanted| newest.values().any(|verdict| *verdict == wanted);
    match any(Verdict::Approves) && !any(Verdict::AsksForChanges) {
        true => Approval::Given,
        false => Approval::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Approves, AsksForChanges, Withdrawn};
    use super::*;

    #[test]
    fn the_newest_verdict_of_each_reviewer_counts() {
        for (verdicts, expected) in [
            (&[][..], Approval::Missing),
            (&[("ann", Approves)], Approval::Given),
            (&[("ann", Approves), ("bob", AsksForChanges)], Approval::Missing),
            (&[("ann", AsksForChanges), ("ann", Approves)], Approval::Given),
            (&[("ann", Approves), ("ann", AsksForChanges)], Approval::Missing),
            (&[("ann", Approves), ("ann", Withdrawn)], Approval::Missing),
            (&[("ann", Approves), ("bob", AsksForChanges), ("bob", Withdrawn)], Approval::Given),
        ] {
            assert_eq!(approval(verdicts.iter().copied()), expected, "{verdicts:?}");
        }
    }
}
