//! A network of machines; removed when it is dropped, after its machines.

use std::net::IpAddr;

use bollard::models::{EndpointSettings, NetworkCreateRequest, NetworkingConfig};

use crate::harness::{Engine, at_the_end};

/// A network.
#[derive(Debug)]
pub(super) struct Network {
    name: String,
    /// This host, as the machines see it.
    host: IpAddr,
}

impl Network {
    /// Makes one, with addresses that the engine knows to be free: one that is chosen here might be this host's
    /// way to the rest of the world.
    pub(super) async fn make(engine: &Engine) -> Self {
        let name = format!("terarchitect-test-{}", uuid::Uuid::new_v4().simple());
        let request = NetworkCreateRequest { name: name.clone(), ..Default::default() };
        let made = engine.docker().create_network(request).await;
        made.unwrap_or_else(|error| panic!("no network for machines: {error}"));
        let host = engine.host_address_on(&name).await.expect("a network of this host");
        Self { name, host }
    }

    /// The address at which the machines reach servers of this host.
    pub(super) const fn host_address(&self) -> IpAddr {
        self.host
    }

    /// Puts a container there, as the engine wants it.
    pub(super) fn networking(&self) -> NetworkingConfig {
        let endpoints = [(self.name.clone(), EndpointSettings::default())].into();
        NetworkingConfig { endpoints_config: Some(endpoints) }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let name = self.name.clone();
        at_the_end(async move |docker| {
            let _gone = docker.remove_network(&name).await;
        });
    }
}
