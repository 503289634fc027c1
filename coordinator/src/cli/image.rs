//! `coordinator image …`: the images that jobs run in.

use std::path::PathBuf;

use api_client::ProjectId;
use clap::{Args, Subcommand};

use super::service::ServiceSettings;
use crate::config::image_name;

/// Arguments of `coordinator image`.
#[derive(Args, Debug)]
pub(crate) struct Image {
    /// What to do with them.
    #[command(subcommand)]
    pub(crate) action: ImageAction,
}

/// What to do with images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageAction {
    /// Make the agent's image from what the package installs.
    Build(ImageBuild),
    /// List the images that jobs get, and the agent's images that the engine has.
    List(ImageList),
    /// Show which project has which image, or change it.
    Map(ImageMap),
}

/// Arguments of `coordinator image build`.
#[derive(Args, Debug)]
pub(crate) struct ImageBuild {
    /// The image's name [default: that of the settings].
    #[arg(long, value_name = "NAME", value_parser = image_name)]
    pub(crate) tag: Option<String>,
    /// Do all steps anew, also those that are known from an earlier build.
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// A build argument of Dockerfile.agent, such as INSTALL_AIDER=0; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub(crate) build_arg: Vec<(String, String)>,
    /// The folder with Dockerfile.agent [default: /usr/share/terarchitect].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) from: Option<PathBuf>,
    /// Print every line of the build.
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Print one JSON object at the end.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings: engine, state directory, image, agent-runner, proxies and certificates count.
    #[command(flatten)]
    pub(crate) source: ServiceSettings,
}

/// Arguments of `coordinator image list`.
#[derive(Args, Debug)]
pub(crate) struct ImageList {
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings: engine, state directory, image, agent-runner, proxies and certificates count.
    #[command(flatten)]
    pub(crate) source: ServiceSettings,
}

/// Arguments of `coordinator image map`.
#[derive(Args, Debug)]
pub(crate) struct ImageMap {
    /// Show this project alone, or change it.
    #[arg(id = "mapped-project", value_name = "PROJECT", required_if_eq("remove", "true"))]
    pub(crate) project: Option<ProjectId>,
    /// The image of its next jobs.
    #[arg(id = "mapped-image", value_name = "IMAGE", value_parser = image_name)]
    pub(crate) image: Option<String>,
    /// Take the project out of the map.
    #[arg(long, conflicts_with = "mapped-image")]
    pub(crate) remove: bool,
    /// Print one JSON object: the map, as it is after a change.
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings: engine, state directory, image, agent-runner, proxies and certificates count.
    #[command(flatten)]
    pub(crate) source: ServiceSettings,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("must be NAME=VALUE".to_owned()),
    }
}
