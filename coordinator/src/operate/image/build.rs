//! The agent's image, made from what the package installs: the Dockerfile, and this version's agent-runner.
//!
//! Two builds, of which the first knows nothing of agent-runner: `Dockerfile.agent` up to its stage `system`, and on
//! top of that the program. The second one runs it, so that an image in which it does not start never gets the name.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use api_client::Secret;
use api_client::contract::env;
use serde::Serialize;

use super::VERSION_LABEL;
use super::progress::Progress;
use crate::alias::HOST_ALIAS;
use crate::config::ImageConfig;
use crate::engine::{BuildError, BuildSpec, ContextFile, Engine, EngineError, Layers, Step};
use crate::launch::of_builds;
use crate::paper;

/// Version of the JSON.
const VERSION: u32 = 1;

/// Our version, and that of the agent-runner which goes into an image.
const OURS: &str = env!("CARGO_PKG_VERSION");

/// Where the package has the Dockerfile.
const INSTALLED: &str = "/usr/share/terarchitect";

const DOCKERFILE: &str = "Dockerfile.agent";

/// What its stages up to [`SYSTEM`] copy out of the context.
const COPIED: &str = "packaging/slim-aider";

/// The stage that has all of the image but agent-runner.
const SYSTEM: &str = "system";

/// How many steps the second build has.
const STEPS_ON_TOP: usize = 4;

/// Most of a bundle of certificates that is sent, in bytes: build arguments are a part of the request's URL, which is
/// of at most 64 KiB.
const CA_MAX: usize = 40 << 10;

/// The kinds of processor: as a program's header (`elf(5)`) and as the engine says it.
const MACHINES: [(u16, &str); 7] = [
    (3, "386"),
    (21, "ppc64le"),
    (22, "s390x"),
    (40, "arm"),
    (62, "amd64"),
    (183, "arm64"),
    (243, "riscv64"),
];

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct ToBuild {
    /// The name of the image; that of the settings where none is given.
    pub(crate) tag: Option<String>,
    /// The folder with the Dockerfile, where it is not the installed one.
    pub(crate) from: Option<PathBuf>,
    /// Build arguments, `NAME=VALUE`.
    pub(crate) arguments: Vec<(String, String)>,
    /// What becomes of steps that were done before.
    pub(crate) layers: Layers,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Built {
    version: u32,
    image: String,
    /// The engine's id of it.
    id: String,
    /// In bytes.
    size: u64,
    agent_runner: &'static str,
    /// Steps, and how many of them were known from an earlier build.
    steps: usize,
    known: usize,
    took_millis: u64,
}

/// No image was made; none of that name is another than before.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageBuildError {
    #[error(
        "cannot read {}: the package terarchitect-coordinator has it in {INSTALLED}; --from names another \
         folder, such as a checkout", path.display()
    )]
    NoFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} has no stage named {SYSTEM}: is it of another version?", path.display())]
    NoStage { path: PathBuf },
    #[error("{} has no build argument {name}", path.display())]
    NoArgument { path: PathBuf, name: String },
    #[error(
        "cannot read the agent-runner that goes into the image, {}: --agent-runner names another one",
        path.display()
    )]
    NoRunner {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{} is {found}, and the engine's containers are for {engine}: --agent-runner names a program for \
         {engine}", path.display()
    )]
    OtherMachine { path: PathBuf, found: String, engine: String },
    #[error("{name} has a digest, so nothing can be built of that name: give another one by --tag")]
    Digest { name: String },
    #[error(
        "EXTRA_CA_FILE has {size} bytes of certificates, and a build takes {CA_MAX} at most: name a file \
         with those of your own CA alone"
    )]
    LargeCa { size: usize },
    #[error("{}", of_step(step.as_ref(), message))]
    Failed {
        step: Option<Step>,
        message: String,
        /// The last lines that the step printed.
        lines: Vec<String>,
    },
    #[error("the image could not be built")]
    Build(#[source] BuildError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the image {image} is gone again")]
    Gone { image: String },
}

impl ImageBuildError {
    /// What the step printed that failed.
    pub(crate) fn lines(&self) -> &[String] {
        match self {
            Self::Failed { lines, .. } => lines,
            _ => &[],
        }
    }
}

