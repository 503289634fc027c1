//! A repository of the forge by its name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Url;

/// The host of the public REST API, and another name of the host that it serves.
const PUBLIC: (&str, &str) = ("api.github.com", "www.github.com");

/// `owner/name`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Repository {
    owner: String,
    name: String,
}

/// The text is no `owner/name`.
#[derive(Debug, thiserror::Error)]
#[error("a repository is named owner/name")]
pub(crate) struct NoRepository;

impl Repository {
    /// The repository at a URL, where the App's forge has it: that whose API the operator has named
    /// (`FORGE_API_URL`), else the public one.
    pub(crate) fn at(url: &str, api: Option<&Url>) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let path = url.path().trim_matches('/');
        is_served(&url, api).then(|| path.strip_suffix(".git").unwrap_or(path).parse().ok())?
    }

    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Whether the host of a repository is the one that this API serves, its own or that below `api.`, and
/// nobody on the way reads a token that is sent there who could not read it on the way to the API.
fn is_served(url: &Url, api: Option<&Url>) -> bool {
    let public = ("https", Some(PUBLIC.0));
    let (scheme, api) = api.map_or(public, |api| (api.scheme(), api.host_str()));
    let (Some(host), Some(api)) = (url.host_str(), api) else { return false };
    let named = host == api || api.strip_prefix("api.") == Some(host) || (api, host) == PUBLIC;
    named && (url.scheme() == "https" || url.scheme() == scheme)
}

impl FromStr for Repository {
    type Err = NoRepository;

    fn from_str(text: &str) -> Result<Self, NoRepository> {
        let (owner, name) = text.split_once('/').ok_or(NoRepository)?;
        let good = |part: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && part.chars().all(plain) && !part.chars().all(|c| c == '.')
        };
        if !good(owner) || !good(name) {
            return Err(NoRepository);
        }
        Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

impl TryFrom<String> for Repository {
    type Error = NoRepository;

    fn try_from(text: String) -> Result<Self, NoRepository> {
        text.parse()
    }
}

impl From<Repository> for String {
    fn from(repository: Repository) -> Self {
        repository.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_of_the_app_s_forge_are_told_from_others() {
        let api = Url::parse("https://ghe.example/api/v3").unwrap();
        let at = |url, api: Option<&Url>| Repository::at(url, api).map(|found| found.to_string());
        let demo = Some("acme/demo".to_owned());
        assert_eq!(at("https://github.com/acme/demo.git", None), demo);
        assert_eq!(at("https://github.com/acme/demo/", None), demo);
        assert_eq!(at("https://ghe.example/acme/demo", Some(&api)), demo);
        assert_eq!(at("https://ghe.example/acme/demo", None), None);
        assert_eq!(at("https://evil.example/acme/demo", Some(&api)), None);
        assert_eq!(at("https://github.com/acme/demo", Some(&api)), None);
        assert_eq!(at("http://ghe.example/acme/demo", Some(&api)), None);
        assert_eq!(at("http://github.com/acme/demo", None), None);
        let of_tenant = Url::parse("https://api.acme.ghe.example").unwrap();
        assert_eq!(at("https://acme.ghe.example/acme/demo", Some(&of_tenant)), demo);
        let nearby = Url::parse("http://localhost:3000/api/v3").unwrap();
        assert_eq!(at("http://localhost:3000/acme/demo.git", Some(&nearby)), demo);
        assert_eq!(at("https://github.com/acme", None), None);
        assert_eq!(at("https://github.com/acme/demo/tree/main", None), None);
        assert_eq!(at("https://github.com/acme/..", None), None);
    }
}
