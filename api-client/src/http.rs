//! The HTTP client settings that all our programs share.

use std::time::Duration;

use reqwest::{ClientBuilder, NoProxy, Proxy};

pub use crate::http_date::seconds_of_date;
use crate::tls::{ClientIdentity, ExtraRoots};
use crate::{Secret, error_chain};

/// How long a connection may take, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How a program goes out to others. By default: with the system's trust store and the proxies of its
/// environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Roots beside the system's.
    pub roots: Option<ExtraRoots>,
    /// What is shown to a server that asks who the client is. For the app alone.
    pub identity: Option<ClientIdentity>,
    /// The proxies.
    pub proxies: Proxies,
}

/// Which proxies are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxies {
    /// Those of the process's environment.
    #[default]
    OfEnvironment,
    /// These, and nothing of the environment.
    Given(ProxySettings),
}

/// Proxies as the usual variables name them; their URLs may hold a user name and a password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// `HTTP_PROXY`: for `http` URLs.
    pub http: Option<Secret>,
    /// `HTTPS_PROXY`: for `https` URLs.
    pub https: Option<Secret>,
    /// `NO_PROXY`: hosts that are reached without.
    pub except: Option<String>,
}

impl Network {
    /// The same for servers other than the app: they are not shown who asks.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self { identity: None, ..self.clone() }
    }

    /// A client that goes out in this way, with a connect timeout; each request sets its own time limit.
    /// `user_agent` names the program and its version.
    ///
    /// # Errors
    /// When a certificate or a proxy cannot be used, which was not found out before.
    pub fn client(&self, user_agent: &str) -> Result<ClientBuilder, reqwest::Error> {
        let mut builder = http_client(user_agent);
        if let Some(roots) = &self.roots {
            builder = builder.tls_certs_merge(roots.for_http()?);
        }
        if let Some(identity) = &self.identity {
            builder = builder.identity(identity.for_http()?);
        }
        if let Proxies::Given(ProxySettings { http, https, except }) = &self.proxies {
            builder = builder.no_proxy();
            let except = || except.as_deref().and_then(NoProxy::from_string);
            if let Some(url) = http {
                builder = builder.proxy(Proxy::http(url.expose())?.no_proxy(except()));
            }
            if let Some(url) = https {
                builder = builder.proxy(Proxy::https(url.expose())?.no_proxy(except()));
            }
        }
        Ok(builder)
    }
}

/// A client with the system's trust store, the proxies of the environment and a connect timeout;
/// each request sets its own time limit. `user_agent` names the program and its version.
pub fn http_client(user_agent: &str) -> ClientBuilder {
    // An error says that a provider is installed already, which is as good.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(user_agent)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(Duration::from_secs(30))
}

/// An error of the HTTP client in words, with its causes and without the URL (which a caller names
/// in its own way), and with the setting that mends it, where a network in between is the cause.
#[must_use]
pub fn describe(error: reqwest::Error) -> String {
    let words = error_chain(&error.without_url());
    match cure(&words) {
        Some(cure) => format!("{words}; {cure}"),
        None => words,
    }
}

/// What an operator can do about an error of the connection, by what TLS and proxies say in such a case.
fn cure(words: &str) -> Option<&'static str> {
    const CURES: [(&str, &str); 9] = [
        (
            "UnknownIssuer",
            "if a proxy or a CA of your own signs here, EXTRA_CA_FILE must name that CA's certificate",
        ),
        (
            "CaUsedAsEndEntity",
            "the server shows a CA's certificate as its own: give it one that the CA signed",
        ),
        ("proxy authorization required", "the proxy wants http://user:password@host:port"),
        ("proxy authentication required", "the proxy wants http://user:password@host:port"),
        ("CertificateRequired", CLIENT_CERTIFICATE),
        ("certificate required", CLIENT_CERTIFICATE),
        ("HandshakeFailure", CLIENT_CERTIFICATE),
        // What a server says of a certificate of another CA.
        ("fatal alert: UnknownCA", CLIENT_CERTIFICATE),
        ("fatal alert: BadCertificate", CLIENT_CERTIFICATE),
    ];
    CURES.iter().find(|(said, _)| words.contains(said)).map(|(_, cure)| *cure)
}

const CLIENT_CERTIFICATE: &str = "the server wants a client certificate that it knows: see \
    APP_CLIENT_CERT_FILE and APP_CLIENT_KEY_FILE";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_network_names_the_setting_that_mends_it() {
        let unknown = cure("error sending request: invalid peer certificate: UnknownIssuer");
        assert!(unknown.unwrap().contains("EXTRA_CA_FILE"));
        assert!(cure("tunnel error: proxy authorization required").unwrap().contains("password"));
        for alert in ["CertificateRequired", "UnknownCA"] {
            let cure = cure(&format!("connection error: received fatal alert: {alert}"));
            assert!(cure.unwrap().contains("APP_CLIENT_CERT_FILE"), "{alert}");
        }
        assert_eq!(cure("connection refused"), None);
    }

    #[test]
    fn a_proxy_that_cannot_be_one_is_found_when_the_client_is_made() {
        let proxies = ProxySettings { https: Some("http://".into()), ..ProxySettings::default() };
        let network = Network { proxies: Proxies::Given(proxies), ..Network::default() };
        assert!(network.client("test").is_err());
    }
}
