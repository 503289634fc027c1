//! Parts of the configuration, with the sources of the whole, for commands that need neither the app nor a secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use api_client::http::Network;

use super::agent::read_image;
use super::environment::Environment;
use super::error::ConfigErrors;
use super::file::ConfigFile;
use super::load::USUAL_FILE;
use super::network::{read_agent_proxies, read_roots};
use super::read::Reader;
use super::runner::read_runner;
use super::setting::service;
use super::source::{Flags, Sources};
use super::state_dir::read_asked_about;
use super::{ImageConfig, ImageUsage, agent_env, parse};

/// The state directory alone, for commands that need no more.
///
/// # Errors
/// What is wrong with it, or with the file.
pub(crate) fn load_state_dir(
    flags: &Flags,
    environment: &Environment,
) -> Result<PathBuf, ConfigErrors> {
    let file = read_file(flags)?;
    let sources = Sources { flags, environment, file: &file, project: None, command: None };
    let mut reader = Reader::new(sources);
    let dir = read_asked_about(&mut reader, environment);
    dir.ok_or(ConfigErrors(reader.problems))
}

/// The address of the engine alone.
///
/// # Errors
/// What is wrong with it, or with the file.
pub(crate) fn load_engine_host(
    flags: &Flags,
    environment: &Environment,
) -> Result<Option<String>, ConfigErrors> {
    let file = read_file(flags)?;
    let sources = Sources { flags, environment, file: &file, project: None, command: None };
    let mut reader = Reader::new(sources);
    let host = reader.optional(&service::ENGINE_HOST, parse::engine_host);
    host.ok_or(ConfigErrors(reader.problems))
}

/// What the commands about images need.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub(crate) fn load_images(
    flags: &Flags,
    environment: &Environment,
) -> Result<ImageConfig, ConfigErrors> {
    let file = read_file(flags)?;
    let sources = Sources { flags, environment, file: &file, project: None, command: None };
    let mut reader = Reader::new(sources);
    let config = read_image_config(&mut reader, environment);
    let mut problems = reader.problems;
    let mut config = config.ok_or_else(|| ConfigErrors(std::mem::take(&mut problems)))?;
    for project in file.projects() {
        let mut reader = Reader::new(Sources { project: Some(project), ..sources });
        reader.problems.clear();
        config.usage.projects.extend(read_image(&mut reader).map(|image| (project, image)));
        problems.extend(reader.problems);
    }
    if problems.is_empty() { Ok(config) } else { Err(ConfigErrors(problems)) }
}

/// What all of these begin with.
fn read_file(flags: &Flags) -> Result<ConfigFile, ConfigErrors> {
    ConfigFile::read(flags.config.as_deref(), Path::new(USUAL_FILE))
        .map_err(|problem| ConfigErrors(vec![problem]))
}

fn read_image_config(reader: &mut Reader<'_>, environment: &Environment) -> Option<ImageConfig> {
    let engine = reader.optional(&service::ENGINE_HOST, parse::engine_host);
    let general = read_image(reader);
    let roots = read_roots(reader, environment.home());
    let (runner, state_dir) =
        (read_runner(reader, environment), read_asked_about(reader, environment));
    let proxies = agent_env::read_proxies(reader).zip(read_agent_proxies(reader));
    let proxies = proxies.map(|(mut settings, own)| {
        own.replace_in(&mut settings);
        settings
    });
    Some(ImageConfig {
        usage: ImageUsage { engine: engine?, general: general?, projects: BTreeMap::new() },
        state_dir: state_dir?,
        runner: runner?,
        network: Network { roots: roots?, ..Network::default() },
        proxies: proxies?,
    })
}
