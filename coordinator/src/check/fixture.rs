//! Configurations for the tests of the checks.

use crate::config::{self, AgentConfig, Config, Environment, Flags};

/// A configuration from these environment variables.
pub(super) fn config(variables: &[(&str, &str)]) -> Config {
    let url = ("TERARCHITECT_API_URL", "http://app.example:5010");
    let environment = Environment::of([url].into_iter().chain(variables.iter().copied()));
    config::load(&Flags::default(), &environment).unwrap().config
}

/// The agent's container of such a configuration.
pub(super) fn agent(variables: &[(&str, &str)]) -> AgentConfig {
    config(variables).agent
}
