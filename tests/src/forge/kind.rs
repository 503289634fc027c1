//! Which forge the test forge is taken for.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A kind of forge: one of three REST APIs over the same repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ForgeKind {
    /// GitHub Enterprise.
    #[default]
    #[value(name = "github")]
    GitHub,
    /// Gitea.
    Gitea,
    /// GitLab.
    #[value(name = "gitlab")]
    GitLab,
}

impl ForgeKind {
    /// All.
    pub const ALL: [Self; 3] = [Self::GitHub, Self::Gitea, Self::GitLab];

    /// The name in the setting `FORGE`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::Gitea => "gitea",
            Self::GitLab => "gitlab",
        }
    }

    /// Where the REST API is.
    pub const fn api_path(self) -> &'static str {
        match self {
            Self::GitHub => "/api/v3",
            Self::Gitea => "/api/v1",
            Self::GitLab => "/api/v4",
        }
    }

    /// The excerpt of what the forge publishes about its REST API.
    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::GitHub => include_str!("../../testdata/forge-api/github.json"),
            Self::Gitea => include_str!("../../testdata/forge-api/gitea.json"),
            Self::GitLab => include_str!("../../testdata/forge-api/gitlab.json"),
        }
    }

    /// Whether git may show the token with the user name that these headers carry: GitLab takes OAuth
    /// tokens with one name alone, and the others any.
    pub(super) fn takes_git_user(self, headers: &HeaderMap) -> bool {
        match self {
            Self::GitHub | Self::Gitea => true,
            Self::GitLab => git_user(headers).is_none_or(|user| user == "oauth2"),
        }
    }
}

fn git_user(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    decoded.split_once(':').map(|(user, _)| user.to_owned())
}
