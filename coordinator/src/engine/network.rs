//! Networks of jobs.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest};
use bollard::query_parameters::{
    InspectContainerOptions, InspectNetworkOptions, ListNetworksOptionsBuilder,
};
use serde::{Deserialize, Serialize};

use super::{CALL_TIMEOUT, ContainerRef, Engine, EngineError, found};

/// The engine's network that has a way out.
const WAY_OUT: &str = "bridge";

/// A network, by the id that the engine gave it: names are not unique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct NetworkId(String);

impl NetworkId {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a network has a way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It has, as the engine's own bridge has.
    Out,
    /// Only those on it reach each other; not even this host is reached by it.
    Within,
}

impl Engine {
    /// Makes a bridge network.
    pub(crate) async fn create_network(
        &self,
        name: &str,
        labels: BTreeMap<String, String>,
        reach: Reach,
    ) -> Result<NetworkId, EngineError> {
        // Without an address on the bridge, the host is no neighbour. Each version of the engine
        // takes the option that it knows and leaves the other alone.
        let closed = [
            ("com.docker.network.bridge.inhibit_ipv4", "true"),
            ("com.docker.network.bridge.gateway_mode_ipv4", "isolated"),
        ];
        let options = closed.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            // An engine may be set up to give new networks IPv6; nothing here looks at it.
            enable_ipv6: Some(false),
            internal: Some(reach == Reach::Within),
            options: (reach == Reach::Within).then(|| HashMap::from(options)),
            labels: Some(labels.into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        let docker = self.docker().await?;
        let create = docker.create_network(request);
        let created = self.call(CALL_TIMEOUT, "create network", name, create).await;
        created.map(|made| NetworkId(made.id)).map_err(EngineError::of_network)
    }

    /// Gives a container a way out beside its network.
    pub(crate) async fn connect_out(&self, container: &ContainerRef) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        let request =
            NetworkConnectRequest { container: container.0.clone(), endpoint_config: None };
        let connect = docker.connect_network(WAY_OUT, request);
        self.call(CALL_TIMEOUT, "connect to its bridge container", &container.0, connect).await
    }

    /// The address of a running container in a network; none while it has none there.
    pub(crate) async fn address_in(
        &self,
        container: &ContainerRef,
        network: &NetworkId,
    ) -> Result<Option<String>, EngineError> {
        let docker = self.docker().await?;
        let inspect = docker.inspect_container(&container.0, None::<InspectContainerOptions>);
        let inspect = self.call(CALL_TIMEOUT, "inspect container", &container.0, inspect).await?;
        let networks = inspect.network_settings.and_then(|settings| settings.networks);
        let endpoint = networks
            .unwrap_or_default()
            .into_values()
            .find(|endpoint| endpoint.network_id.as_deref() == Some(network.as_str()));
        let address = endpoint.and_then(|endpoint| endpoint.ip_address);
        Ok(address.filter(|address| !address.is_empty()))
    }

    /// Removes every network that carries all of these labels.
    pub(crate) async fn remove_networks(&self, labels: &[String]) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        let filters = HashMap::from([("label", labels.to_vec())]);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let list = docker.list_networks(Some(options));
        let networks = self.call(CALL_TIMEOUT, "list networks", "of a job", list).await?;
        for id in networks.into_iter().filter_map(|network| network.id) {
            if self.remove_network(&id).await.is_err() {
                // An agent with the engine's socket can have put others on it.
                self.disconnect_all(&id).await?;
                self.remove_network(&id).await?;
            }
        }
        Ok(())
    }

    async fn remove_network(&self, id: &str) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        let remove = docker.remove_network(id);
        found(self.call(CALL_TIMEOUT, "remove network", id, remove).await).map(|_| ())
    }

    async fn disconnect_all(&self, id: &str) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        let inspect = docker.inspect_network(id, None::<InspectNetworkOptions>);
        let network = found(self.call(CALL_TIMEOUT, "inspect network", id, inspect).await)?;
        let containers = network.and_then(|network| network.containers).unwrap_or_default();
        for container in containers.into_keys() {
            tracing::warn!(container.id = container, "taken off the network of a job that is over");
            let request = NetworkDisconnectRequest { container, force: Some(true) };
            let disconnect = docker.disconnect_network(id, request);
            found(self.call(CALL_TIMEOUT, "empty network", id, disconnect).await)?;
        }
        Ok(())
    }
}
