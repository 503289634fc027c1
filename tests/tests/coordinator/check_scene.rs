//! A set-up that `coordinator check` finds good, to be broken on purpose.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use api_client::ProjectId;
use integration_tests::forge::{ForgeKind, ForgeOptions, RepoName, RepoSource, TestForge, Token};
use integration_tests::harness::{App, CHECK_IMAGE, Engine, Home, build_check_images};
use serde::Deserialize;
use tempfile::TempDir;

/// The token of the forge.
pub(crate) const TOKEN: &str = "ghp_of_the_agents_1f2e";

/// One line of a check.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Finding {
    pub(crate) what: String,
    pub(crate) state: String,
    pub(crate) found: String,
    pub(crate) cure: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Report {
    version: u32,
    ok: bool,
    findings: Vec<Finding>,
}

/// An app with one project, its forge, the image of an agent, and a coordinator whose settings fit all of
/// them.
pub(crate) struct CheckScene {
    pub(crate) home: Home,
    pub(crate) app: App,
    pub(crate) forge: TestForge,
    pub(crate) engine: Engine,
    pub(crate) project: ProjectId,
    folder: TempDir,
    /// What stands in the service's file beside the settings.
    pub(crate) further: String,
}

impl CheckScene {
    pub(crate) async fn or_skip() -> Option<Self> {
        Self::of(ForgeKind::GitHub, &[]).await
    }

    /// The same with another forge, and flags of the app.
    pub(crate) async fn of(kind: ForgeKind, flags: &'static [&'static str]) -> Option<Self> {
        let engine = Engine::or_skip().await?;
        build_check_images(&engine).await;
        let folder = tempfile::tempdir().unwrap();
        let mut options =
            ForgeOptions::new(folder.path().join("forge"), Token::new(TOKEN).unwrap());
        options.kind = kind;
        options.listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let forge = TestForge::start(options).await.unwrap();
        let repo: RepoName = "acme/web".parse().unwrap();
        forge.create_repo(&repo, RepoSource::Empty).await.unwrap();
        let app = App::start_with(flags).await;
        let here = |url: String| url.replace("0.0.0.0", "127.0.0.1");
        let project = app.add_project(&here(forge.clone_url(&repo).into())).await;
        let mut home = Home::new(&app.url());
        home.set("PROJECT_IDS", &project.to_string())
            .set("GITHUB_TOKEN", TOKEN)
            .set("FORGE_API_URL", &here(forge.api_url().into()))
            .set("AGENT_IMAGE", CHECK_IMAGE)
            .set("HOST_SCOPE", "off")
            // One that is there: making one for each container takes most of the time.
            .set("DOCKER_NETWORK", "bridge");
        let further = String::new();
        let scene = Self { home, app, forge, engine, project, folder, further };
        fs::write(scene.env_file(), "").unwrap();
        scene.open_env_file(0o600);
        Some(scene)
    }

    /// The file of the service's environment.
    fn env_file(&self) -> PathBuf {
        self.home.dir().join("coordinator.env")
    }

    pub(crate) fn open_env_file(&self, mode: u32) {
        fs::set_permissions(self.env_file(), Permissions::from_mode(mode)).unwrap();
    }

    /// A folder that no coordinator looks at.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// What a quick check finds, with its exit code.
    pub(crate) async fn check(&mut self) -> (Option<i32>, Vec<Finding>) {
        self.check_with(&["--quick"]).await
    }

    /// The same with other flags.
    pub(crate) async fn check_with(&mut self, flags: &[&str]) -> (Option<i32>, Vec<Finding>) {
        fs::write(self.env_file(), self.service_environment()).unwrap();
        let env_file = self.env_file().display().to_string();
        let mut arguments = vec!["check", "--json", "--env-file", &env_file];
        arguments.extend(flags);
        let (code, printed) = self.home.command(&arguments).await;
        assert!(!printed.contains(TOKEN), "{printed}");
        let report: Report =
            serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
        assert_eq!(report.version, 1);
        assert_eq!(report.ok, code == Some(0), "{printed}");
        (code, report.findings)
    }

    /// The settings as a file for systemd.
    fn service_environment(&self) -> String {
        let quoted = |value: &str| {
            let escaped = value.chars().flat_map(|c| {
                let escape = matches!(c, '"' | '\\' | '`' | '$').then_some('\\');
                escape.into_iter().chain([c])
            });
            escaped.collect::<String>()
        };
        let lines =
            self.home.settings().map(|(name, value)| format!("{name}=\"{}\"\n", quoted(value)));
        lines.chain([self.further.clone()]).collect()
    }

    /// Nothing is wrong, and nothing is said to be.
    pub(crate) async fn assert_healthy(&mut self) {
        let (code, findings) = self.check().await;
        let wrong: Vec<_> = findings.iter().filter(|finding| finding.state != "ok").collect();
        assert!(wrong.is_empty() && code == Some(0), "{wrong:#?}");
        self.assert_nothing_left().await;
    }

    /// This one thing fails, and its cure is named; nothing else is said to be wrong.
    pub(crate) async fn assert_broken(&mut self, what: &str, cure: &str) {
        let (code, findings) = self.check().await;
        assert_eq!(code, Some(1), "{findings:#?}");
        assert_only(&findings, "failed", what, cure);
        self.assert_nothing_left().await;
    }

    /// This one thing is noted, and its cure is named; jobs can be run all the same.
    pub(crate) async fn assert_noted(&mut self, what: &str, cure: &str) {
        let (code, findings) = self.check().await;
        assert_eq!(code, Some(0), "{findings:#?}");
        assert_only(&findings, "note", what, cure);
    }

    /// No container, network or volume of the check is left, and no job was claimed.
    async fn assert_nothing_left(&self) {
        assert_eq!(self.app.counts().await.get("running"), None);
        let Some(id) = self.home.id() else { return };
        assert!(self.engine.containers(&id).await.is_empty());
        assert!(self.engine.networks(&id).await.is_empty());
        assert!(self.engine.volumes(&id).await.is_empty());
    }
}

/// The names of what failed.
pub(crate) fn failed(findings: &[Finding]) -> Vec<&str> {
    let failed = findings.iter().filter(|finding| finding.state == "failed");
    failed.map(|finding| finding.what.as_str()).collect()
}

/// Exactly one thing is not well, and it is this one. What rests on it may have been left out.
pub(crate) fn assert_only(findings: &[Finding], state: &str, what: &str, cure: &str) {
    let is_wrong =
        |finding: &&Finding| finding.state != "ok" && !finding.found.starts_with("not looked at");
    let wrong: Vec<_> = findings.iter().filter(is_wrong).collect();
    let [one] = wrong[..] else { panic!("not one alone: {wrong:#?}") };
    assert_eq!((one.what.as_str(), one.state.as_str()), (what, state), "{one:#?}");
    assert!(one.cure.as_ref().is_some_and(|named| named.contains(cure)), "{one:#?}");
    assert!(!one.found.is_empty());
}
