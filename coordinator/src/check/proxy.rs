//! Whether the proxies of the settings are there.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::finding::{Finding, State};
use crate::config::Config;

/// The settings that name one.
const SETTINGS: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];

const LIMIT: Duration = Duration::from_secs(5);

/// One line for each proxy.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let mut named: BTreeMap<String, &str> = BTreeMap::new();
    for agent in config.agents() {
        for setting in SETTINGS {
            if let Some(proxy) = agent.settings.get(setting).filter(|proxy| !proxy.is_blank()) {
                named.entry(proxy.expose().to_owned()).or_insert(setting);
            }
        }
    }
    let mut findings = Vec::new();
    for (proxy, setting) in named {
        findings.push(one(setting, &proxy).await);
    }
    findings
}

/// Whether silence behind a proxy is explained by these.
pub(super) fn explain_silence(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.state == State::Failed)
}

async fn one(setting: &str, proxy: &str) -> Finding {
    let cure = format!("start the proxy, or mend {setting}; NO_PROXY names what needs none");
    // As curl takes it, a proxy may lack its scheme.
    let url = Url::parse(proxy).or_else(|_| Url::parse(&format!("http://{proxy}")));
    let address = url.ok().and_then(|url| {
        Some((url.host_str()?.trim_matches(['[', ']']).to_owned(), url.port_or_known_default()?))
    });
    let Some((host, port)) = address else {
        return Finding::failed(setting, "it is no URL of a proxy", cure);
    };
    let connected = timeout(LIMIT, TcpStream::connect((host.as_str(), port))).await;
    let problem = match connected {
        Ok(Ok(_connection)) => {
            return Finding::ok(setting, format!("{host}:{port} takes connections"));
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", LIMIT.as_secs()),
    };
    Finding::failed(setting, format!("the proxy {host}:{port} does not answer: {problem}"), cure)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::config;
    use super::*;

    #[tokio::test]
    async fn a_proxy_that_is_away_fails_once_and_shows_no_password() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let there = format!("http://user:sesame@{}", listener.local_addr().unwrap());
        let config = config(&[("HTTPS_PROXY", &there), ("https_proxy", &there)]);
        let found = look(&config).await;
        assert!(!explain_silence(&found), "{found:?}");
        drop(listener);
        let found = look(&config).await;
        assert_eq!(found.len(), 1);
        assert!(explain_silence(&found), "{found:?}");
        assert!(!format!("{found:?}").contains("sesame"));
    }
}
