//! Pulling images, and telling which image a container has.
//!
//! A pull may take as long as it likes while it makes progress; without any it is given up.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use bollard::BollardRequest;
use bollard::auth::DockerCredentials;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::{CreateImageOptionsBuilder, InspectContainerOptions};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::{CALL_TIMEOUT, ContainerRef, Engine, EngineError};
use crate::registry_login::Login;

/// A pull says how far it is no more often than this.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What the client waits beyond our own limit, so that it is ours that is told.
const MARGIN: Duration = Duration::from_secs(30);

/// The header of a request that holds a login.
const LOGIN_HEADER: &str = "x-registry-auth";

/// An image that cannot be mistaken for a later one of the same name: `name@sha256:…` as its registry
/// has it, or the engine's own id `sha256:…` where it was built here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ImageDigest(String);

impl ImageDigest {
    /// The same for people, where the engine's own id would tell them nothing: with the name that was
    /// asked for.
    pub(crate) fn with_name(&self, name: &str) -> String {
        if self.0.starts_with("sha256:") { format!("{name} ({self})") } else { self.0.clone() }
    }
}

impl fmt::Display for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Engine {
    /// Fetches an image from its registry; `latest` when it names neither tag nor digest. It is given
    /// up when there was no progress for `patience`.
    pub(crate) async fn pull(
        &self,
        image: &str,
        login: Option<&Login>,
        patience: Duration,
    ) -> Result<(), EngineError> {
        let options = CreateImageOptionsBuilder::default().from_image(image);
        let options = if names_a_version(image) { options } else { options.tag("latest") };
        let docker = self.docker().await?.with_timeout(patience.saturating_add(MARGIN));
        let mut pull = docker.create_image(Some(options.build()), None, login.map(credentials));
        let mut progress = Progress::default();
        let (mut moved, mut told) = (Instant::now(), Instant::now());
        loop {
            let event = match timeout_at(moved + patience, pull.next()).await {
                Err(_) => {
                    return Err(EngineError::stalled("pull image", image, patience, &progress));
                }
                Ok(None) => return Ok(()),
                Ok(Some(event)) => {
                    event.map_err(|error| EngineError::new("pull image", image, error))?
                }
            };
            if progress.take(event) == Step::Forward {
                moved = Instant::now();
            }
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                tracing::info!(image, "pulling: {progress}");
            }
        }
    }

    /// Whether an image could be pulled: its registry is asked by the engine, and nothing is fetched. False
    /// where the engine cannot ask (Podman).
    pub(crate) async fn ask_registry(
        &self,
        image: &str,
        login: Option<&Login>,
    ) -> Result<bool, EngineError> {
        let docker = self.docker().await?;
        let inspect = docker.inspect_registry_image(image, login.map(credentials));
        match self.call(CALL_TIMEOUT, "find in its registry the image", image, inspect).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_offered() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Which image a container has; `name` is the one that it was made from.
    pub(crate) async fn image_of(
        &self,
        container: &ContainerRef,
        name: &str,
    ) -> Result<ImageDigest, EngineError> {
        let docker = self.docker().await?;
        let inspect = docker.inspect_container(&container.0, None::<InspectContainerOptions>);
        let found = self.call(CALL_TIMEOUT, "inspect container", &container.0, inspect).await?;
        let id = found.image.unwrap_or_default();
        let image =
            self.call(CALL_TIMEOUT, "inspect image", &id, docker.inspect_image(&id)).await?;
        let digests = image.repo_digests.unwrap_or_default();
        Ok(ImageDigest(digest_of(name, digests).unwrap_or(id)))
    }
}

/// The engine reads a login in the alphabet of base64 that is safe in URLs, and takes one in the other
/// alphabet for none at all; bollard writes the other.
pub(super) fn with_readable_login(mut request: BollardRequest) -> BollardRequest {
    if let Some(login) = request.headers_mut().get_mut(LOGIN_HEADER)
        && let Ok(text) = login.to_str()
        && let Ok(mut readable) = text.replace('+', "-").replace('/', "_").parse()
    {
        std::mem::swap(login, &mut readable);
        login.set_sensitive(true);
    }
    request
}

fn credentials(login: &Login) -> DockerCredentials {
    match login {
        Login::Password { user, password } => DockerCredentials {
            username: Some(user.clone()),
            password: Some(password.expose().to_owned()),
            ..DockerCredentials::default()
        },
        Login::IdentityToken(token) => DockerCredentials {
            identitytoken: Some(token.expose().to_owned()),
            ..DockerCredentials::default()
        },
    }
}

/// Whether an image name has a tag or a digest. A registry's port is neither.
fn names_a_version(image: &str) -> bool {
    image.len() > repository(image).len()
}

/// An image's name without tag and digest.
fn repository(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    let last = image.rfind('/').map_or(0, |slash| slash + 1);
    image[last..].find(':').map_or(image, |colon| &image[..last + colon])
}

