//! Which forge a repository is on, and where its REST API is, by the settings and the names alone:
//! nobody is asked.

use url::Url;

/// A kind of forge, by the REST API that it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForgeKind {
    GitHub,
    /// Gitea and Forgejo.
    Gitea,
    GitLab,
}

/// A repository on a forge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForgeAddress {
    pub(super) kind: ForgeKind,
    /// Base URL of the REST API.
    pub(super) api: Url,
    /// `owner/name`, or a longer path on GitLab.
    pub(super) path: String,
}

/// It is not known how to ask for the pull requests of a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownForge {
    #[error("the project's repository URL is no http or https URL of a repository")]
    Repository,
    #[error("the setting FORGE must be github, gitea or gitlab")]
    Kind,
    #[error("the setting FORGE_API_URL must be an http or https URL")]
    Api,
    #[error("it is not known which forge {host} is: set FORGE")]
    Host { host: String },
}

impl ForgeAddress {
    /// The repository at `repo`; `kind` and `api` are the settings `FORGE` and `FORGE_API_URL`.
    ///
    /// # Errors
    /// [`UnknownForge`] names the setting to mend.
    pub(crate) fn new(
        repo: &str,
        kind: Option<&str>,
        api: Option<&str>,
    ) -> Result<Self, UnknownForge> {
        let repo = web_url(repo).ok_or(UnknownForge::Repository)?;
        let path = path_of(&repo).ok_or(UnknownForge::Repository)?;
        let api = match api {
            Some(text) => Some(web_url(text).ok_or(UnknownForge::Api)?),
            None => None,
        };
        let kind = match kind {
            Some(name) => ForgeKind::of_name(name).ok_or(UnknownForge::Kind)?,
            None => ForgeKind::of_urls(&repo, api.as_ref()).ok_or_else(|| UnknownForge::Host {
                host: repo.host_str().unwrap_or_default().to_owned(),
            })?,
        };
        let api = api.or_else(|| kind.usual_api(&repo)).ok_or(UnknownForge::Repository)?;
        Ok(Self { kind, api, path })
    }

    /// Scheme, host and port of the API: what has one limit for all repositories.
    pub(crate) fn origin(&self) -> String {
        self.api.origin().ascii_serialization()
    }

    /// Whether a repository is called so in an event of its forge.
    pub(crate) fn is_called(&self, path: &str) -> bool {
        self.path.eq_ignore_ascii_case(path)
    }
}

impl ForgeKind {
    fn of_name(name: &str) -> Option<Self> {
        match name {
            "github" => Some(Self::GitHub),
            "gitea" => Some(Self::Gitea),
            "gitlab" => Some(Self::GitLab),
            _ => None,
        }
    }

    fn of_urls(repo: &Url, api: Option<&Url>) -> Option<Self> {
        let of_api = api.and_then(|api| {
            let path = api.path().trim_end_matches('/');
            let ends = [(Self::GitHub, "/v3"), (Self::Gitea, "/v1"), (Self::GitLab, "/v4")];
            let of_path = ends.into_iter().find(|(_, end)| path.ends_with(end));
            of_path.map(|(kind, _)| kind).or_else(|| Self::of_host(api.host_str()?))
        });
        of_api.or_else(|| Self::of_host(repo.host_str()?))
    }

    fn of_host(host: &str) -> Option<Self> {
        let host = host.strip_prefix("www.").unwrap_or(host);
        match host {
            "github.com" | "api.github.com" => Some(Self::GitHub),
            "codeberg.org" => Some(Self::Gitea),
            _ if host.ends_with(".ghe.com") => Some(Self::GitHub),
            _ => match host.split('.').next()? {
                "github" => Some(Self::GitHub),
                "gitlab" => Some(Self::GitLab),
                "gitea" | "forgejo" => Some(Self::Gitea),
                _ => None,
            },
        }
    }

    fn usual_api(self, repo: &Url) -> Option<Url> {
        let host = repo.host_str()?;
        let mut api = repo.clone();
        match self {
            Self::GitHub if matches!(host, "github.com" | "www.github.com") => {
                return Url::parse("https://api.github.com").ok();
            }
            Self::GitHub if host.ends_with(".ghe.com") => {
                api.set_host(Some(&format!("api.{host}"))).ok()?;
                api.set_path("");
            }
            Self::GitHub => api.set_path("/api/v3"),
            Self::Gitea => api.set_path("/api/v1"),
            Self::GitLab => api.set_path("/api/v4"),
        }
        Some(api)
    }
}

/// A URL without credentials, query and fragment: the token alone is shown to a forge.
fn web_url(text: &str) -> Option<Url> {
    let mut url = Url::parse(text.trim()).ok()?;
    let plain = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    url.set_query(None);
    url.set_fragment(None);
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    plain.then_some(url)
}

fn path_of(repo: &Url) -> Option<String> {
    let path = repo.path().trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let whole = path.split('/').count() > 1 && path.split('/').all(|part| !part.is_empty());
    whole.then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_found_by_its_names_and_the_settings() {
        use ForgeKind::{GitHub, GitLab, Gitea};
        for (repo, kind, api, expected) in [
            ("https://github.com/o/r.git", None, None, (GitHub, "https://api.github.com/", "o/r")),
            ("https://acme.ghe.com/o/r", None, None, (GitHub, "https://api.acme.ghe.com/", "o/r")),
            (
                "https://u:p@gitlab.example.org:8443/o/g/r",
                None,
                None,
                (GitLab, "https://gitlab.example.org:8443/api/v4", "o/g/r"),
            ),
            (
                "https://codeberg.org/o/r/",
                None,
                None,
                (Gitea, "https://codeberg.org/api/v1", "o/r"),
            ),
            ("http://h/o/r", Some("gitea"), None, (Gitea, "http://h/api/v1", "o/r")),
            ("http://h/o/r", None, Some("http://h/api/v3"), (GitHub, "http://h/api/v3", "o/r")),
        ] {
            let (kind_of, api_of, path) = expected;
            let address = ForgeAddress::new(repo, kind, api).unwrap();
            assert_eq!((address.kind, address.path.as_str()), (kind_of, path), "{repo}");
            assert_eq!(address.api.as_str(), api_of);
        }
    }

    #[test]
    fn what_is_not_known_names_the_setting() {
        let unknown = |repo, kind, api| ForgeAddress::new(repo, kind, api).unwrap_err();
        let host = unknown("https://git.example.org/o/r", None, None);
        assert_eq!(host.to_string(), "it is not known which forge git.example.org is: set FORGE");
        assert_eq!(unknown("https://h/o/r", Some("svn"), None), UnknownForge::Kind);
        assert_eq!(unknown("https://github.com/o/r", None, Some("x")), UnknownForge::Api);
        for repo in ["git@github.com:o/r", "https://github.com/o", "https://github.com/", ""] {
            assert_eq!(unknown(repo, None, None), UnknownForge::Repository, "{repo}");
        }
    }
}
