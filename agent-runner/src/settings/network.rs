//! What gets a run through a network that is not open, as it is settled before there is anything else:
//! proxies in both spellings, and the certificates that are trusted.

use std::collections::BTreeMap;

use api_client::contract::{JobDocument, NO_PROXIES, PROXIES, env};
use api_client::http::{Network, Proxies, ProxySettings};
use api_client::tls::{ClientIdentity, ExtraRoots};

use super::handover::{PROXY_NAMES, Text, text};
use super::{Layers, SettingsError};

/// Programs on Node look for proxies where this is `1`.
const NODE_USE_ENV_PROXY: &str = "NODE_USE_ENV_PROXY";

/// Proxies of the job document become environment, where the environment has none: HTTP libraries, git
/// and the coding CLIs look for them there, some by the one spelling and some by the other.
pub(super) fn take_proxies(
    environment: &mut BTreeMap<String, Text>,
    document: Option<&JobDocument>,
) {
    for name in PROXY_NAMES {
        let given = document.and_then(|document| document.get(name));
        if let Some(proxy) = given.filter(|proxy| !proxy.is_blank()) {
            environment.entry(name.to_owned()).or_insert_with(|| Text(proxy.clone()));
        }
    }
    let [no_proxy, other] = NO_PROXIES;
    for (name, other) in PROXIES.into_iter().chain([(no_proxy, other)]) {
        for (missing, given) in [(name, other), (other, name)] {
            if let (None, Some(value)) = (environment.get(missing), environment.get(given)) {
                let value = Text(value.0.clone());
                environment.insert(missing.to_owned(), value);
            }
        }
    }
    if PROXIES.iter().any(|(name, _)| environment.get(*name).is_some_and(|url| !url.0.is_blank())) {
        environment.entry(NODE_USE_ENV_PROXY.to_owned()).or_insert_with(|| text("1".to_owned()));
    }
}

/// Whether the certificates that are to be trusted can be.
///
/// # Errors
/// When they are no PEM.
pub(super) fn judge_roots(layers: &Layers) -> Result<(), SettingsError> {
    roots(layers).map(drop)
}

/// What is shown to an app that asks who its caller is.
///
/// # Errors
/// When certificate and key do not go together, or one of them is missing.
pub(crate) fn identity(layers: &Layers) -> Result<Option<ClientIdentity>, SettingsError> {
    let certificate = layers.handed_over(env::APP_CLIENT_CERT);
    let key = layers.handed_over(env::APP_CLIENT_KEY);
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(SettingsError::Missing {
            name: env::APP_CLIENT_KEY,
            purpose: "the private key (PEM) of APP_CLIENT_CERT",
        }),
        (None, Some(_)) => Err(SettingsError::Missing {
            name: env::APP_CLIENT_CERT,
            purpose: "the certificate (PEM) of APP_CLIENT_KEY",
        }),
        (Some(certificate), Some(key)) => ClientIdentity::new(&certificate.text(), &key.secret())
            .map(Some)
            .map_err(|error| key.invalid(&error.to_string())),
    }
}

/// The network of a gateway, which is one process and has no environment of its own making.
///
/// # Errors
/// Of the first setting that cannot be used.
pub(crate) fn of_gateway(layers: &Layers) -> Result<Network, SettingsError> {
    let proxies = Proxies::Given(proxies(layers));
    Ok(Network { roots: roots(layers)?, identity: None, proxies })
}

/// The proxies that are handed over.
pub(crate) fn proxies(layers: &Layers) -> ProxySettings {
    let of = |(name, other): (&'static str, &'static str)| {
        let found = layers.handed_over(name).or_else(|| layers.handed_over(other));
        found.map(|found| found.secret())
    };
    let [http, https] = PROXIES;
    let [no_proxy, other] = NO_PROXIES;
    let except = of((no_proxy, other)).map(|except| except.expose().to_owned());
    ProxySettings { http: of(http), https: of(https), except }
}

