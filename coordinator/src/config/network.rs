//! How the coordinator and its agents get through a network that is not open: certificates, the client's
//! own and those that are trusted, and proxies.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

use api_client::Secret;
use api_client::contract::{JobDocument, NO_PROXIES, PROXIES};
use api_client::http::{Network, ProxySettings};
use api_client::tls::{ClientIdentity, ExtraRoots, PEM_MAX, PemError, check_certificates};
use url::Url;

use super::environment::Environment;
use super::error::Problem;
use super::parse::{self, Allowed};
use super::read::Reader;
use super::setting::{container, service};

/// The proxies of the agents, where they are others than those of the coordinator's environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AgentProxies {
    /// For `http` URLs.
    pub(crate) http: Option<ProxyChoice>,
    /// For `https` URLs.
    pub(crate) https: Option<ProxyChoice>,
    /// What is reached without.
    pub(crate) except: Option<String>,
}

/// What an agent is told of a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProxyChoice {
    /// There is none, whatever the coordinator has.
    Direct,
    /// This one; its URL may hold a password.
    Url(Secret),
}

/// The certificates; proxies are left to the environment.
pub(super) fn read_network(reader: &mut Reader<'_>, home: Option<&Path>) -> Option<Network> {
    let roots = read_roots(reader, home);
    let certificate = reader.optional(&service::APP_CLIENT_CERT, |text| {
        let pem = pem_file(text, home)?;
        check_certificates(&pem).map_err(|error| bundle(&error))?;
        Ok(pem)
    });
    let key = reader.secret_of(&service::APP_CLIENT_KEY, |_| Ok(()));
    let (roots, certificate, key) = (roots?, certificate?, key?);
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(identity(reader, &certificate, &key)?),
        (None, None) => None,
        (Some(_), None) => {
            reader.missing(&service::APP_CLIENT_KEY);
            return None;
        }
        (None, Some(_)) => {
            reader.missing(&service::APP_CLIENT_CERT);
            return None;
        }
    };
    Some(Network { roots, identity, ..Network::default() })
}

/// The certificates that are trusted beside the system's.
pub(super) fn read_roots(
    reader: &mut Reader<'_>,
    home: Option<&Path>,
) -> Option<Option<ExtraRoots>> {
    reader.optional(&service::EXTRA_CA, |text| {
        ExtraRoots::from_pem(&pem_file(text, home)?).map_err(|error| bundle(&error))
    })
}

fn identity(reader: &mut Reader<'_>, certificate: &str, key: &Secret) -> Option<ClientIdentity> {
    match ClientIdentity::new(certificate, key) {
        Ok(identity) => Some(identity),
        Err(error) => {
            let why = error.to_string();
            reader.fail(Problem::Contradiction { names: "APP_CLIENT_KEY_FILE", why })
        }
    }
}

/// The text of a file with certificates.
fn pem_file(text: &str, home: Option<&Path>) -> Result<String, Allowed> {
    let path: PathBuf = parse::path(text, home)?;
    let unreadable =
        |error| format!("the path of a file with PEM certificates that can be read ({error})");
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut pem = Vec::new();
    let limit = u64::try_from(PEM_MAX).unwrap_or(u64::MAX) + 1;
    file.take(limit).read_to_end(&mut pem).map_err(unreadable)?;
    Ok(String::from_utf8_lossy(&pem).into_owned())
}

fn bundle(error: &PemError) -> Allowed {
    format!("the path of a file with PEM certificates; this one {error}")
}

/// The proxies that HTTP clients of this process take from its environment.
pub(super) fn own_proxies(environment: &Environment) -> ProxySettings {
    let text = |name: &str| environment.get(name).and_then(OsStr::to_str).map(str::trim);
    let of = |(name, other): (&str, &str)| {
        [name, other].into_iter().filter_map(text).find(|value| !value.is_empty())
    };
    let [http, https] = PROXIES;
    let all = of(("ALL_PROXY", "all_proxy"));
    let [no_proxy, other] = NO_PROXIES;
    ProxySettings {
        http: of(http).or(all).map(Secret::from),
        https: of(https).or(all).map(Secret::from),
        except: of((no_proxy, other)).map(str::to_owned),
    }
}

/// The proxies that are the agents' own.
pub(super) fn read_agent_proxies(reader: &mut Reader<'_>) -> Option<AgentProxies> {
    let http = reader.optional(&container::HTTP_PROXY, proxy_choice);
    let https = reader.optional(&container::HTTPS_PROXY, proxy_choice);
    let except = reader.optional(&container::NO_PROXY, |text| parse::line(text).map(str::to_owned));
    Some(AgentProxies { http: http?, https: https?, except: except? })
}

fn proxy_choice(text: &str) -> Result<ProxyChoice, Allowed> {
    if text.eq_ignore_ascii_case("direct") {
        return Ok(ProxyChoice::Direct);
    }
    proxy(text).map(ProxyChoice::Url).map_err(|allowed| format!("{allowed}, or direct for none"))
}

/// The address of a proxy, as programs take it from the environment.
pub(super) fn proxy(text: &str) -> Result<Secret, Allowed> {
    let usable = proxy_url(text).is_some_and(|url| matches!(url.scheme(), "http" | "https"));
    usable.then(|| Secret::from(text)).ok_or_else(|| {
        "http://host:port or http://user:password@host:port (a user name or password with other \
         characters than letters and digits in its URL-encoded form)"
            .to_owned()
    })
}

/// A proxy's address as a URL; `host:port` alone means `http://host:port`.
pub(crate) fn proxy_url(text: &str) -> Option<Url> {
    let text = text.trim();
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    Url::parse(&whole).ok().filter(Url::has_host)
}

impl AgentProxies {
    /// Puts them in the place of those that the agents would have otherwise.
    pub(super) fn replace_in(&self, settings: &mut JobDocument) {
        for ((name, other), choice) in PROXIES.into_iter().zip([&self.http, &self.https]) {
            for name in [name, other] {
                match choice {
                    Some(ProxyChoice::Url(url)) => settings.set(name, url.clone()),
                    // Nothing, and not "not said": the app's settings for a job would then hold.
                    Some(ProxyChoice::Direct) => settings.set(name, ""),
                    None => {}
                }
            }
        }
        if let Some(except) = &self.except {
            for name in NO_PROXIES {
                settings.set(name, except.as_str());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_proxy_needs_no_scheme_and_may_have_a_password() {
        for text in ["proxy:3128", "http://proxy:3128", "http://me:p%40ss@proxy", "https://[::1]:1"]
        {
            assert_eq!(proxy(text).unwrap().expose(), text);
        }
        for text in ["socks5://proxy:1080", "http://", "", "http://a b", "http://me:p/ss@proxy"] {
            assert!(proxy(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_agents_own_proxies_take_the_place_of_the_others() {
        let mut settings = JobDocument::default();
        for (name, other) in PROXIES {
            settings.extend([(name, "http://of-all:1"), (other, "http://of-all:1")]);
        }
        let own = AgentProxies {
            http: Some(ProxyChoice::Direct),
            https: Some(ProxyChoice::Url("http://own:2".into())),
            except: Some("x".to_owned()),
        };
        own.replace_in(&mut settings);
        let all: Vec<_> = settings.iter().map(|(name, value)| (name, value.expose())).collect();
        let expected = [
            ("HTTPS_PROXY", "http://own:2"),
            ("HTTP_PROXY", ""),
            ("NO_PROXY", "x"),
            ("http_proxy", ""),
            ("https_proxy", "http://own:2"),
            ("no_proxy", "x"),
        ];
        assert_eq!(all, expected);
    }
}