fn of_step(step: Option<&Step>, message: &str) -> String {
    let message = message.trim();
    match step {
        Some(Step { text, .. }) => {
            let text: String = text.chars().take(200).collect();
            format!("the image could not be built: {text}: {message}")
        }
        None => format!("the image could not be built: {message}"),
    }
}

/// Builds it, and tells how far it is.
pub(crate) async fn build(
    config: &ImageConfig,
    wanted: ToBuild,
    mut progress: Progress,
) -> Result<Built, ImageBuildError> {
    let image = name(config, wanted.tag.as_deref())?;
    let folder = wanted.from.as_deref().unwrap_or(Path::new(INSTALLED));
    let dockerfile = dockerfile(folder, &wanted.arguments)?;
    let machine = machine(&config.runner)?;
    let arguments = arguments(config, wanted.arguments)?;
    let engine = Engine::new(config.usage.engine.as_deref());
    fits(&config.runner, machine, engine.architecture().await?)?;
    let spec = BuildSpec {
        files: vec![
            ContextFile::text("Dockerfile", dockerfile),
            ContextFile::program(COPIED, folder.join(COPIED)),
        ],
        target: Some(SYSTEM),
        tag: None,
        extra_host: names_this_host(&arguments).then(|| format!("{HOST_ALIAS}:host-gateway")),
        arguments,
        layers: wanted.layers,
    };
    progress.part(STEPS_ON_TOP);
    let system = engine.build(spec, |event| progress.take(event)).await;
    let built = match system {
        Ok(system) => {
            let spec = on_top(&system, &image, &config.runner, wanted.layers);
            progress.part(0);
            engine.build(spec, |event| progress.take(event)).await
        }
        Err(error) => Err(error),
    };
    progress.end();
    let id = built.map_err(failed)?;
    let Some(facts) = engine.image(&image).await? else {
        return Err(ImageBuildError::Gone { image });
    };
    let (steps, known) = progress.steps();
    let took_millis = u64::try_from(progress.took().as_millis()).unwrap_or(u64::MAX);
    let size = facts.size;
    Ok(Built { version: VERSION, image, id, size, agent_runner: OURS, steps, known, took_millis })
}

fn failed(error: BuildError) -> ImageBuildError {
    match error {
        BuildError::Engine(error) => error.into(),
        BuildError::Failed { step, message, lines } => {
            ImageBuildError::Failed { step, message, lines }
        }
        BuildError::NoImage => ImageBuildError::Build(error),
    }
}

fn name(config: &ImageConfig, tag: Option<&str>) -> Result<String, ImageBuildError> {
    let name = tag.unwrap_or_else(|| config.usage.general.general());
    if name.contains('@') {
        return Err(ImageBuildError::Digest { name: name.to_owned() });
    }
    Ok(name.to_owned())
}

/// The text of the Dockerfile, which has what is asked of it.
fn dockerfile(folder: &Path, given: &[(String, String)]) -> Result<String, ImageBuildError> {
    let path = folder.join(DOCKERFILE);
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        |source| ImageBuildError::NoFile { path, source }
    };
    let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
    let copied = folder.join(COPIED);
    File::open(&copied).map_err(unreadable(&copied))?;
    let lines = || text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let is_stage =
        |words: Vec<&str>| matches!(words[..], ["FROM", _, "AS", name] if name == SYSTEM);
    if !lines().any(is_stage) {
        return Err(ImageBuildError::NoStage { path });
    }
    let known: BTreeSet<String> = lines()
        .filter_map(|words| match words[..] {
            ["ARG", argument, ..] => argument.split('=').next().map(str::to_owned),
            _ => None,
        })
        .collect();
    match given.iter().find(|(name, _)| !known.contains(name) && !is_proxy(name)) {
        Some((name, _)) => Err(ImageBuildError::NoArgument { path, name: name.clone() }),
        None => Ok(text),
    }
}

/// Whether every Dockerfile has this argument.
fn is_proxy(name: &str) -> bool {
    use api_client::contract::{NO_PROXIES, PROXIES};
    PROXIES.iter().any(|(one, other)| [*one, *other].contains(&name)) || NO_PROXIES.contains(&name)
}

