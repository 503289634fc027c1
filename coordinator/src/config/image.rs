//! What the commands about images are told.

use std::collections::BTreeMap;
use std::path::PathBuf;

use api_client::ProjectId;
use api_client::contract::JobDocument;
use api_client::http::Network;
use serde::{Deserialize, Serialize};

use super::{Config, ImageChoice};

/// The part of the configuration that they need.
#[derive(Clone, Debug)]
pub(crate) struct ImageConfig {
    /// Which images there are to be, on which engine.
    pub(crate) usage: ImageUsage,
    /// The directory of the map of projects.
    pub(crate) state_dir: PathBuf,
    /// The agent-runner that goes into an image.
    pub(crate) runner: PathBuf,
    /// The certificates that are trusted in a build.
    pub(crate) network: Network,
    /// The proxies of containers.
    pub(crate) proxies: JobDocument,
}

/// The images that the settings name. The map of projects comes on top.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageUsage {
    /// Address of the engine; none for the usual socket.
    pub(crate) engine: Option<String>,
    /// The image of projects that have no table of their own.
    pub(crate) general: ImageChoice,
    /// Those of projects that have one.
    pub(crate) projects: BTreeMap<ProjectId, ImageChoice>,
}

impl ImageUsage {
    /// That of a whole configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let own = config.of_projects.iter();
        Self {
            engine: config.engine.host.clone(),
            general: config.agent.image.clone(),
            projects: own.map(|(project, agent)| (*project, agent.image.clone())).collect(),
        }
    }

    /// The choice for one project.
    pub(crate) fn choice(&self, project: ProjectId) -> &ImageChoice {
        self.projects.get(&project).unwrap_or(&self.general)
    }
}
