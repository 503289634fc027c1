//! The configuration: the only place that reads the environment and the configuration file.
//!
//! Sources, the strongest first: flag, environment variable, TOML file, default. What is wrong is
//! collected, so that one start names every mistake. [`setting`] declares the settings.

mod agent;
mod agent_env;
mod environment;
mod error;
mod file;
mod health;
mod host_user;
mod limits;
mod load;
mod overlay;
mod parse;
mod read;
mod reference;
mod reload;
mod report;
mod runner;
mod secret;
mod secret_command;
mod setting;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::iter;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use api_client::wire::ExecutionMode;
use api_client::{ProjectId, Secret};
use url::Url;

pub(crate) use agent::{
    AgentConfig, CacheScope, ContainerLimits, DockerMode, DoodUse, Egress, EgressPolicy,
    ImageChoice, InnerLayers, JobNetwork, ModelGateway, OtherHosts, PullPolicy, RootFolder,
    SocketMount,
};
pub(crate) use environment::{Environment, Screen};
pub(crate) use error::ConfigErrors;
pub(crate) use health::HealthListen;
pub(crate) use host_user::HostUser;
pub(crate) use limits::parse_time;
pub(crate) use limits::{BreakerConfig, KeepConfig, LimitsConfig, OnStop, ShutdownConfig};
pub(crate) use load::{USUAL_FILE, load, load_engine_host, load_state_dir};
pub(crate) use reference::whole as reference;