/// The build arguments: those of the network, and those that were given, which win.
fn arguments(
    config: &ImageConfig,
    given: Vec<(String, String)>,
) -> Result<HashMap<String, Secret>, ImageBuildError> {
    let network = of_builds(config.proxies.clone(), &config.network).into_iter();
    let network = network.map(|(name, value)| (name.to_owned(), value));
    let given = given.into_iter().map(|(name, value)| (name, Secret::from(value)));
    let all: HashMap<_, _> = network.chain(given).collect();
    match all.get(env::EXTRA_CA).map(|pem| pem.expose().len()) {
        Some(size) if size > CA_MAX => Err(ImageBuildError::LargeCa { size }),
        _ => Ok(all),
    }
}

fn names_this_host(arguments: &HashMap<String, Secret>) -> bool {
    arguments.values().any(|value| value.expose().contains(HOST_ALIAS))
}

/// The second build: agent-runner on top of the rest, tried out.
fn on_top(system: &str, image: &str, runner: &Path, layers: Layers) -> BuildSpec {
    let system = system.trim_start_matches("sha256:");
    let dockerfile = format!(
        "FROM {system}\n\
         COPY agent-runner /usr/local/bin/agent-runner\n\
         RUN said=$(agent-runner --version 2>&1); echo \"$said\"; test \"$said\" = \"agent-runner {OURS}\"\n\
         LABEL {VERSION_LABEL}=\"{OURS}\"\n"
    );
    BuildSpec {
        files: vec![
            ContextFile::text("Dockerfile", dockerfile),
            ContextFile::program("agent-runner", runner.to_owned()),
        ],
        target: None,
        tag: Some(image.to_owned()),
        arguments: HashMap::new(),
        extra_host: None,
        layers,
    }
}

/// The kind of processor that a program is for; none for one that is no program of Linux.
fn machine(path: &Path) -> Result<Option<u16>, ImageBuildError> {
    let mut header = [0; 20];
    let read = File::open(path).and_then(|file| {
        let mut begin = Vec::new();
        file.take(header.len() as u64).read_to_end(&mut begin)?;
        Ok(begin)
    });
    let read =
        read.map_err(|source| ImageBuildError::NoRunner { path: path.to_owned(), source })?;
    if read.len() < header.len() || !read.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    header.copy_from_slice(&read);
    let number = [header[18], header[19]];
    // The sixth byte tells in which order numbers are written.
    Ok(Some(if header[5] == 2 { u16::from_be_bytes(number) } else { u16::from_le_bytes(number) }))
}

fn fits(path: &Path, machine: Option<u16>, engine: String) -> Result<(), ImageBuildError> {
    let path = path.to_owned();
    let Some(machine) = machine else {
        let found = "no program of Linux".to_owned();
        return Err(ImageBuildError::OtherMachine { path, found, engine });
    };
    let name = MACHINES.iter().find(|(number, _)| *number == machine).map(|(_, name)| *name);
    match name {
        Some(name) if name != engine && MACHINES.iter().any(|(_, known)| *known == engine) => {
            let found = format!("a program for {name}");
            Err(ImageBuildError::OtherMachine { path, found, engine })
        }
        // What we do not know, the second build shows.
        _ => Ok(()),
    }
}

/// For people.
pub(crate) fn built_text(built: &Built) -> String {
    let Built { image, id, size, agent_runner, steps, known, took_millis, .. } = built;
    let id: String = id.trim_start_matches("sha256:").chars().take(12).collect();
    let (size, took) = (paper::size(*size), paper::duration(*took_millis));
    format!(
        "{image}  {id}  {size}, agent-runner {agent_runner}; {took}, {known} of {steps} steps were known"
    )
}

