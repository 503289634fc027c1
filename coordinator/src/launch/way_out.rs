//! What an agent is told of the network between it and others: what it trusts, what it shows to the app,
//! and the proxies as they are seen from where it runs. Pure.

use api_client::Secret;
use api_client::contract::{JobDocument, NO_PROXIES, PROXIES, env};
use api_client::http::Network;
use url::Url;

use super::document::{View, to_alias};
use crate::alias::HOST_ALIAS;
use crate::config::proxy_url;

/// Adds all of it.
pub(super) fn tell(document: &mut JobDocument, network: &Network, view: View) {
    if let Some(roots) = &network.roots {
        document.set(env::EXTRA_CA, roots.pem());
    }
    if let Some(identity) = &network.identity {
        document.set(env::APP_CLIENT_CERT, identity.certificate());
        document.set(env::APP_CLIENT_KEY, identity.key().clone());
    }
    match view {
        View::Container => {
            rewrite_proxies(document, to_alias);
            // No proxy knows this name for it.
            except(document, HOST_ALIAS);
        }
        View::Host(alias) => rewrite_proxies(document, |url| alias.rewrite(&url)),
        View::HostNetwork => {}
    }
}

/// Lets a host be reached without the proxies, where there are any.
pub(super) fn except(document: &mut JobDocument, host: &str) {
    if !has_proxy(document) {
        return;
    }
    let all = exceptions(document).map(|given| format!("{given},")).unwrap_or_default();
    for name in NO_PROXIES {
        document.set(name, format!("{all}{host}"));
    }
}

/// What both spellings of the exceptions name: programs look at one of them, each at its own.
fn exceptions(document: &JobDocument) -> Option<String> {
    let given = NO_PROXIES.iter().filter_map(|name| Some(document.get(name)?.expose().trim()));
    let mut given: Vec<_> = given.filter(|hosts| !hosts.is_empty()).collect();
    given.dedup();
    (!given.is_empty()).then(|| given.join(","))
}

/// The proxies and exceptions of a document, under the names in upper case.
pub(super) fn proxies(document: &JobDocument) -> Vec<(&'static str, Secret)> {
    let of = |name: &str| document.get(name).filter(|value| !value.is_blank()).cloned();
    let proxies = PROXIES.into_iter();
    let proxies = proxies.filter_map(|(name, other)| Some((name, of(name).or_else(|| of(other))?)));
    let except = exceptions(document).map(|hosts| (env::NO_PROXY, Secret::from(hosts)));
    proxies.chain(except).collect()
}

/// What a step of an image's build is told, as an agent in a container would be: build arguments, by their names.
pub(crate) fn of_builds(
    mut settings: JobDocument,
    network: &Network,
) -> Vec<(&'static str, Secret)> {
    tell(&mut settings, network, View::Container);
    let names =
        PROXIES.into_iter().flat_map(<[_; 2]>::from).chain(NO_PROXIES).chain([env::EXTRA_CA]);
    let told = names.filter_map(|name| Some((name, settings.get(name)?.clone())));
    told.filter(|(_, value)| !value.is_blank()).collect()
}

fn has_proxy(document: &JobDocument) -> bool {
    PROXIES.iter().any(|(name, other)| {
        [name, other].into_iter().any(|name| document.get(name).is_some_and(|url| !url.is_blank()))
    })
}

fn rewrite_proxies(document: &mut JobDocument, seen: impl Fn(Url) -> Option<Url>) {
    for name in PROXIES.iter().flat_map(|(name, other)| [name, other]) {
        let url = document.get(name).and_then(|url| proxy_url(url.expose()));
        if let Some(rewritten) = url.and_then(&seen) {
            document.set(*name, String::from(rewritten));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alias::AliasHere;

    fn document(pairs: &[(&str, &str)]) -> JobDocument {
        let mut document = JobDocument::default();
        document.extend(pairs.iter().copied());
        document
    }

    fn told(pairs: &[(&str, &str)], view: View) -> Vec<(String, String)> {
        let mut document = document(pairs);
        tell(&mut document, &Network::default(), view);
        let all = document.iter().map(|(name, value)| (name.to_owned(), value.expose().to_owned()));
        all.collect()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_proxy_on_this_host_is_seen_from_a_container_by_the_hosts_name_there() {
        let given = [("HTTPS_PROXY", "http://me:pw@localhost:3128"), ("NO_PROXY", ".corp.example")];
        let expected = [
            ("HTTPS_PROXY", "http://me:pw@host.docker.internal:3128/"),
            ("NO_PROXY", ".corp.example,host.docker.internal"),
            ("no_proxy", ".corp.example,host.docker.internal"),
        ];
        assert_eq!(told(&given, View::Container), owned(&expected));
        assert_eq!(told(&given, View::HostNetwork), owned(&given));
        let alias = [("http_proxy", "host.docker.internal:3128")];
        let here = told(&alias, View::Host(AliasHere::ThisHost));
        assert_eq!(here, owned(&[("http_proxy", "http://localhost:3128/")]));
    }

    #[test]
    fn exceptions_in_two_spellings_that_differ_are_joined() {
        let given = [("http_proxy", "http://p:1"), ("NO_PROXY", "a"), ("no_proxy", " b,c ")];
        let gateway = proxies(&document(&given));
        assert_eq!(gateway.last(), Some(&("NO_PROXY", Secret::from("a,b,c"))));
        let told = told(&given, View::Container);
        for name in NO_PROXIES {
            let all = (name.to_owned(), "a,b,c,host.docker.internal".to_owned());
            assert!(told.contains(&all), "{told:?}");
        }
    }

    #[test]
    fn without_a_proxy_there_are_no_exceptions() {
        assert_eq!(told(&[], View::Container), []);
    }

    #[test]
    fn another_proxy_is_left_as_it_was_written() {
        let given = [("HTTP_PROXY", "proxy.corp.example:3128")];
        let told = told(&given, View::Container);
        assert!(told.contains(&owned(&given)[0]), "{told:?}");
    }

    #[test]
    fn a_build_is_told_what_an_agent_is() {
        let given = document(&[("https_proxy", "http://me:pw@127.0.0.1:3128"), ("HTTP_PROXY", "")]);
        let told = of_builds(given, &Network::default());
        let shown: Vec<_> = told.iter().map(|(name, value)| (*name, value.expose())).collect();
        let proxy = "http://me:pw@host.docker.internal:3128/";
        let except = "host.docker.internal";
        assert_eq!(shown, [("https_proxy", proxy), ("NO_PROXY", except), ("no_proxy", except)]);
        assert_eq!(of_builds(JobDocument::default(), &Network::default()), []);
    }

    #[test]
    fn a_gateway_gets_the_proxies_in_one_spelling() {
        let pairs = [("https_proxy", "http://p:1"), ("HTTP_PROXY", " "), ("no_proxy", "x")];
        let proxies = proxies(&document(&pairs));
        let shown: Vec<_> = proxies.iter().map(|(name, value)| (*name, value.expose())).collect();
        assert_eq!(shown, [("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "x")]);
    }
}
