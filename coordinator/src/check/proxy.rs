//! The proxies on the way: whether they are there, and which URL goes by which.

use std::time::Duration;

use api_client::Secret;
use api_client::container_probe::Opened;
use api_client::http::ProxySettings;
use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::finding::Finding;
use crate::config::proxy_url;

const LIMIT: Duration = Duration::from_secs(5);

/// The proxies of one place, as an HTTP client there chooses among them.
#[derive(Debug)]
pub(super) struct Way {
    matcher: Matcher,
    named: Vec<Named>,
}

/// A proxy that a setting names.
#[derive(Debug)]
struct Named {
    setting: &'static str,
    /// Host and port; none where the text is no URL.
    address: Option<(String, u16)>,
    /// Why it is of no use, where it was found to be.
    problem: Option<String>,
}

impl Way {
    /// Asks the proxies of the coordinator itself.
    pub(super) async fn here(proxies: &ProxySettings) -> Self {
        let settings = [("HTTPS_PROXY", &proxies.https), ("HTTP_PROXY", &proxies.http)];
        let mut named: Vec<Named> = Vec::new();
        for (setting, proxy) in settings {
            let Some(proxy) = proxy.as_ref().filter(|proxy| !proxy.is_blank()) else { continue };
            let address = address(proxy);
            let known = named.iter().find(|other| other.address == address);
            let problem = match (known, &address) {
                (Some(known), _) => known.problem.clone(),
                (None, Some(address)) => connect(address).await.err(),
                (None, None) => Some("it is no URL of a proxy".to_owned()),
            };
            named.push(Named { setting, address, problem });
        }
        Self { matcher: matcher(proxies), named }
    }

    /// The proxies of a container, as a probe there has found them.
    pub(super) fn in_container(found: &[Opened], except: Option<String>) -> Self {
        let of = |setting: &str| found.iter().find(|one| one.setting == setting);
        let url = |setting| of(setting).map(|one| Secret::from(one.url.as_str()));
        let proxies = ProxySettings { https: url("HTTPS_PROXY"), http: url("HTTP_PROXY"), except };
        let named = ["HTTPS_PROXY", "HTTP_PROXY"].into_iter().filter_map(|setting| {
            let (one, proxy) = (of(setting)?, url(setting)?);
            Some(Named { setting, address: address(&proxy), problem: one.problem.clone() })
        });
        Self { matcher: matcher(&proxies), named: named.collect() }
    }

    /// One line for each proxy; settings that name the same one share it.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (index, one) in self.named.iter().enumerate() {
            let first = self.named.iter().position(|other| other.address == one.address);
            if first == Some(index) {
                findings.push(one.finding());
            }
        }
        findings
    }

    /// The setting whose proxy is of no use, where a URL would be asked for by it.
    pub(super) fn broken_for(&self, url: &Url) -> Option<&'static str> {
        let uri: Uri = url.as_str().parse().ok()?;
        let chosen = self.matcher.intercept(&uri)?;
        let port = match (chosen.uri().port_u16(), chosen.uri().scheme_str()) {
            (Some(port), _) => port,
            (None, Some("https")) => 443,
            (None, _) => 80,
        };
        let address = (bare(chosen.uri().host()?), port);
        let one = self.named.iter().find(|one| one.address.as_ref() == Some(&address))?;
        one.problem.as_ref().map(|_| one.setting)
    }

    /// Whether the proxy of a setting was found to be of no use.
    pub(super) fn is_broken(&self, setting: &str) -> bool {
        self.named.iter().any(|one| one.setting == setting && one.problem.is_some())
    }
}

impl Named {
    fn finding(&self) -> Finding {
        let setting = self.setting;
        let shown = self
            .address
            .as_ref()
            .map_or_else(String::new, |(host, port)| format!(" {host}:{port}"));
        let Some(problem) = &self.problem else {
            return Finding::ok(setting, format!("the proxy{shown} takes connections"));
        };
        let cure = format!("start the proxy, or mend {setting}; NO_PROXY names what needs none");
        Finding::failed(setting, format!("the proxy{shown} is of no use: {problem}"), cure)
    }
}

fn matcher(proxies: &ProxySettings) -> Matcher {
    let text = |proxy: &Option<Secret>| {
        proxy.as_ref().map_or_else(String::new, |proxy| proxy.expose().to_owned())
    };
    let builder = Matcher::builder().http(text(&proxies.http)).https(text(&proxies.https));
    builder.no(proxies.except.clone().unwrap_or_default()).build()
}

fn address(proxy: &Secret) -> Option<(String, u16)> {
    let url = proxy_url(proxy.expose())?;
    Some((bare(url.host_str()?), url.port_or_known_default()?))
}

/// An address of IPv6 without its brackets.
fn bare(host: &str) -> String {
    host.trim_matches(['[', ']']).to_owned()
}

async fn connect((host, port): &(String, u16)) -> Result<(), String> {
    match timeout(LIMIT, TcpStream::connect((host.as_str(), *port))).await {
        Ok(Ok(_connection)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn both(proxy: &str, except: Option<&str>) -> ProxySettings {
        let proxy = || Some(Secret::from(proxy));
        ProxySettings { http: proxy(), https: proxy(), except: except.map(str::to_owned) }
    }

    #[tokio::test]
    async fn a_proxy_that_is_away_fails_once_and_shows_no_password() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let proxies = both(&format!("http://user:sesame@{}", listener.local_addr().unwrap()), None);
        let found = Way::here(&proxies).await.findings();
        assert_eq!(found.iter().map(|one| one.state).collect::<Vec<_>>(), [State::Ok]);
        drop(listener);
        let found = Way::here(&proxies).await.findings();
        assert_eq!(found.iter().map(|one| one.state).collect::<Vec<_>>(), [State::Failed]);
        assert!(!format!("{found:?}").contains("sesame"));
    }

    #[tokio::test]
    async fn a_proxy_is_named_by_host_and_port_alone_too() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = Way::here(&both(&format!("localhost:{port}"), None)).await;
        assert_eq!(way.findings()[0].state, State::Ok, "{way:?}");
    }

    #[tokio::test]
    async fn a_dead_proxy_explains_the_silence_of_what_is_behind_it_and_of_nothing_else() {
        let mut proxies = both("127.0.0.1:1", Some("app.example,.near.example"));
        proxies.http = None;
        let way = Way::here(&proxies).await;
        for (url, setting) in [
            ("https://git.example/acme/web", Some("HTTPS_PROXY")),
            ("http://git.example/", None),
            ("https://app.example:5010", None),
            ("https://git.near.example", None),
        ] {
            assert_eq!(way.broken_for(&Url::parse(url).unwrap()), setting, "{url}");
        }
    }

    #[test]
    fn what_a_probe_says_of_proxies_explains_what_it_did_not_reach() {
        let found = [Opened {
            setting: "HTTP_PROXY".to_owned(),
            url: "http://host.docker.internal:3128/".to_owned(),
            problem: Some("refused".to_owned()),
        }];
        let way = Way::in_container(&found, Some("host.docker.internal".to_owned()));
        let broken = |url: &str| way.broken_for(&Url::parse(url).unwrap());
        assert_eq!(broken("http://git.example/"), Some("HTTP_PROXY"));
        assert_eq!(broken("http://host.docker.internal:5010/"), None);
    }
}
