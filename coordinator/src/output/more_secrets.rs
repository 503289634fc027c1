//! Secrets that a job gets while it runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api_client::{Redactor, Secret};

/// Where secrets are told to an output that a job gets while it runs; they are hidden from the next
/// piece on.
#[derive(Clone, Debug)]
pub(crate) struct MoreSecrets(Arc<Mutex<Told>>);

#[derive(Debug)]
struct Told {
    /// Hides all that are known.
    redactor: Redactor,
    /// Those that the output does not hide yet.
    new: Vec<Secret>,
}

impl MoreSecrets {
    pub(super) fn new(redactor: &Redactor) -> Self {
        Self(Arc::new(Mutex::new(Told { redactor: redactor.clone(), new: Vec::new() })))
    }

    /// Tells one more.
    pub(crate) fn tell(&self, secret: Secret) {
        let mut told = self.told();
        told.redactor = told.redactor.and([&secret]);
        told.new.push(secret);
    }

    /// A text that did not come by way of the output, without the job's secrets.
    pub(crate) fn redact(&self, text: &str) -> String {
        self.told().redactor.redact(text).into_owned()
    }

    /// Those that were told since this was asked last.
    pub(super) fn take(&self) -> Vec<Secret> {
        std::mem::take(&mut self.told().new)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
