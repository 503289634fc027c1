//! `agent-runner probe`: what a job would find where this runs. It is run by the coordinator's check, in a
//! container with a job's own options and settings.
//!
//! Invariant: nothing is changed anywhere: the app is asked what it answers without an effect, every other
//! URL is opened without a token, and what is mounted is unmounted. It takes no longer than the slowest URL.

mod answer;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use api_client::WorkerApi;
use api_client::container_probe::{ContainerProbe, Opened, Overlay, PROBE_LINE, Trust};
use api_client::contract::env;
use api_client::http::{Network, describe, http_client};
use api_client::tls::{ClientIdentity, ExtraRoots};
use api_client::{ApiError, Secret, answers_as_app, error_chain};
use clap::Args;
use futures_util::future::{join, join_all};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use crate::init;
use crate::settings::{self, Layers};

/// How long one URL may take, all that is asked there included.
const LIMIT: Duration = Duration::from_secs(15);

/// How long a proxy may take to let us in.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The URLs beside the app's that a job opens, as far as they are known before there is one.
const OPENED: [&str; 5] = [
    env::FORGE_API_URL,
    env::WORKER_LLM_URL,
    env::WORKER_FALLBACK_URL,
    env::AGENT_LLM_URL,
    env::AGENT_FALLBACK_URL,
];

/// What those are called that are named on the command line.
const ASKED: &str = "forge";

/// Where an inner Docker daemon keeps its images, in the modes in which it may mount.
const DOCKER_DATA: &str = "/var/lib/docker";

const USER_AGENT: &str = concat!("agent-runner/", env!("CARGO_PKG_VERSION"));

/// What is looked at beside the settings.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProbeOptions {
    /// Open this URL as well; it holds no user name and no password
    #[arg(long, value_name = "URL")]
    open: Vec<String>,
}

impl ProbeOptions {
    /// The same as arguments.
    pub(crate) fn arguments(&self) -> Vec<&str> {
        self.open.iter().flat_map(|url| ["--open", url]).collect()
    }
}

/// Looks, and prints what was found on one line.
///
/// # Errors
/// When there is no runtime, or standard output is closed.
pub(crate) fn run(layers: &Layers, options: &ProbeOptions) -> io::Result<ExitCode> {
    init::accept_signals()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (opened, proxies) = runtime.block_on(join(open_all(layers, options), connect_all(layers)));
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    let mode = layers.handed_over(env::AGENT_DOCKER_MODE).map(|mode| mode.text());
    let may_mount = matches!(mode.as_deref(), Some("dind" | "dind-caps"));
    let overlay = may_mount.then(|| try_overlay(Path::new(DOCKER_DATA)));
    let runner_version = env!("CARGO_PKG_VERSION").to_owned();
    let found = ContainerProbe { runner_version, opened, proxies, trust: trust(layers), overlay };
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{PROBE_LINE}{}", serde_json::to_string(&found)?)?;
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}

async fn open_all(layers: &Layers, options: &ProbeOptions) -> Vec<Opened> {
    let told = |setting: &'static str| layers.handed_over(setting).map(|found| found.secret());
    let app = async {
        let url = told(env::API_URL)?;
        let problem = match settings::identity(layers) {
            Ok(identity) => open_app(&url, told(env::WORKER_API_KEY), identity).await.err(),
            Err(error) => Some(error_chain(&error)),
        };
        Some(Opened { setting: env::API_URL.to_owned(), url: shown(&url), problem })
    };
    let of_settings = OPENED.into_iter().filter_map(|setting| Some((setting, told(setting)?)));
    let asked = options.open.iter().map(|url| (ASKED, Secret::from(url.as_str())));
    let others = join_all(of_settings.chain(asked).map(|(setting, url)| async move {
        let problem = open(&url).await.err();
        Opened { setting: setting.to_owned(), url: shown(&url), problem }
    }));
    let (app, others) = join(app, others).await;
    app.into_iter().chain(others).collect()
}

/// Whether the app answers there, and lets the key in, as it does the job that asks for its ticket.
async fn open_app(
    url: &Secret,
    key: Option<Secret>,
    identity: Option<ClientIdentity>,
) -> Result<(), String> {
    let url = Url::parse(url.expose()).map_err(|error| error.to_string())?;
    let network = Network { identity, ..Network::default() };
    let api =
        WorkerApi::on(&network, &url, key, USER_AGENT).map_err(|error| error_chain(&error))?;
    let asked = async {
        match api.probe().await {
            Ok(_) => {}
            Err(ApiError::Unreachable { problem, .. }) => return Err(problem),
            Err(ApiError::Unauthorised { status, message, .. }) => {
                return Err(format!("what answers lets the key not in ({status} {message})"));
            }
            Err(other) => return Err(error_chain(&other)),
        }
        let (projects, settings) = join(api.projects(), api.settings()).await;
        let is_app = answers_as_app(&projects, settings.is_ok());
        is_app.then_some(()).ok_or_else(|| "something answers, and it is not the app".to_owned())
    };
    timeout(LIMIT, asked).await.unwrap_or_else(|_| Err(too_long(LIMIT)))
}

/// Whether anything answers that is not in between.
async fn open(url: &Secret) -> Result<(), String> {
    let client = http_client(USER_AGENT).timeout(LIMIT).build().map_err(describe)?;
    let response = client.get(url.expose()).send().await.map_err(describe)?;
    answer::judge(response).await
}

