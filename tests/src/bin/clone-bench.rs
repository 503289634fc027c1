//! `clone-bench`: what the mirror in the cache saves. The clone of an agent with an empty cache, with a
//! cache that an earlier job filled, and the same after a new commit, beside `git clone --depth 1` and
//! `git clone`, on a repository with a long history, over HTTP on this machine.
//!
//! All clone into memory, since writing the files takes the same time in each way. The cache, the forge and
//! its repository are on the disk.
//!
//! A measurement, which passes whatever it finds. Each round takes every way once, in a container of the
//! same image, so that all meet the same load; only figures of one run compare. Run it by
//! `tests/clone-bench`: with debug builds the figures mean nothing.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends by panicking")]
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "what it prints is its purpose")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use api_client::outcome::OutcomeDocument;
use clap::Parser;
use integration_tests::forge::{ForgeOptions, RepoSource, TestForge, Token};
use integration_tests::harness::{AGENT_IMAGE, Engine, Once, build_agent_image, repo_name};
use integration_tests::history;
use integration_tests::samples::Samples;

/// What the mirror of a repository saves a job.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often each way is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Commits of the repository.
    #[arg(long, default_value_t = 20_000)]
    commits: u32,
    /// Files of the repository.
    #[arg(long, default_value_t = 3_000)]
    files: u32,
}

const TOKEN: &str = "forge-token-of-the-measurement";

/// The coding CLI's part: nothing. The run ends without a change when the clone is there.
const WORKER: &str = "#!/bin/sh\necho '{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"Nothing to do.\"}'\n";

/// The ways, in the order in which a round takes them.
const WAYS: [&str; 5] = [
    "agent, empty cache",
    "agent, filled cache",
    "agent, one new commit",
    "git clone --depth 1",
    "git clone",
];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let Some(engine) = Engine::or_skip().await else { return };
    build_agent_image(&engine).await;
    let scene = Scene::start(engine, &arguments).await;
    let mut samples: [Samples; WAYS.len()] = Default::default();
    for run in 0..arguments.runs {
        let cache = format!("terarchitect-clone-bench-{}", uuid::Uuid::new_v4().simple());
        for (way, samples) in samples.iter_mut().enumerate() {
            samples.push(scene.measure(way, &cache).await);
        }
        scene.engine.remove_volume(&cache).await;
        eprintln!("run {} of {}", run + 1, arguments.runs);
    }
    println!("clone, ms                   n  median     min     max");
    for (way, samples) in WAYS.iter().zip(&samples) {
        println!("{way:<22}{samples}");
    }
    let [first, second, newer, shallow, full] = samples.each_ref().map(Samples::median);
    println!(
        "second_by_first={:.3} second_by_depth_1={:.3} second_by_full={:.3} newer_by_depth_1={:.3} \
         first_by_depth_1={:.3}",
        second / first,
        second / shallow,
        second / full,
        newer / shallow,
        first / shallow
    );
}

/// A forge with the repository.
struct Scene {
    engine: Engine,
    forge: TestForge,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn start(engine: Engine, arguments: &Arguments) -> Self {
        let folder = tempfile::tempdir().unwrap();
        eprintln!("making {} commits on {} files", arguments.commits, arguments.files);
        let source = folder.path().join("source.git");
        git(folder.path(), &["init", "--quiet", "--bare", "-b", "main", "source.git"]);
        let worker = ("worker", WORKER);
        import(&source, |stream| {
            history::write(stream, arguments.commits, arguments.files, &[worker])
        });
        git(&source, &["repack", "-adq"]);
        let options = ForgeOptions::new(folder.path().join("forge"), Token::new(TOKEN).unwrap());
        let forge = TestForge::start(options).await.unwrap();
        forge.create_repo(&repo_name(), RepoSource::From(&source)).await.unwrap();
        Self { engine, forge, folder }
    }

    /// Milliseconds of one clone.
    async fn measure(&self, way: usize, cache: &str) -> f64 {
        match way {
            0 | 1 => self.by_the_agent(cache).await,
            2 => {
                let path = self.forge.repo_path(&repo_name());
                import(&path, |stream| history::write_one_more(stream, "main"));
                self.by_the_agent(cache).await
            }
            3 => self.by_git("--depth 1 --single-branch --no-tags").await,
            _ => self.by_git("").await,
        }
    }

    /// The phase of the clone, as the agent's outcome has it.
    async fn by_the_agent(&self, cache: &str) -> f64 {
        let out = tempfile::tempdir_in(self.folder.path()).unwrap();
        let variable = |name: &str, value: &str| format!("{name}={value}");
        let once = Once {
            image: AGENT_IMAGE.to_owned(),
            command: None,
            environment: vec![
                variable("TASK", "Do nothing"),
                variable("REPO_URL", self.forge.clone_url(&repo_name()).as_str()),
                variable("FORGE_API_URL", self.forge.api_url().as_str()),
                variable("GITHUB_TOKEN", TOKEN),
                variable("WORKER_MODE", "claude-code"),
                variable("WORKER_API_KEY", "key-of-the-model"),
                variable("AGENT_CACHE_GIT", "1"),
                variable("AGENT_OUTCOME_FILE", "/out/outcome.json"),
            ],
            binds: vec![format!("{cache}:/cache"), format!("{}:/out", out.path().display())],
            in_memory: in_memory(),
        };
        let ended = self.engine.once(&once).await;
        let text = fs::read(out.path().join("outcome.json"));
        let text = text.unwrap_or_else(|error| panic!("{error}: {}", ended.stderr));
        let outcome: OutcomeDocument = serde_json::from_slice(&text).unwrap();
        let clone = outcome.phases.iter().find(|phase| phase.name == "clone");
        clone.unwrap_or_else(|| panic!("{}", ended.stderr)).millis as f64
    }

    /// The same by git alone, in a container of the same image.
    async fn by_git(&self, options: &str) -> f64 {
        let mut url = self.forge.clone_url(&repo_name());
        url.set_username("x-access-token").unwrap();
        url.set_password(Some(TOKEN)).unwrap();
        let script = format!(
            "s=$(date +%s%N); git clone --quiet {options} {url} /tmp/clone && \
             echo $((($(date +%s%N) - s) / 1000))"
        );
        let command = ["sh", "-c", &script].map(str::to_owned).to_vec();
        let image = AGENT_IMAGE.to_owned();
        let in_memory = in_memory();
        let once = Once { image, command: Some(command), in_memory, ..Once::default() };
        let ended = self.engine.once(&once).await;
        let micros = ended.stdout.trim().parse::<f64>();
        micros.unwrap_or_else(|error| panic!("{error}: {}", ended.stderr)) / 1e3
    }
}

/// Where all ways clone to: writing thousands of files is the same for all, and its time is the disk's.
fn in_memory() -> Vec<String> {
    vec!["/tmp".to_owned()]
}

/// Gives `git fast-import` what is written.
fn import(repository: &Path, write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) {
    let mut command = Command::new("git");
    command.current_dir(repository).args(["fast-import", "--quiet"]).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stream = std::io::BufWriter::new(child.stdin.take().unwrap());
    write(&mut stream).unwrap();
    drop(stream);
    assert!(child.wait().unwrap().success());
}

fn git(folder: &Path, arguments: &[&str]) {
    let status = Command::new("git").current_dir(folder).args(arguments).status().unwrap();
    assert!(status.success(), "{arguments:?}");
}
