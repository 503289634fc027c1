//! The build arguments: those of the network that the coordinator is told of, and those of the operator.

use std::collections::HashMap;

use api_client::Secret;
use api_client::contract::env;

use super::ImageBuildError;
use crate::alias::HOST_ALIAS;
use crate::config::ImageConfig;
use crate::launch::of_builds;

/// Most of a bundle of certificates that is sent, in bytes: build arguments are a part of the request's URL, which is
/// of at most 64 KiB.
pub(super) const CA_MAX: usize = 40 << 10;

/// The build arguments: those of the network, and those that were given, which win.
pub(super) fn arguments(
    config: &ImageConfig,
    given: Vec<(String, String)>,
) -> Result<HashMap<String, Secret>, ImageBuildError> {
    let network = of_builds(config.proxies.clone(), &config.network).into_iter();
    let network = network.map(|(name, value)| (name.to_owned(), value));
    let given = given.into_iter().map(|(name, value)| (name, Secret::from(value)));
    let all: HashMap<_, _> = network.chain(given).collect();
    match all.get(env::EXTRA_CA).map(|pem| pem.expose().len()) {
        Some(size) if size > CA_MAX => Err(ImageBuildError::LargeCa { size }),
        _ => Ok(all),
    }
}

pub(super) fn names_this_host(arguments: &HashMap<String, Secret>) -> bool {
    arguments.values().any(|value| value.expose().contains(HOST_ALIAS))
}

#[cfg(test)]
mod tests {
    use super::super::tests::config;
    use super::*;

    #[test]
    fn what_was_given_wins_over_the_settings_of_the_network() {
        let mut config = config();
        config.proxies.set("HTTPS_PROXY", "http://localhost:3128");
        let all = arguments(&config, Vec::new()).unwrap();
        assert!(names_this_host(&all));
        assert_eq!(all["HTTPS_PROXY"].expose(), "http://host.docker.internal:3128/");
        let given = vec![("HTTPS_PROXY".to_owned(), "http://p:1".to_owned())];
        assert_eq!(arguments(&config, given).unwrap()["HTTPS_PROXY"].expose(), "http://p:1");
        let large = vec![(env::EXTRA_CA.to_owned(), "x".repeat(CA_MAX + 1))];
        assert!(matches!(arguments(&config, large), Err(ImageBuildError::LargeCa { .. })));
    }
}
