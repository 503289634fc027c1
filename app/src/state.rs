//! What every handler may use.

use std::sync::Arc;

use api_client::{Secret, TicketId};

use crate::cancel::CancelFlags;
use crate::lease::Leases;
use crate::memory::Memory;
use crate::review::Nudge;
use crate::store::Store;

/// The parts of the running server.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) memory: Memory,
    key: Option<Arc<Secret>>,
    protocol: Protocol,
}

/// Which app this server is to its callers.
#[derive(Clone, Debug)]
pub(crate) enum Protocol {
    /// Ours: jobs are held by leases, requests to cancel belong to a job, events of a forge are taken.
    Ours(Leases, Nudge),
    /// The original: neither.
    Original(CancelFlags),
}

impl App {
    pub(crate) fn new(
        store: Store,
        memory: Memory,
        key: Option<Secret>,
        protocol: Protocol,
    ) -> Self {
        Self { store, memory, key: key.map(Arc::new), protocol }
    }

    /// The key that callers need, if any.
    pub(crate) fn key(&self) -> Option<&Secret> {
        self.key.as_deref()
    }

    /// The leases, unless this is the original.
    pub(crate) const fn leases(&self) -> Option<&Leases> {
        match &self.protocol {
            Protocol::Ours(leases, _) => Some(leases),
            Protocol::Original(_) => None,
        }
    }

    /// The way to the review loop, which is not of the original.
    pub(crate) const fn nudge(&self) -> Option<&Nudge> {
        match &self.protocol {
            Protocol::Ours(_, nudge) => Some(nudge),
            Protocol::Original(_) => None,
        }
    }

    /// Has the review loop look at a ticket's pull request, if it is in review.
    pub(crate) fn happened(&self, ticket: TicketId) {
        if let Some(nudge) = self.nudge() {
            nudge.look_at(ticket);
        }
    }

    /// The original's flags of cancelled tickets.
    pub(crate) const fn cancel_flags(&self) -> Option<&CancelFlags> {
        match &self.protocol {
            Protocol::Ours(..) => None,
            Protocol::Original(flags) => Some(flags),
        }
    }
}
