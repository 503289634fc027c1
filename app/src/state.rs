//! What every handler may use.

use std::sync::Arc;

use api_client::Secret;

use crate::store::Store;

/// The parts of the running server.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) store: Store,
    key: Option<Arc<Secret>>,
}

impl App {
    pub(crate) fn new(store: Store, key: Option<Secret>) -> Self {
        Self { store, key: key.map(Arc::new) }
    }

    /// The key that callers need, if any.
    pub(crate) fn key(&self) -> Option<&Secret> {
        self.key.as_deref()
    }
}
