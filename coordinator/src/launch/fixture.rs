//! Jobs and configurations for the tests of this stage.

use api_client::wire::Job;

use crate::config::{self, Config, Environment, Flags};

/// A job with these further fields.
pub(super) fn job(fields: &str) -> Job {
    let text = format!(
        r#"{{"job_id":"93863a0a-985e-474b-a6b2-40a89654e6bf",
            "ticket_id":"c1d437f0-01dc-40f1-84f8-cda84d4af8e3",
            "project_id":"b0acb5a0-d0bc-4738-89d0-347ecd318506",{fields}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

/// A configuration from these environment variables.
pub(super) fn config(variables: &[(&str, &str)]) -> Config {
    let url = ("TERARCHITECT_API_URL", "http://app.example:5010");
    let environment = Environment::of([url].into_iter().chain(variables.iter().copied()));
    config::load(&Flags::default(), &environment).unwrap().config
}
