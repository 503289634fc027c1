//! `agent-runner probe`: what a job would find where this runs. It is run by the coordinator's check, in a
//! container with a job's own options and settings.
//!
//! Invariant: nothing is changed anywhere: the app is asked what it answers without an effect, every other
//! URL is opened without a token, and what is mounted is unmounted.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use api_client::WorkerApi;
use api_client::container_probe::{ContainerProbe, Opened, Overlay, PROBE_LINE};
use api_client::contract::env;
use api_client::http::{Network, describe, http_client};
use api_client::tls::ClientIdentity;
use api_client::{ApiError, Secret, error_chain};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use url::Url;

use crate::init;
use crate::settings::{self, Layers};

/// How long one URL may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The URLs beside the app's that a job opens, as far as they are known before there is one.
const OPENED: [&str; 3] = [env::FORGE_API_URL, env::WORKER_LLM_URL, env::WORKER_FALLBACK_URL];

/// Where an inner Docker daemon keeps its images, in the modes in which it may mount.
const DOCKER_DATA: &str = "/var/lib/docker";

const USER_AGENT: &str = concat!("agent-runner/", env!("CARGO_PKG_VERSION"));

/// Looks, and prints what was found on one line.
///
/// # Errors
/// When there is no runtime, or standard output is closed.
pub(crate) fn run(layers: &Layers) -> io::Result<ExitCode> {
    init::accept_signals()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let opened = runtime.block_on(open_all(layers));
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    let mode = layers.handed_over(env::AGENT_DOCKER_MODE).map(|mode| mode.text());
    let may_mount = matches!(mode.as_deref(), Some("dind" | "dind-caps"));
    let overlay = may_mount.then(|| try_overlay(Path::new(DOCKER_DATA)));
    let runner_version = env!("CARGO_PKG_VERSION").to_owned();
    let found = ContainerProbe { runner_version, opened, overlay };
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{PROBE_LINE}{}", serde_json::to_string(&found)?)?;
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}

async fn open_all(layers: &Layers) -> Vec<Opened> {
    let mut opened = Vec::new();
    let told = |setting: &'static str| layers.handed_over(setting).map(|found| found.secret());
    if let Some(url) = told(env::API_URL) {
        let problem = match settings::identity(layers) {
            Ok(identity) => open_app(&url, told(env::WORKER_API_KEY), identity).await.err(),
            Err(error) => Some(error_chain(&error)),
        };
        opened.push(Opened { setting: env::API_URL.to_owned(), url: shown(&url), problem });
    }
    for setting in OPENED {
        if let Some(url) = told(setting) {
            let problem = open(&url).await.err();
            opened.push(Opened { setting: setting.to_owned(), url: shown(&url), problem });
        }
    }
    opened
}

/// Whether the app answers. What it answers is the coordinator's question.
async fn open_app(
    url: &Secret,
    key: Option<Secret>,
    identity: Option<ClientIdentity>,
) -> Result<(), String> {
    let url = Url::parse(url.expose()).map_err(|error| error.to_string())?;
    let network = Network { identity, ..Network::default() };
    let api =
        WorkerApi::on(&network, &url, key, USER_AGENT).map_err(|error| error_chain(&error))?;
    match tokio::time::timeout(LIMIT, api.probe()).await {
        Ok(Err(ApiError::Unreachable { problem, .. })) => Err(problem),
        Ok(_) => Ok(()),
        Err(_) => Err(too_long()),
    }
}

/// Whether anything answers.
async fn open(url: &Secret) -> Result<(), String> {
    let client = http_client(USER_AGENT).timeout(LIMIT).build().map_err(describe)?;
    client.get(url.expose()).send().await.map(drop).map_err(describe)
}

fn too_long() -> String {
    format!("no answer within {} s", LIMIT.as_secs())
}

/// The URL without a user and a password.
fn shown(url: &Secret) -> String {
    let Ok(mut url) = Url::parse(url.expose()) else { return "a URL that is none".to_owned() };
    let _no_password = url.set_password(None);
    let _no_username = url.set_username("");
    url.into()
}

/// Stacks one empty folder on another where the daemon would.
fn try_overlay(data: &Path) -> Overlay {
    let attempt = || -> io::Result<()> {
        let folder = tempfile::Builder::new().prefix(".probe").tempdir_in(data)?;
        let part = |name: &str| -> io::Result<String> {
            let path = folder.path().join(name);
            std::fs::create_dir(&path)?;
            Ok(path.display().to_string())
        };
        let (lower, upper, work, top) =
            (part("lower")?, part("upper")?, part("work")?, part("top")?);
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        mount(
            Some("overlay"),
            top.as_str(),
            Some("overlay"),
            MsFlags::empty(),
            Some(options.as_str()),
        )?;
        umount2(top.as_str(), MntFlags::MNT_DETACH)?;
        Ok(())
    };
    match attempt() {
        Ok(()) => Overlay::Works,
        Err(error) => Overlay::Fails(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::settings::Handover;

    /// The address of a server that answers one request.
    fn answering() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _asked = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").unwrap();
        });
        format!("http://{address}/")
    }

    /// The address of nobody.
    fn silent() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    }

    async fn opened(settings: &[(&str, &str)]) -> Vec<(String, bool)> {
        let layers = Layers::new(Handover::of(settings, None)).unwrap();
        let opened = open_all(&layers).await;
        opened.into_iter().map(|one| (one.setting, one.problem.is_none())).collect()
    }

    #[tokio::test]
    async fn an_answer_of_any_kind_is_an_answer_and_silence_is_told() {
        let (app, model) = (answering(), silent());
        let settings = [("TERARCHITECT_API_URL", app.as_str()), ("WORKER_LLM_URL", model.as_str())];
        let expected =
            [("TERARCHITECT_API_URL".to_owned(), true), ("WORKER_LLM_URL".to_owned(), false)];
        assert_eq!(opened(&settings).await, expected);
    }

    #[test]
    fn a_password_of_a_url_is_not_shown() {
        let url = Secret::from("http://user:secret@proxy.example:3128/x");
        assert_eq!(shown(&url), "http://proxy.example:3128/x");
    }

    #[test]
    fn what_cannot_be_stacked_says_why() {
        let nowhere = Path::new("/nonexistent");
        assert!(matches!(try_overlay(nowhere), Overlay::Fails(_)));
    }
}
