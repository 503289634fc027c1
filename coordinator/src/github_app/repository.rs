//! A repository of the forge by its name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Url;

/// The hosts whose REST API is the public one.
const PUBLIC_HOSTS: [&str; 2] = ["github.com", "www.github.com"];

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
    /// The repository at a URL, where the App's forge has it: any, if the operator has said where the
    /// forge's API is (`FORGE_API_URL`), else those of the public forge.
    pub(crate) fn at(url: &str, api: Option<&Url>) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let ours = api.is_some() || PUBLIC_HOSTS.contains(&url.host_str()?);
        let path = url.path().trim_matches('/');
        ours.then(|| path.strip_suffix(".git").unwrap_or(path).parse().ok())?
    }

    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
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
        assert_eq!(at("https://github.com/acme", None), None);
        assert_eq!(at("https://github.com/acme/demo/tree/main", None), None);
        assert_eq!(at("https://github.com/acme/..", None), None);
    }
}