/// The proxies that a gateway asks.
///
/// # Errors
/// When one is to be asked by TLS, which a gateway does not speak to it: its password would go in the clear.
pub(crate) fn gateway_proxies(layers: &Layers) -> Result<ProxySettings, SettingsError> {
    for name in PROXIES.iter().flat_map(|(name, other)| [*name, *other]) {
        let Some(found) = layers.handed_over(name) else { continue };
        let scheme = found.text().split_once("://").map(|(scheme, _)| scheme.trim().to_lowercase());
        if scheme.is_some_and(|scheme| scheme != "http") {
            return Err(
                found.invalid("must be http://host:port: a gateway speaks no TLS to a proxy")
            );
        }
    }
    Ok(proxies(layers))
}

fn roots(layers: &Layers) -> Result<Option<ExtraRoots>, SettingsError> {
    let Some(found) = layers.handed_over(env::EXTRA_CA) else { return Ok(None) };
    let roots = ExtraRoots::from_pem(&found.text());
    roots.map(Some).map_err(|error| found.invalid(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::Handover;
    use super::*;

    #[test]
    fn a_gateway_asks_no_proxy_by_tls_and_sends_it_no_password() {
        let read = |url: &str| {
            let handover = Handover::of(&[("https_proxy", url)], None);
            gateway_proxies(&Layers::new(handover).unwrap())
        };
        for url in ["http://me:word@proxy:1", "HTTP://proxy", "me:word@proxy:1", "proxy:1"] {
            assert_eq!(read(url).unwrap().https.unwrap().expose(), url);
        }
        let refused = read("https://me:pass-word@proxy:1").unwrap_err().to_string();
        assert!(refused.starts_with("https_proxy (from the environment) must be"), "{refused}");
        assert!(!refused.contains("pass-word"), "{refused}");
    }

    fn taken(environment: &[(&str, &str)], document: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), text((*value).to_owned()));
        let mut environment: BTreeMap<_, _> = environment.iter().map(owned).collect();
        let mut given = JobDocument::default();
        given.extend(document.iter().copied());
        take_proxies(&mut environment, Some(&given));
        environment.into_iter().map(|(name, value)| (name, value.0.expose().to_owned())).collect()
    }

    #[test]
    fn a_proxy_is_there_in_both_spellings_and_node_looks_for_it() {
        let all = taken(&[], &[("https_proxy", "http://p:1"), ("NO_PROXY", "x")]);
        let all: Vec<_> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [
            ("HTTPS_PROXY", "http://p:1"),
            ("NODE_USE_ENV_PROXY", "1"),
            ("NO_PROXY", "x"),
            ("https_proxy", "http://p:1"),
            ("no_proxy", "x"),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn the_environment_wins_over_the_document_and_nothing_else_of_it_is_taken() {
        let all = taken(&[("NO_PROXY", "own")], &[("NO_PROXY", "x"), ("PATH", "/evil")]);
        let owned = |name: &str| (name.to_owned(), "own".to_owned());
        assert_eq!(all, [owned("NO_PROXY"), owned("no_proxy")]);
    }

    #[test]
    fn a_certificate_without_a_key_and_no_certificates_are_refused_by_name() {
        let layers = |pairs: &[(&str, &str)]| Layers::new(Handover::of(pairs, None)).unwrap();
        let error = identity(&layers(&[("APP_CLIENT_CERT", "x")])).unwrap_err().to_string();
        assert!(error.starts_with("APP_CLIENT_KEY is not set"), "{error}");
        let error = identity(&layers(&[("APP_CLIENT_KEY", "x")])).unwrap_err().to_string();
        assert!(error.starts_with("APP_CLIENT_CERT is not set"), "{error}");
        let error = judge_roots(&layers(&[("EXTRA_CA_PEM", "x")])).unwrap_err().to_string();
        assert!(error.starts_with("EXTRA_CA_PEM (from the environment) holds no cert"), "{error}");
    }
}
