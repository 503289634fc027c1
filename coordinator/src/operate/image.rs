//! The images that jobs run in: which there are, which project has which, and how the agent's is made.

mod build;
mod list;
mod map;
mod progress;

use super::{OperateError, ServiceSource};
use crate::config::{self, ImageConfig, ImageUsage};
use crate::control::{Answer, ControlError, Request, ask};

pub(crate) use build::{ImageBuildError, ToBuild, build, built_json, built_text};
pub(crate) use list::{list, list_json, list_text};
pub(crate) use map::{map, map_json, map_text, set, unset};
pub(crate) use progress::{Progress, Talkative};

/// By this label the agent's images are known, and those that were made from them.
const TITLE_LABEL: &str = "org.opencontainers.image.title";
const TITLE: &str = "terarchitect-agent";
/// The version of the agent-runner in such an image.
const VERSION_LABEL: &str = "org.opencontainers.image.version";

/// The settings of these commands, with what could not be read of them.
pub(crate) fn image_config(
    source: ServiceSource<'_>,
) -> Result<(ImageConfig, Option<String>), OperateError> {
    let (environment, notice) = source.environment()?;
    Ok((config::load_images(source.flags, &environment)?, notice))
}

/// Which images there are to be: as the running coordinator has it, or as the settings here where none runs.
async fn usage(config: &ImageConfig) -> Result<ImageUsage, OperateError> {
    match ask(&config.state_dir, Request::Images).await {
        Ok(Answer::Images(usage)) => Ok(usage),
        Ok(_) => Err(OperateError::Confused),
        Err(ControlError::NotRunning { .. }) => Ok(config.usage.clone()),
        Err(error) => Err(error.into()),
    }
}
