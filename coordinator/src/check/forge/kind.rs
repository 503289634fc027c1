//! Which forge a repository is on, as far as the settings and names tell, and where its API is. Pure.
//! The agent decides by the same rules.

use api_client::contract::env;
use url::Url;

use crate::config::AgentConfig;
use crate::github_app::PUBLIC_API;

/// A kind of forge, by the REST API that it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForgeKind {
    GitHub,
    Gitea,
    GitLab,
}

impl ForgeKind {
    /// The user name that git shows together with a token.
    pub(super) const fn token_user(self) -> &'static str {
        match self {
            Self::GitHub | Self::Gitea => "x-access-token",
            Self::GitLab => "oauth2",
        }
    }

    /// Where the API of a repository usually is.
    pub(super) fn usual_api(self, repo: &Url) -> Option<Url> {
        let (scheme, host) = (repo.scheme(), repo.host_str()?);
        let port = repo.port().map_or_else(String::new, |port| format!(":{port}"));
        let base = match (self, host) {
            (Self::GitHub, "github.com" | "www.github.com") => PUBLIC_API.to_owned(),
            (Self::GitHub, cloud) if cloud.ends_with(".ghe.com") => {
                format!("{scheme}://api.{cloud}")
            }
            (Self::GitHub, _) => format!("{scheme}://{host}{port}/api/v3"),
            (Self::Gitea, _) => format!("{scheme}://{host}{port}/api/v1"),
            (Self::GitLab, _) => format!("{scheme}://{host}{port}/api/v4"),
        };
        Url::parse(&base).ok()
    }

    fn of_api(api: &Url) -> Option<Self> {
        let path = api.path().trim_end_matches('/');
        let ends = [("/v3", Self::GitHub), ("/v1", Self::Gitea), ("/v4", Self::GitLab)];
        let of_path = ends.into_iter().find(|(end, _)| path.ends_with(end));
        of_path.map(|(_, kind)| kind).or_else(|| Self::of_host(api.host_str()?))
    }

    fn of_host(host: &str) -> Option<Self> {
        let host = host.strip_prefix("www.").unwrap_or(host);
        match host {
            "codeberg.org" => return Some(Self::Gitea),
            _ if host.ends_with(".ghe.com") || host == "api.github.com" => {
                return Some(Self::GitHub);
            }
            _ => {}
        }
        match host.split('.').next()? {
            "github" => Some(Self::GitHub),
            "gitlab" => Some(Self::GitLab),
            "gitea" | "forgejo" => Some(Self::Gitea),
            _ => None,
        }
    }
}

/// The base of the API that the settings name.
pub(super) fn set_api(agent: &AgentConfig) -> Option<Url> {
    Url::parse(agent.settings.get(env::FORGE_API_URL)?.expose()).ok()
}

/// The kind that the settings or the names tell.
pub(super) fn known(agent: &AgentConfig, repo: Option<&Url>) -> Option<ForgeKind> {
    let set = agent.settings.get(env::FORGE).and_then(|forge| match forge.expose().trim() {
        "github" => Some(ForgeKind::GitHub),
        "gitea" => Some(ForgeKind::Gitea),
        "gitlab" => Some(ForgeKind::GitLab),
        _ => None,
    });
    set.or_else(|| ForgeKind::of_api(&set_api(agent)?))
        .or_else(|| ForgeKind::of_host(repo?.host_str()?))
}

/// The forge where no repository is known: the one whose API is named, else the public one.
pub(super) fn by_settings(agent: &AgentConfig) -> Option<(ForgeKind, Url)> {
    match (known(agent, None), set_api(agent)) {
        (kind, Some(api)) => Some((kind.unwrap_or(ForgeKind::GitHub), api)),
        (None | Some(ForgeKind::GitHub), None) => {
            Some((ForgeKind::GitHub, Url::parse(PUBLIC_API).ok()?))
        }
        (Some(ForgeKind::Gitea | ForgeKind::GitLab), None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::agent;
    use super::*;

    #[test]
    fn a_forge_is_told_by_setting_then_by_its_api_then_by_its_name() {
        use ForgeKind::{GitHub, GitLab, Gitea};
        for (settings, repo, expected) in [
            (&[("FORGE", "gitea")][..], "https://github.com/o/r", Some(Gitea)),
            (&[("FORGE_API_URL", "https://h/api/v4")], "https://github.com/o/r", Some(GitLab)),
            (&[], "https://github.com/o/r", Some(GitHub)),
            (&[], "https://gitlab.example/o/r", Some(GitLab)),
            (&[], "https://codeberg.org/o/r", Some(Gitea)),
            (&[], "https://git.example/o/r", None),
        ] {
            let kind = known(&agent(settings), Some(&Url::parse(repo).unwrap()));
            assert_eq!(kind, expected, "{settings:?} {repo}");
        }
    }

    #[test]
    fn each_forge_has_its_api_in_a_place_of_its_own() {
        for (kind, repo, api) in [
            (ForgeKind::GitHub, "https://github.com/o/r", "https://api.github.com/"),
            (ForgeKind::GitHub, "https://acme.ghe.com/o/r", "https://api.acme.ghe.com/"),
            (ForgeKind::GitHub, "https://ghe.example:8443/o/r", "https://ghe.example:8443/api/v3"),
            (ForgeKind::Gitea, "http://127.0.0.1:3000/o/r", "http://127.0.0.1:3000/api/v1"),
            (ForgeKind::GitLab, "https://gitlab.com/g/s/r", "https://gitlab.com/api/v4"),
        ] {
            assert_eq!(kind.usual_api(&Url::parse(repo).unwrap()).unwrap().as_str(), api);
        }
    }
}
