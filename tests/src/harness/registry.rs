//! A real image registry on this host, which asks for a login, and a way to it that can stop half way.
//!
//! It is Debian's `docker-registry` in a container on the host's network: engines take loopback
//! addresses for registries without TLS.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    BuildImageOptionsBuilder, CreateContainerOptions, PushImageOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptions, StartContainerOptions,
};
use futures_util::TryStreamExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use super::engine::{Engine, at_the_end};
use super::stub::STUB_IMAGE;
use super::tar::{File, archive};
use super::wait::eventually;

/// The image of the registry.
const IMAGE: &str = "terarchitect-test-registry";

const DOCKERFILE: &str = "FROM debian:bookworm-slim\n\
    RUN apt-get update -q \
    && apt-get install -yq --no-install-recommends docker-registry \
    && rm -rf /var/lib/apt/lists/*\n\
    COPY htpasswd /htpasswd\n\
    CMD [\"docker-registry\", \"serve\", \"/etc/docker/registry/config.yml\"]\n";

/// Who may pull. In base64 this password has characters that not every alphabet of it has.
pub const PULLER: (&str, &str) = ("puller", "~~?p>>~word~?");
const PUSHER: (&str, &str) = ("pusher", "push-password");

/// Both, as the registry keeps them.
const HTPASSWD: &str = "puller:$2y$05$MWCU2Ko3svkm60yAszNI5eFYzERoBx9A3PPgi6oJVjPMGfJci2OWO\n\
    pusher:$2y$05$qJuFbvNebAzJNudwCd48peGqct6VFlsdbWgxUf8I2yELX/htC4VTq\n";

/// How much of an image is new in each version: more than [`SlowWay`] lets through.
const NEW_BYTES: usize = 4 << 20;

/// The registry. It ends with this value.
#[derive(Debug)]
pub struct Registry {
    engine: Engine,
    container: String,
    port: u16,
    pushed: std::sync::Mutex<Vec<String>>,
}

impl Registry {
    /// Starts one, which is empty.
    pub async fn start(engine: &Engine) -> Self {
        static BUILT: OnceCell<()> = OnceCell::const_new();
        let docker = engine.docker();
        BUILT.get_or_init(|| build(docker)).await;
        let port = free_port();
        let env = [
            format!("REGISTRY_HTTP_ADDR=127.0.0.1:{port}"),
            "REGISTRY_AUTH_HTPASSWD_PATH=/htpasswd".to_owned(),
        ];
        let body = ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            env: Some(env.to_vec()),
            host_config: Some(HostConfig {
                network_mode: Some("host".to_owned()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let created = docker.create_container(None::<CreateContainerOptions>, body).await.unwrap();
        let registry = Self {
            engine: engine.clone(),
            container: created.id,
            port,
            pushed: std::sync::Mutex::default(),
        };
        let none = None::<StartContainerOptions>;
        docker.start_container(&registry.container, none).await.unwrap();
        eventually("the registry", async || TcpStream::connect(registry.address()).await.ok())
            .await;
        registry
    }

    /// Its name in image names.
    pub fn host(&self) -> String {
        self.address().to_string()
    }

    /// Puts a new version of an image into it, and takes it from the engine: returns its name here.
    pub async fn push(&self, name: &str) -> String {
        let docker = self.engine.docker();
        let image = format!("{}/{name}", self.host());
        let mut new = vec![0; NEW_BYTES];
        fastrand::fill(&mut new);
        let dockerfile = format!("FROM {STUB_IMAGE}\nCOPY new /new\n");
        let files = [("Dockerfile", dockerfile.as_bytes()), ("new", new.as_slice())];
        build_image(docker, &image, &files).await;
        let options = PushImageOptionsBuilder::default().tag("latest").build();
        let credentials = DockerCredentials {
            username: Some(PUSHER.0.to_owned()),
            password: Some(PUSHER.1.to_owned()),
            ..DockerCredentials::default()
        };
        let push = docker.push_image(&image, Some(options), Some(credentials));
        push.try_for_each(|_step| async { Ok(()) }).await.expect("pushed");
        docker.remove_image(&image, None::<RemoveImageOptions>, None).await.unwrap();
        self.pushed.lock().unwrap().push(image.clone());
        image
    }

    /// Docker's own configuration with the login of [`PULLER`].
    pub fn login(&self) -> String {
        let auth = STANDARD.encode(format!("{}:{}", PULLER.0, PULLER.1));
        json!({ "auths": { self.host(): { "auth": auth } } }).to_string()
    }

    /// Another way to it, which lets a little through and then nothing more, without an end.
    pub async fn slow_way(&self) -> SlowWay {
        SlowWay::open(self.address()).await
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let container = self.container.clone();
        let images = std::mem::take(&mut *self.pushed.lock().unwrap());
        at_the_end(async move |docker| {
            let force = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            let _gone = docker.remove_container(&container, Some(force)).await;
            for image in images {
                // It is there only if it was pulled.
                let _gone = docker.remove_image(&image, None::<RemoveImageOptions>, None).await;
            }
        });
    }
}

/// A way to a registry on which downloads stop half way.
#[derive(Debug)]
pub struct SlowWay {
    address: SocketAddr,
    _task: JoinSet<()>,
}

impl SlowWay {
    /// What it lets through in all, in bytes.
    const LETS_THROUGH: u64 = 1 << 20;

    async fn open(to: SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let left = Arc::new(AtomicU64::new(Self::LETS_THROUGH));
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let left = Arc::clone(&left);
                connections.spawn(async move {
                    let registry = TcpStream::connect(to).await.unwrap();
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_registry, mut to_registry) = registry.into_split();
                    let asked = tokio::io::copy(&mut from_client, &mut to_registry);
                    let answered = async {
                        let mut piece = [0; 4096];
                        while let Ok(count @ 1..) = from_registry.read(&mut piece).await {
                            if left.load(Ordering::SeqCst) < count as u64 {
                                std::future::pending::<()>().await;
                            }
                            left.fetch_sub(count as u64, Ordering::SeqCst);
                            if to_client.write_all(&piece[..count]).await.is_err() {
                                return;
                            }
                        }
                    };
                    let _ended = tokio::join!(asked, answered);
                });
            }
        });
        Self { address, _task: task }
    }

    /// The registry's name in image names, on this way.
    pub fn host(&self) -> String {
        self.address.to_string()
    }
}

async fn build(docker: &Docker) {
    let files = [("Dockerfile", DOCKERFILE.as_bytes()), ("htpasswd", HTPASSWD.as_bytes())];
    build_image(docker, IMAGE, &files).await;
}

async fn build_image(docker: &Docker, image: &str, files: &[(&str, &[u8])]) {
    let files: Vec<_> =
        files.iter().map(|(name, content)| File { name, mode: 0o644, content }).collect();
    let options = BuildImageOptionsBuilder::default().t(image).rm(true).build();
    let body = bollard::body_full(archive(&files).into());
    let progress = docker.build_image(options, None, Some(body));
    let built = progress.try_for_each(|_step| async { Ok(()) }).await;
    built.unwrap_or_else(|error| panic!("cannot build {image}: {error}"));
}

/// A port that nobody has just now.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
