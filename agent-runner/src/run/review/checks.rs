//! Failing checks of a pull request: part of what the worker is asked, for a few rounds.

use api_client::error_chain;

use crate::bounded::end;
use crate::forge::{AnyForge, Check, CheckState, ForgeError, Review as _};
use crate::git::CommitId;
use crate::inspect;
use crate::redaction::Redaction;

/// How often the checks of one pull request are given to the worker.
pub(super) const ROUNDS_MAX: u32 = 3;
/// Most checks that one run is told of.
const CHECKS_MAX: usize = 10;
/// How much of the end of each log, and of what a check says of itself, the worker sees, in bytes.
const LOG_MAX: usize = 8 << 10;

/// A check that failed, with what the forge tells of why.
#[derive(Clone, Debug)]
pub(super) struct Failing {
    /// Its name.
    pub(super) name: String,
    /// What it says, and the end of what it wrote, without any known secret; may be empty.
    pub(super) tail: String,
}

/// The checks that fail on a commit. A forge that does not tell has none: the review does not hang on it.
pub(super) async fn failing(
    forge: &AnyForge,
    commit: CommitId,
    redaction: &Redaction,
) -> Vec<Failing> {
    let checks = match forge.checks(commit).await {
        Ok(checks) => checks,
        Err(error) => {
            not_told(&error);
            return Vec::new();
        }
    };
    let failed = checks.into_iter().filter(|check| check.state == CheckState::Failed);
    let mut failing = Vec::new();
    for check in failed.take(CHECKS_MAX) {
        let log = forge.log_of(&check).await.unwrap_or_else(|error| {
            not_told(&error);
            None
        });
        failing.push(Failing { tail: tail(&check, log, redaction), name: check.name });
    }
    failing
}

/// Cut last: a part of a secret is not found.
fn tail(check: &Check, log: Option<String>, redaction: &Redaction) -> String {
    let parts = [check.words.clone(), log].into_iter().flatten();
    let parts = parts.map(|part| inspect::without_secrets(&redaction.redactor(), &part));
    let parts = parts.map(|part| end(&part, LOG_MAX).trim().to_owned());
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}

fn not_told(error: &ForgeError) {
    tracing::warn!("the forge does not tell of checks: {}", error_chain(error));
}
