//! Requests to cancel as the original app keeps them: by ticket, in memory, until a restart. So
//! every later job of the ticket sees the request as well.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use api_client::TicketId;

/// The tickets that someone asked to cancel; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct CancelFlags(Arc<Mutex<HashSet<TicketId>>>);

impl CancelFlags {
    pub(crate) fn set(&self, ticket: TicketId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(ticket);
    }

    pub(crate) fn is_set(&self, ticket: TicketId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&ticket)
    }
}
