//! Which forge a repository is on, as far as names tell it, and what differs between forges beside
//! their API.

use std::str::FromStr;

use url::Url;

use super::ForgeError;
use crate::git::RepoUrl;

/// A kind of forge, by the REST API that it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForgeKind {
    /// GitHub, GitHub Enterprise Server and Cloud.
    GitHub,
    /// Gitea and Forgejo.
    Gitea,
    /// GitLab.
    GitLab,
}

impl ForgeKind {
    /// All, in the order in which the documentation names them.
    pub(crate) const ALL: [Self; 3] = [Self::GitHub, Self::Gitea, Self::GitLab];

    /// The name in the setting `FORGE`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::Gitea => "gitea",
            Self::GitLab => "gitlab",
        }
    }

    /// The user name that git shows together with the token.
    pub(crate) const fn token_user(self) -> &'static str {
        match self {
            // Gitea takes any name beside a token.
            Self::GitHub | Self::Gitea => "x-access-token",
            Self::GitLab => "oauth2",
        }
    }

    /// Where a repository keeps the text that its pull requests begin with; the first that is there
    /// counts.
    pub(super) const fn template_paths(self) -> &'static [&'static str] {
        match self {
            Self::GitHub => &[
                ".github/PULL_REQUEST_TEMPLATE.md",
                ".github/pull_request_template.md",
                "PULL_REQUEST_TEMPLATE.md",
                "pull_request_template.md",
                "docs/PULL_REQUEST_TEMPLATE.md",
                "docs/pull_request_template.md",
            ],
            Self::Gitea => &[
                "PULL_REQUEST_TEMPLATE.md",
                "pull_request_template.md",
                ".forgejo/PULL_REQUEST_TEMPLATE.md",
                ".forgejo/pull_request_template.md",
                ".gitea/PULL_REQUEST_TEMPLATE.md",
                ".gitea/pull_request_template.md",
                ".github/PULL_REQUEST_TEMPLATE.md",
                ".github/pull_request_template.md",
            ],
            Self::GitLab => &[
                ".gitlab/merge_request_templates/Default.md",
                ".gitlab/merge_request_templates/default.md",
            ],
        }
    }

    /// The kind that the API's address tells, or the host's name.
    pub(super) fn of_names(repo: &RepoUrl, api: Option<&Url>) -> Option<Self> {
        let of_api = api.and_then(|api| {
            let path = api.path().trim_end_matches('/');
            let ends = [(Self::GitHub, "/v3"), (Self::Gitea, "/v1"), (Self::GitLab, "/v4")];
            let of_path = ends.into_iter().find(|(_, end)| path.ends_with(end));
            of_path.map(|(kind, _)| kind).or_else(|| Self::of_host(api.host_str()?))
        });
        of_api.or_else(|| Self::of_host(repo.host().split(':').next()?))
    }

    fn of_host(host: &str) -> Option<Self> {
        let host = host.strip_prefix("www.").unwrap_or(host);
        match host {
            "github.com" | "api.github.com" => return Some(Self::GitHub),
            "gitlab.com" => return Some(Self::GitLab),
            "codeberg.org" | "gitea.com" => return Some(Self::Gitea),
            _ => {}
        }
        match host.split('.').next()? {
            _ if host.ends_with(".ghe.com") => Some(Self::GitHub),
            "github" => Some(Self::GitHub),
            "gitlab" => Some(Self::GitLab),
            "gitea" | "forgejo" => Some(Self::Gitea),
            _ => None,
        }
    }

    /// Where the REST API of a repository is: `api` if that is set, else where it usually is.
    pub(super) fn api(self, repo: &RepoUrl, api: Option<&Url>) -> Result<Url, ForgeError> {
        let known = api.cloned().or_else(|| self.usual_api(repo));
        known.ok_or_else(|| misconfigured("no API is known for REPO_URL; set FORGE_API_URL"))
    }

    /// Owner and name of a repository on a forge that knows no deeper paths.
    pub(super) fn owner_and_name(repo: &RepoUrl) -> Result<(String, String), ForgeError> {
        let (owner, name) = repo.owner_and_name().ok_or_else(|| {
            misconfigured("REPO_URL must end with /owner/name for a pull request to be opened")
        })?;
        Ok((owner.to_owned(), name.to_owned()))
    }

    fn usual_api(self, repo: &RepoUrl) -> Option<Url> {
        let (scheme, host) = (repo.scheme(), repo.host());
        let base = match self {
            Self::GitHub => match host.as_str() {
                "github.com" | "www.github.com" => "https://api.github.com".to_owned(),
                cloud if cloud.ends_with(".ghe.com") => format!("{scheme}://api.{cloud}"),
                _ => format!("{scheme}://{host}/api/v3"),
            },
            Self::Gitea => format!("{scheme}://{host}/api/v1"),
            Self::GitLab => format!("{scheme}://{host}/api/v4"),
        };
        Url::parse(&base).ok()
    }
}

