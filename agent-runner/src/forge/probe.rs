//! Asking a host which forge it is.

use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::http::ApiClient;
use super::{ForgeError, ForgeKind};
use crate::git::RepoUrl;
use crate::token::TokenSource;

const ATTEMPTED: &str = "asking the host of REPO_URL which forge it is";

/// The kind as which the repository's host answers; GitHub if as none.
///
/// # Errors
/// When the host cannot be reached.
pub(super) async fn ask(
    repo: &RepoUrl,
    token: TokenSource,
    cancel: CancellationToken,
) -> Result<ForgeKind, ForgeError> {
    let host = Url::parse(&format!("{}://{}", repo.scheme(), repo.host()))
        .map_err(|error| ForgeError::Misconfigured(format!("REPO_URL: {error}")))?;
    let client = ApiClient::new(host, HeaderMap::new(), token, cancel)?;
    let kind = if is_gitea(client.get(ATTEMPTED, client.url(["api", "v1", "version"])).await)? {
        ForgeKind::Gitea
    } else if is_gitlab(client.get(ATTEMPTED, client.url(["api", "v4", "version"])).await)? {
        ForgeKind::GitLab
    } else {
        ForgeKind::GitHub
    };
    tracing::info!("{} answers as {}; FORGE says otherwise, if need be", repo.host(), kind.name());
    Ok(kind)
}

fn is_gitea(answer: Result<Value, ForgeError>) -> Result<bool, ForgeError> {
    match answer {
        Ok(value) => Ok(has_version(&value)),
        Err(error) if error.is_transient() => Err(error),
        Err(_) => Ok(false),
    }
}

/// GitLab tells its version to those it knows, and the others in words of its own that it does not.
fn is_gitlab(answer: Result<Value, ForgeError>) -> Result<bool, ForgeError> {
    match answer {
        Ok(value) => Ok(has_version(&value)),
        Err(ForgeError::Unauthorised { message, .. }) => {
            Ok(["401 Unauthorized", "insufficient_scope"]
                .iter()
                .any(|words| message.contains(words)))
        }
        Err(error) if error.is_transient() => Err(error),
        Err(_) => Ok(false),
    }
}

fn has_version(value: &Value) -> bool {
    value.get("version").is_some_and(Value::is_string)
}
