//! Clients that last as long as the coordinator, and go out by the network's settings as they are now.

use api_client::http::Network;

/// A client with the settings that it was made by.
#[derive(Debug)]
pub(crate) struct Renewed<T> {
    network: Network,
    client: T,
}

impl<T> Renewed<T> {
    /// Made by these settings.
    pub(crate) fn new<E>(
        network: Network,
        make: impl FnOnce(&Network) -> Result<T, E>,
    ) -> Result<Self, E> {
        let client = make(&network)?;
        Ok(Self { network, client })
    }

    /// The client, made anew where these settings are others than those it was made by.
    pub(crate) fn by<E>(
        &mut self,
        network: Network,
        make: impl FnOnce(&Network) -> Result<T, E>,
    ) -> Result<&T, E> {
        if self.network != network {
            self.client = make(&network)?;
            self.network = network;
        }
        Ok(&self.client)
    }
}