/// Of the digests that registries have for an image, that of the name by which it was asked for.
fn digest_of(name: &str, mut digests: Vec<String>) -> Option<String> {
    let own = digests.iter().position(|digest| repository(digest) == repository(name));
    (!digests.is_empty()).then(|| digests.swap_remove(own.unwrap_or(0)))
}

/// Whether what the engine says is progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Forward,
    Still,
}

/// How far a pull is, by its layers.
#[derive(Debug, Default)]
struct Progress(HashMap<String, Layer>);

#[derive(Debug, Default)]
struct Layer {
    status: String,
    /// The most that was reached at that status, in bytes.
    current: i64,
    downloaded: i64,
}

impl Progress {
    /// Notes what the engine says. That it will try again, or that it is again where it was, is no
    /// progress.
    fn take(&mut self, event: CreateImageInfo) -> Step {
        let status = event.status.unwrap_or_default();
        if status.starts_with("Retrying") {
            return Step::Still;
        }
        let current = event.progress_detail.and_then(|detail| detail.current).unwrap_or(0);
        let layer = self.0.entry(event.id.unwrap_or_default()).or_default();
        let step = if layer.status != status || current > layer.current {
            Step::Forward
        } else {
            Step::Still
        };
        if status == "Downloading" {
            layer.downloaded = layer.downloaded.max(current);
        }
        if step == Step::Forward {
            (layer.status, layer.current) = (status, current);
        }
        step
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = |status: &str| ["Pull complete", "Already exists"].contains(&status);
        let begins = ["Pulling from", "Digest:", "Status:"];
        let layers: Vec<_> = self
            .0
            .values()
            .filter(|layer| !begins.iter().any(|begin| layer.status.starts_with(begin)))
            .collect();
        let done = layers.iter().filter(|layer| there(&layer.status)).count();
        let bytes: i64 = layers.iter().map(|layer| layer.downloaded).sum();
        write!(f, "{done} of {} layers are there, {} MiB came", layers.len(), bytes >> 20)
    }
}

#[cfg(test)]
mod tests {
    use bollard::body_full;
    use bollard::models::ProgressDetail;

    use super::*;

    fn event(id: &str, status: &str, current: i64) -> CreateImageInfo {
        CreateImageInfo {
            id: Some(id.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: Some(ProgressDetail { current: Some(current), total: Some(100) }),
            error_detail: None,
        }
    }

    #[test]
    fn the_port_of_a_registry_is_no_tag() {
        assert!(!names_a_version("registry.example:5000/team/agent"));
        assert!(names_a_version("registry.example:5000/team/agent:2"));
        assert!(names_a_version("agent@sha256:0123"));
        assert!(!names_a_version("terarchitect-agent"));
        assert_eq!(repository("r.example:5000/a/b:2@sha256:01"), "r.example:5000/a/b");
    }

    #[test]
    fn more_bytes_and_other_steps_are_progress_and_another_try_is_none() {
        let mut progress = Progress::default();
        let mut take = |status: &str, current| progress.take(event("layer", status, current));
        assert_eq!(take("Downloading", 10), Step::Forward);
        assert_eq!(take("Downloading", 10), Step::Still);
        assert_eq!(take("Downloading", 11), Step::Forward);
        for seconds in [5, 4, 3] {
            assert_eq!(take(&format!("Retrying in {seconds} seconds"), 0), Step::Still);
        }
        // It begins anew: only what is beyond the last try is progress.
        assert_eq!(take("Downloading", 5), Step::Still);
        assert_eq!(take("Downloading", 12), Step::Forward);
        assert_eq!(take("Extracting", 1), Step::Forward);
    }

    #[test]
    fn what_came_is_told_in_layers_and_mebibytes() {
        let mut progress = Progress::default();
        progress.take(event("latest", "Pulling from team/agent", 0));
        progress.take(event("a", "Already exists", 0));
        progress.take(event("b", "Downloading", 3 << 20));
        progress.take(event("b", "Extracting", 1));
        assert_eq!(progress.to_string(), "1 of 2 layers are there, 3 MiB came");
    }

    #[test]
    fn the_digest_is_that_of_the_name_that_was_asked_for() {
        let digests =
            || ["other@sha256:1", "r.example:5000/a@sha256:2"].map(str::to_owned).to_vec();
        assert_eq!(
            digest_of("r.example:5000/a:7", digests()).unwrap(),
            "r.example:5000/a@sha256:2"
        );
        assert_eq!(digest_of("docker.io/library/other", digests()).unwrap(), "other@sha256:1");
        assert_eq!(digest_of("built-here", Vec::new()), None);
    }

    #[test]
    fn a_login_is_sent_in_the_alphabet_that_the_engine_reads() {
        let mut request = BollardRequest::new(body_full(bytes::Bytes::new()));
        request.headers_mut().insert(LOGIN_HEADER, "a+b/c==".parse().unwrap());
        let request = with_readable_login(request);
        assert_eq!(request.headers()[LOGIN_HEADER], "a-b_c==");
    }
}
