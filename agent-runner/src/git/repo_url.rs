//! The address of a repository.
//!
//! Invariant: a [`RepoUrl`] is http or https and carries no credentials, so it may be shown.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::token::TokenSource;

/// Where a repository is fetched from and pushed to, and with which token.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The address.
    pub(crate) url: RepoUrl,
    /// The forge's token; without one only what is public works.
    pub(crate) token: Option<TokenSource>,
    /// The user name that the forge takes together with its token.
    pub(crate) token_user: &'static str,
}

/// The text is not an address that can be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidRepoUrl {
    /// Not a URL at all, `git@host:path` included.
    #[error("the repository URL is not a URL like https://github.com/owner/name")]
    NotAUrl,
    /// Another scheme.
    #[error("the repository URL begins with {0}:, allowed are https: and http:")]
    Scheme(String),
    /// A user name or password within.
    #[error("the repository URL for {0} has credentials in it: remove them and set GITHUB_TOKEN")]
    Credentials(String),
    /// Neither path, nor only a path.
    #[error("the repository URL for {0} must end with the repository's path, such as /owner/name")]
    Path(String),
}

/// An http(s) URL of a repository, without user name or password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RepoUrl(Url);

impl RepoUrl {
    /// The whole URL.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// Host, with the port where it is not the scheme's own.
    pub(crate) fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The whole path, without slashes around it and without `.git`.
    pub(crate) fn path(&self) -> &str {
        let path = self.0.path().trim_matches('/');
        path.strip_suffix(".git").unwrap_or(path)
    }

    /// Where the repository's own files of Git LFS are: on its host, below its path.
    pub(crate) fn lfs_endpoint(&self) -> String {
        format!("{}://{}/{}.git/info/lfs", self.scheme(), self.host(), self.path())
    }

    /// The last two parts of the path, without `.git`; nothing if there is but one.
    pub(crate) fn owner_and_name(&self) -> Option<(&str, &str)> {
        let (before, name) = self.path().rsplit_once('/')?;
        Some((before.rsplit('/').next().unwrap_or(before), name))
    }

    #[cfg(test)]
    pub(crate) fn of_folder(folder: &std::path::Path) -> Self {
        Self(Url::from_directory_path(folder).unwrap())
    }
}

impl FromStr for RepoUrl {
    type Err = InvalidRepoUrl;

    /// Errors name the host at most: the rest may be secret.
    fn from_str(text: &str) -> Result<Self, InvalidRepoUrl> {
        let url = Url::parse(text.trim()).map_err(|_| InvalidRepoUrl::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidRepoUrl::Scheme(url.scheme().to_owned()));
        }
        let repo = Self(url);
        if !repo.0.username().is_empty() || repo.0.password().is_some() {
            return Err(InvalidRepoUrl::Credentials(repo.host()));
        }
        let path = repo.0.path().trim_matches('/');
        if path.is_empty() || repo.0.query().is_some() || repo.0.fragment().is_some() {
            return Err(InvalidRepoUrl::Path(repo.host()));
        }
        Ok(repo)
    }
}

impl fmt::Display for RepoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_with_credentials_is_refused_without_being_shown() {
        for text in
            ["https://me:ghp_topsecret@github.com/o/r", "https://ghp_topsecret@github.com/o/r"]
        {
            let error = text.parse::<RepoUrl>().unwrap_err();
            assert_eq!(error, InvalidRepoUrl::Credentials("github.com".into()));
            assert!(!error.to_string().contains("topsecret"));
        }
    }

    #[test]
    fn only_http_and_https_are_taken() {
        for text in [
            "git@github.com:o/r.git",
            "ssh://git@h/o/r",
            "file:///etc",
            "ext::sh -c x",
            "/srv/r",
            "",
        ] {
            assert!(text.parse::<RepoUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn host_owner_and_name_are_read_from_the_path() {
        let url: RepoUrl = "http://127.0.0.1:3000/git/acme/shop.git".parse().unwrap();
        assert_eq!(url.host(), "127.0.0.1:3000");
        assert_eq!(url.owner_and_name(), Some(("acme", "shop")));
        assert_eq!(url.path(), "git/acme/shop");
        assert_eq!(url.lfs_endpoint(), "http://127.0.0.1:3000/git/acme/shop.git/info/lfs");
        let url: RepoUrl = "https://github.com:443/acme/shop/".parse().unwrap();
        assert_eq!(url.host(), "github.com");
        assert_eq!(url.owner_and_name(), Some(("acme", "shop")));
        let url: RepoUrl = "https://example.org/shop.git".parse().unwrap();
        assert_eq!(url.owner_and_name(), None);
    }

    #[test]
    fn a_url_must_name_a_repository_and_nothing_else() {
        for text in ["https://github.com", "https://github.com/o/r?x=1", "https://github.com/o/r#x"]
        {
            assert_eq!(text.parse::<RepoUrl>(), Err(InvalidRepoUrl::Path("github.com".into())));
        }
    }
}
