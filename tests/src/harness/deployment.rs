//! Everything that takes part in a job, and all of it real but the model and the forge: the app, the
//! coordinator, the agent's image with its coding CLI, the engine.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use api_client::ProjectId;
use tempfile::TempDir;

use super::app::{App, Job};
use super::coordinator::{Coordinator, Home};
use super::engine::{Engine, remove_volumes_named};
use super::mode::DockerMode;
use super::wait::eventually;
use crate::forge::{ForgeApp, ForgeOptions, RepoName, RepoSource, TestForge, Token};
use crate::llm::{LlmOptions, Script, ScriptedLlm};

/// The coordinator's configuration file, in its home.
const CONFIG: &str = "coordinator.toml";

/// The three keys without which no job can be done.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Token of the forge.
    pub forge: String,
    /// Key of the app.
    pub worker_api: String,
    /// Key of the model.
    pub model: String,
}

/// A file of the repository that the jobs are about: path and content.
pub type SourceFile<'s> = (&'s str, &'s str);

/// A whole system with one project, whose coordinator was not started yet.
#[derive(Debug)]
pub struct Deployment {
    /// The coordinator's settings and files.
    pub home: Home,
    /// The app.
    pub app: App,
    /// The forge.
    pub forge: TestForge,
    /// The model.
    pub llm: ScriptedLlm,
    /// The engine.
    pub engine: Engine,
    /// The project.
    pub project: ProjectId,
    /// Its repository.
    pub repo: RepoName,
    /// Docker in the agent's container.
    pub mode: DockerMode,
    cache: String,
    folder: TempDir,
}

impl Deployment {
    /// Starts all servers. The repository holds these files; the agent's container has this image.
    pub async fn start(
        engine: &Engine,
        image: &str,
        mode: DockerMode,
        keys: &Keys,
        files: &[SourceFile<'_>],
    ) -> Self {
        Self::start_with_app(engine, image, mode, keys, files, None).await
    }

    /// The same with a GitHub App, which is known to the forge alone.
    pub async fn start_with_app(
        engine: &Engine,
        image: &str,
        mode: DockerMode,
        keys: &Keys,
        files: &[SourceFile<'_>],
        app: Option<ForgeApp>,
    ) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let address = engine.host_address().await;
        let forge = start_forge(&folder.path().join("forge"), address, &keys.forge, app).await;
        let repo = repo_name();
        let source = source_repository(&folder.path().join("source"), files);
        forge.create_repo(&repo, RepoSource::From(&source)).await.expect("a repository");
        let script = Script { api_key: Some(keys.model.clone()), ..Script::default() };
        let listen = SocketAddr::new(address, 0);
        let llm =
            ScriptedLlm::start(LlmOptions { listen, script, log: None }).await.expect("a model");
        let app = App::start_keyed(&[], &keys.worker_api).await;
        let project = app.add_project(forge.clone_url(&repo).as_str()).await;
        let mut home = Home::new(&app.url());
        let cache = format!("terarchitect-test-{}", uuid::Uuid::new_v4().simple());
        home.unset("TERARCHITECT_WORKER_API_KEY");
        for (name, value) in [
            ("AGENT_IMAGE", image),
            ("AGENT_DOCKER_MODE", mode.name()),
            ("AGENT_CACHE_VOLUME", &cache),
            ("HOST_FALLBACK", "never"),
            ("FORGE_API_URL", forge.api_url().as_str()),
            ("WORKER_MODE", "opencode"),
            ("WORKER_LLM_URL", llm.url().join("v1").expect("a plain path").as_str()),
            ("WORKER_MODEL", "scripted-model"),
        ] {
            home.set(name, value);
        }
        let deployment = Self {
            home,
            app,
            forge,
            llm,
            engine: engine.clone(),
            project,
            repo,
            mode,
            cache,
            folder,
        };
        deployment.with_keys(keys)
    }

    /// The folder with the keys, as an operator keeps them.
    pub fn keys_dir(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// The folder of the forge: repositories and pull requests.
    pub fn forge_dir(&self) -> PathBuf {
        self.folder.path().join("forge")
    }

    /// The volume in which the jobs of a project have their cache.
    pub fn cache_of(&self, project: ProjectId) -> String {
        format!("{}-{project}", self.cache)
    }

    /// The same as a folder of this host, once it was made.
    pub async fn cache_path(&self, project: ProjectId) -> Option<PathBuf> {
        let volume = self.engine.docker().inspect_volume(&self.cache_of(project)).await.ok()?;
        Some(volume.mountpoint.into())
    }

    /// Adds another project with the same repository.
    pub async fn add_project(&self) -> ProjectId {
        self.app.add_project(self.forge.clone_url(&self.repo).as_str()).await
    }

    /// Starts the coordinator, with these lines in its configuration file.
    pub fn coordinator(&mut self, config: &str) -> Coordinator {
        let path = self.home.dir().join(CONFIG);
        write_private(&path, config);
        self.home.start_with(&["--config", path.to_str().expect("a path in UTF-8")])
    }

    /// Puts a job into the queue, whose worker runs this command and then says that it is done.
    pub async fn add_job(&self, title: &str) -> Job {
        self.app.add_titled_job(self.project, title).await
    }

    /// Waits until the coordinator holds no job any more.
    pub async fn settled(&self) {
        eventually("the coordinator to settle", async || {
            self.home.records().is_empty().then_some(())
        })
        .await;
    }

    fn with_keys(mut self, keys: &Keys) -> Self {
        fs::create_dir(self.keys_dir()).expect("a folder in a folder of ours");
        for (name, key) in [
            ("GITHUB_TOKEN", &keys.forge),
            ("TERARCHITECT_WORKER_API_KEY", &keys.worker_api),
            ("WORKER_API_KEY", &keys.model),
        ] {
            let path = self.keys_dir().join(name);
            write_private(&path, key);
            self.home.set(&format!("{name}_FILE"), path.to_str().expect("a path in UTF-8"));
        }
        self
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        // The containers go first: those of the home, by its own `drop`, would come too late.
        self.home.remove_containers();
        remove_volumes_named(self.cache.clone());
    }
}

/// The repository of the only project.
pub fn repo_name() -> RepoName {
    RepoName::new("acme", "demo").expect("a plain name")
}

async fn start_forge(
    root: &Path,
    address: IpAddr,
    token: &str,
    app: Option<ForgeApp>,
) -> TestForge {
    let token = Token::new(token).expect("a plain token");
    let options =
        ForgeOptions { listen: SocketAddr::new(address, 0), app, ..ForgeOptions::new(root, token) };
    TestForge::start(options).await.expect("a forge")
}

/// A repository with one commit.
pub(crate) fn source_repository(path: &Path, files: &[SourceFile<'_>]) -> PathBuf {
    fs::create_dir(path).expect("a folder in a folder of ours");
    for (name, content) in files {
        fs::write(path.join(name), content).expect("a file in a folder of ours");
    }
    let author = ["-c", "user.name=test", "-c", "user.email=test@example.org"];
    for arguments in [&["init", "-q", "-b", "main"][..], &["add", "."], &["commit", "-qm", "begin"]]
    {
        let status = Command::new("git").args(author).args(arguments).current_dir(path).status();
        assert!(status.expect("git").success(), "git {arguments:?}");
    }
    path.to_owned()
}

pub(super) fn write_private(path: &Path, text: &str) {
    fs::write(path, text).expect("a file in a folder of ours");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a file of ours");
}

/// The address at which containers reach servers of this host, where the engine names none.
pub(super) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
