//! The HTTP client settings that all our programs share.

use std::time::Duration;

use crate::error_chain;

/// How long a connection may take, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client with the system's trust store, the proxies of the environment and a connect timeout;
/// each request sets its own time limit. `user_agent` names the program and its version.
pub fn http_client(user_agent: &str) -> reqwest::ClientBuilder {
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
/// in its own way).
#[must_use]
pub fn describe(error: reqwest::Error) -> String {
    error_chain(&error.without_url())
}
