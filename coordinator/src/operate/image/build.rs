//! The agent's image, made from what the package installs: the Dockerfile, and this version's agent-runner.
//!
//! Two builds, of which the first knows nothing of agent-runner: `Dockerfile.agent` up to its stage `system`, and on
//! top of that the program. The second one runs it, so that an image in which it does not start never gets the name.

mod arguments;
mod dockerfile;
mod error;
mod machine;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use api_client::Secret;
use serde::Serialize;

use self::arguments::{arguments, names_this_host};
use self::dockerfile::{COPIED, INSTALLED, SYSTEM, dockerfile};
use self::machine::{fits, machine};
use super::VERSION_LABEL;
use super::progress::Progress;
use crate::alias::HOST_ALIAS;
use crate::config::ImageConfig;
use crate::engine::{BuildSpec, ContextFile, Engine, Layers};
use crate::paper;

pub(crate) use self::error::ImageBuildError;

/// Version of the JSON.
const VERSION: u32 = 1;

/// Our version, and that of the agent-runner which goes into an image.
const OURS: &str = env!("CARGO_PKG_VERSION");

/// How many steps the second build has.
const STEPS_ON_TOP: usize = 4;

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
    let spec = up_to_system(folder, dockerfile, arguments, wanted.layers);
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
    let id = built?;
    let Some(facts) = engine.image(&image).await? else {
        return Err(ImageBuildError::Gone { image });
    };
    let (steps, known) = progress.steps();
    let took_millis = u64::try_from(progress.took().as_millis()).unwrap_or(u64::MAX);
    let size = facts.size;
    Ok(Built { version: VERSION, image, id, size, agent_runner: OURS, steps, known, took_millis })
}

fn name(config: &ImageConfig, tag: Option<&str>) -> Result<String, ImageBuildError> {
    let name = tag.unwrap_or_else(|| config.usage.general.general());
    if name.contains('@') {
        return Err(ImageBuildError::Digest { name: name.to_owned() });
    }
    Ok(name.to_owned())
}

/// The first build: all but agent-runner.
fn up_to_system(
    folder: &Path,
    dockerfile: String,
    arguments: HashMap<String, Secret>,
    layers: Layers,
) -> BuildSpec {
    BuildSpec {
        files: vec![
            ContextFile::text("Dockerfile", dockerfile),
            ContextFile::program(COPIED, folder.join(COPIED)),
        ],
        target: Some(SYSTEM),
        tag: None,
        extra_host: names_this_host(&arguments).then(|| format!("{HOST_ALIAS}:host-gateway")),
        arguments,
        layers,
    }
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
    use super::*;
    use crate::config::{Environment, Flags, load_images};

    /// What the settings say where they say nothing.
    pub(super) fn config() -> ImageConfig {
        let mut flags = Flags::default();
        flags.values.insert("state-dir", vec!["/state".to_owned()]);
        load_images(&flags, &Environment::default()).unwrap()
    }

    #[test]
    fn an_image_is_built_by_the_name_of_the_settings_which_may_be_no_digest() {
        assert_eq!(name(&config(), None).unwrap(), "terarchitect-agent");
        assert!(matches!(name(&config(), Some("a@sha256:1")), Err(ImageBuildError::Digest { .. })));
    }
}