/// The proxies that a job would have here.
async fn connect_all(layers: &Layers) -> Vec<Opened> {
    let of = settings::proxies(layers);
    let named = [("HTTPS_PROXY", of.https), ("HTTP_PROXY", of.http)];
    let there = named.into_iter().filter_map(|(setting, proxy)| Some((setting, proxy?)));
    join_all(there.filter(|(_, proxy)| !proxy.is_blank()).map(|(setting, proxy)| async move {
        let url = proxy_url(&proxy);
        let problem = match &url {
            Some(url) => connect(url).await.err(),
            None => Some("it is no URL of a proxy".to_owned()),
        };
        let shown = url.map_or_else(String::new, |url| shown(&Secret::from(url.as_str())));
        Opened { setting: setting.to_owned(), url: shown, problem }
    }))
    .await
}

/// A proxy may lack its scheme.
fn proxy_url(proxy: &Secret) -> Option<Url> {
    let text = proxy.expose().trim();
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    Url::parse(&whole).ok().filter(Url::has_host)
}

async fn connect(proxy: &Url) -> Result<(), String> {
    let (host, port) = proxy.host_str().zip(proxy.port_or_known_default()).unwrap_or_default();
    let address = (host.trim_matches(['[', ']']), port);
    match timeout(CONNECT_LIMIT, TcpStream::connect(address)).await {
        Ok(Ok(_connection)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(too_long(CONNECT_LIMIT)),
    }
}

/// Whether the certificates that were handed over are in the file that programs look at.
fn trust(layers: &Layers) -> Option<Trust> {
    let roots = ExtraRoots::from_pem(&layers.handed_over(env::EXTRA_CA)?.text());
    let roots = match roots {
        Ok(roots) => roots,
        Err(error) => return Some(Trust::Fails(error_chain(&error))),
    };
    let Some(file) = layers.handed_over(BUNDLE).map(|file| file.text()) else {
        return Some(Trust::Fails(format!("{BUNDLE} is not set")));
    };
    Some(match std::fs::read_to_string(&file) {
        Ok(text) if text.contains(roots.pem().trim()) => Trust::Trusted(roots.count()),
        Ok(_) => Trust::Fails(format!("{file} does not hold them")),
        Err(error) => Trust::Fails(format!("{file} cannot be read: {error}")),
    })
}

/// The variable that names the file with all certificates that programs trust.
const BUNDLE: &str = "SSL_CERT_FILE";

fn too_long(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs())
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

    /// The address of a server that gives this answer to each request.
    fn answering(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _asked = stream.read(&mut [0; 4096]).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        format!("http://{address}/")
    }

    const NOT_FOUND: &str =
        "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

    /// The address of nobody.
    fn silent() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    }

    async fn opened(settings: &[(&str, &str)]) -> Vec<(String, bool)> {
        let layers = Layers::new(Handover::of(settings, None)).unwrap();
        let opened = open_all(&layers, &ProbeOptions::default()).await;
        opened.into_iter().map(|one| (one.setting, one.problem.is_none())).collect()
    }

    #[tokio::test]
    async fn an_answer_is_an_answer_and_silence_is_told() {
        let (forge, model) = (answering(NOT_FOUND), silent());
        let settings = [("FORGE_API_URL", forge.as_str()), ("WORKER_LLM_URL", model.as_str())];
        let expected = [("FORGE_API_URL".to_owned(), true), ("WORKER_LLM_URL".to_owned(), false)];
        assert_eq!(opened(&settings).await, expected);
    }

    #[tokio::test]
    async fn what_is_not_the_app_is_not_taken_for_it() {
        let refusal =
            "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 6\r\n\r\ndenied";
        for answer in [NOT_FOUND, refusal] {
            let url = answering(answer);
            let opened = opened(&[("TERARCHITECT_API_URL", &url)]).await;
            assert_eq!(opened, [("TERARCHITECT_API_URL".to_owned(), false)], "{answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_silent_is_waited_for_once() {
        // They take connections, and say nothing.
        let listeners: Vec<_> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let url = |listener: &TcpListener| format!("http://{}/", listener.local_addr().unwrap());
        let options = ProbeOptions { open: listeners.iter().map(url).collect() };
        let layers = Layers::new(Handover::of(&[], None)).unwrap();
        let begun = tokio::time::Instant::now();
        let opened = open_all(&layers, &options).await;
        assert!(begun.elapsed() < LIMIT * 2, "{:?}", begun.elapsed());
        assert_eq!(opened.iter().filter(|one| one.problem.is_some()).count(), 4);
    }

    #[tokio::test]
    async fn the_proxies_of_a_job_are_connected_to_and_show_no_password() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = format!("http://user:sesame@{}", listener.local_addr().unwrap());
        let away = silent();
        let settings = [("HTTPS_PROXY", there.as_str()), ("HTTP_PROXY", away.as_str())];
        let layers = Layers::new(Handover::of(&settings, None)).unwrap();
        let found = connect_all(&layers).await;
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].setting.as_str(), &found[0].problem), ("HTTPS_PROXY", &None));
        assert!(found[1].problem.is_some());
        assert!(!format!("{found:?}").contains("sesame"), "{found:?}");
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