/// For programs.
pub(crate) fn built_json(built: &Built) -> String {
    // Strings and numbers always serialise.
    serde_json::to_string_pretty(built).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder(dockerfile: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("packaging")).unwrap();
        fs::write(dir.path().join(COPIED), "").unwrap();
        fs::write(dir.path().join(DOCKERFILE), dockerfile).unwrap();
        dir
    }

    #[test]
    fn the_dockerfile_of_this_version_has_what_is_asked_of_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let given = ["INSTALL_AIDER", "NODE_VERSION", "BASE_IMAGE", "EXTRA_CA_PEM", "HTTPS_PROXY"];
        let given: Vec<_> = given.map(|name| (name.to_owned(), "0".to_owned())).into();
        let text = dockerfile(&root, &given).unwrap();
        // By the label it is known which coordinators an image is for.
        assert!(text.contains(&format!("\nARG VERSION={OURS}\n")), "its VERSION is not {OURS}");
        assert!(text.contains(VERSION_LABEL));
        let until = text.split(&format!("AS {SYSTEM}\n")).next().unwrap();
        let from_context = |line: &&str| line.starts_with("COPY ") && !line.contains("--from=");
        let copied: Vec<_> = until.lines().filter(from_context).collect();
        assert_eq!(copied, [format!("COPY {COPIED} /usr/local/bin/")]);
    }

    #[test]
    fn a_misspelt_argument_and_a_strange_dockerfile_are_named() {
        let dir = folder("ARG BASE=x\nFROM $BASE AS system\nARG ONE\nARG TWO=2\n");
        let given = |name: &str| vec![(name.to_owned(), "0".to_owned())];
        for name in ["BASE", "ONE", "TWO", "no_proxy"] {
            dockerfile(dir.path(), &given(name)).unwrap();
        }
        let error = dockerfile(dir.path(), &given("TW")).unwrap_err().to_string();
        assert!(error.ends_with("Dockerfile.agent has no build argument TW"), "{error}");
        let error = dockerfile(folder("FROM x\n").path(), &[]).unwrap_err().to_string();
        assert!(error.contains("no stage named system"), "{error}");
    }

    #[test]
    fn what_the_package_should_have_is_named_with_the_package() {
        let dir = tempfile::tempdir().unwrap();
        let error = dockerfile(dir.path(), &[]).unwrap_err().to_string();
        assert!(
            error.contains("Dockerfile.agent: the package terarchitect-coordinator"),
            "{error}"
        );
        let dir = folder("FROM x AS system\n");
        fs::remove_file(dir.path().join(COPIED)).unwrap();
        let error = dockerfile(dir.path(), &[]).unwrap_err().to_string();
        assert!(error.contains("slim-aider: the package"), "{error}");
    }

    #[test]
    fn a_program_for_another_kind_of_processor_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (script, link) = (dir.path().join("script"), dir.path().join("link"));
        fs::write(&script, "#!/bin/sh\nexec something else\n").unwrap();
        symlink(std::env::current_exe().unwrap(), &link).unwrap();
        assert_eq!(machine(&script).unwrap(), None);
        let ours = machine(&link).unwrap();
        let here = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
        fits(&link, ours, here.to_owned()).unwrap();
        fits(&link, ours, "one that we do not know".to_owned()).unwrap();
        let error = fits(&link, ours, "s390x".to_owned()).unwrap_err().to_string();
        assert!(error.contains(&format!("a program for {here}")), "{error}");
        assert!(fits(&script, None, here.to_owned()).is_err());
        assert!(matches!(machine(&dir.path().join("no")), Err(ImageBuildError::NoRunner { .. })));
    }

    #[test]
    fn what_was_given_wins_over_the_settings_of_the_network() {
        let dir = tempfile::tempdir().unwrap();
        let mut flags = crate::config::Flags::default();
        flags.values.insert("state-dir", vec![dir.path().display().to_string()]);
        let environment = crate::config::Environment::default();
        let mut config = crate::config::load_images(&flags, &environment).unwrap();
        config.proxies.set("HTTPS_PROXY", "http://localhost:3128");
        let all = arguments(&config, Vec::new()).unwrap();
        assert!(names_this_host(&all));
        assert_eq!(all["HTTPS_PROXY"].expose(), "http://host.docker.internal:3128/");
        let given = vec![("HTTPS_PROXY".to_owned(), "http://p:1".to_owned())];
        assert_eq!(arguments(&config, given).unwrap()["HTTPS_PROXY"].expose(), "http://p:1");
        let large = vec![(env::EXTRA_CA.to_owned(), "x".repeat(CA_MAX + 1))];
        assert!(matches!(arguments(&config, large), Err(ImageBuildError::LargeCa { .. })));
        assert!(matches!(name(&config, Some("a@sha256:1")), Err(ImageBuildError::Digest { .. })));
        assert_eq!(name(&config, None).unwrap(), "terarchitect-agent");
    }
}