fn misconfigured(why: &str) -> ForgeError {
    ForgeError::Misconfigured(why.to_owned())
}

impl FromStr for ForgeKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == text);
        let allowed = Self::ALL.map(Self::name).join(", ");
        known.ok_or_else(|| format!("must be one of {allowed}, got {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forge_is_known_by_the_address_of_its_api_or_by_its_name() {
        use ForgeKind::{GitHub, GitLab, Gitea};
        for (repo, api, expected) in [
            ("https://github.com/o/r.git", None, Some(GitHub)),
            ("https://acme.ghe.com/o/r", None, Some(GitHub)),
            ("https://gitlab.com/o/g/r", None, Some(GitLab)),
            ("https://gitlab.example.org:8443/o/r", None, Some(GitLab)),
            ("https://gitea.example.org/o/r", None, Some(Gitea)),
            ("https://forgejo.example.org/o/r", None, Some(Gitea)),
            ("https://codeberg.org/o/r", None, Some(Gitea)),
            ("https://git.example.org/o/r", None, None),
            ("https://mygitlab.example.org/o/r", None, None),
            ("https://gitlab.evil.example/o/r", Some("https://h/api/v3"), Some(GitHub)),
            ("https://git.example.org/o/r", Some("https://h/api/v1/"), Some(Gitea)),
            ("https://git.example.org/o/r", Some("https://h/sub/api/v4"), Some(GitLab)),
            ("https://git.example.org/o/r", Some("https://api.github.com"), Some(GitHub)),
            ("https://git.example.org/o/r", Some("https://h/api"), None),
        ] {
            let api = api.map(|api| Url::parse(api).unwrap());
            let kind = ForgeKind::of_names(&repo.parse().unwrap(), api.as_ref());
            assert_eq!(kind, expected, "{repo} {api:?}");
        }
    }

    #[test]
    fn the_api_is_where_each_forge_has_it() {
        for (kind, repo, expected) in [
            (ForgeKind::GitHub, "https://github.com/o/r.git", "https://api.github.com/"),
            (ForgeKind::GitHub, "https://acme.ghe.com/o/r", "https://api.acme.ghe.com/"),
            (ForgeKind::GitHub, "https://ghe.example:8443/o/r", "https://ghe.example:8443/api/v3"),
            (ForgeKind::Gitea, "http://127.0.0.1:3000/o/r", "http://127.0.0.1:3000/api/v1"),
            (ForgeKind::GitLab, "https://gitlab.com/g/s/r.git", "https://gitlab.com/api/v4"),
        ] {
            let api = kind.usual_api(&repo.parse().unwrap()).unwrap();
            assert_eq!(api.as_str(), expected);
        }
    }

    #[test]
    fn each_forge_looks_for_templates_in_places_of_its_own() {
        for (kind, place) in ForgeKind::ALL.into_iter().zip([".github/", ".gitea/", ".gitlab/"]) {
            assert!(kind.template_paths().iter().any(|path| path.starts_with(place)), "{kind:?}");
        }
    }

    #[test]
    fn an_unknown_forge_is_refused_with_the_known_ones() {
        for kind in ForgeKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        let error = "bitbucket".parse::<ForgeKind>().unwrap_err();
        assert_eq!(error, "must be one of github, gitea, gitlab, got \"bitbucket\"");
    }
}
