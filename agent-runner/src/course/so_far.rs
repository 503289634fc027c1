//! What a run tells of itself while it goes.
//!
//! Invariant: the tokens that it tells are those of worker and Director, of this try of the job alone. Calls that are
//! under way are among them, as the job's account has them.

use api_client::outcome::TokenFacts;
use api_client::wire::{Checkpoint, Hook};

use super::{Course, MutexGuard, PoisonError};
use crate::bounded::bounded;
use crate::model_gateway::{Account, Spent};

/// Longest note of a checkpoint, in bytes.
const NOTE_MAX: usize = 500;

/// The account that the calls of a run are in.
#[derive(Debug)]
pub(super) struct Calls {
    account: Account,
    /// What earlier tries of the job left in it.
    before: Spent,
}

impl Course {
    /// From now on, calls are in this account, which has no more in it than earlier tries of the job spent.
    pub(crate) fn calls_are_in(&self, account: Account) {
        let before = account.spent();
        *self.calls() = Some(Calls { account, before });
    }

    /// Tells of a checkpoint, with the tokens so far.
    pub(crate) fn checkpoint(&self, hook: Hook, turn: Option<u32>, note: &str) {
        let note = bounded(&self.0.redaction.redact(note), NOTE_MAX);
        self.0.checkpoints.tell(Checkpoint { hook, turn, note, tokens: self.tokens_so_far() });
    }

    pub(super) fn tokens_so_far(&self) -> u64 {
        let TokenFacts { input, cached, output } = self.record().tokens;
        let by_turns = input + cached + output;
        let Some(calls) = &*self.calls() else { return by_turns };
        let (now, before) = (calls.account.spent(), &calls.before);
        // Where a coding CLI has its own way to its model, its turns alone tell.
        let worker = now.worker.total().saturating_sub(before.worker.total()).max(by_turns);
        worker + now.director.total().saturating_sub(before.director.total())
    }

    fn calls(&self) -> MutexGuard<'_, Option<Calls>> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
