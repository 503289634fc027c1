//! Why no image was made.

use std::io;
use std::path::PathBuf;

use super::arguments::CA_MAX;
use super::dockerfile::{INSTALLED, SYSTEM};
use crate::engine::{BuildError, EngineError, Step};

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

impl From<BuildError> for ImageBuildError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Engine(error) => error.into(),
            BuildError::Failed { step, message, lines } => Self::Failed { step, message, lines },
            BuildError::NoImage => Self::Build(error),
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
