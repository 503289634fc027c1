//! Traces: the collector that they go to.

use api_client::Secret;
use api_client::contract::env;
use api_client::otlp::{Collector, header_secrets, parse_headers};
use url::Url;

use super::read::Reader;
use super::setting::service;
use super::{Config, parse};
use crate::ledger::Record;

/// Traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceConfig {
    /// Base URL of the collector; none for no traces.
    pub(crate) endpoint: Option<Url>,
    /// Headers that it asks for.
    pub(crate) headers: Option<Secret>,
    /// What is secret in them by itself.
    pub(crate) header_secrets: Vec<Secret>,
}

impl TraceConfig {
    /// Where the coordinator's own spans go.
    pub(crate) fn collector(&self) -> Option<Collector> {
        let endpoint = self.endpoint.clone()?;
        Some(Collector { endpoint, headers: self.headers.clone() })
    }
}

impl Config {
    /// Whether the agent of a job is told a collector, and sends its spans itself.
    pub(crate) fn agent_sends_traces(&self, record: &Record) -> bool {
        let agent = record.job.ticket.map_or(&self.agent, |at| self.agent_for(at.project_id));
        agent.settings.get(env::AGENT_OTLP_ENDPOINT).is_some()
    }
}

pub(super) fn read_traces(reader: &mut Reader<'_>) -> Option<TraceConfig> {
    let endpoint = reader.optional(&service::OTLP_ENDPOINT, parse::http_url);
    let headers = reader.secret_of(&service::OTLP_HEADERS, |text| {
        parse_headers(text).map(drop).map_err(|error| error.to_string())
    });
    let headers = headers?;
    let header_secrets = headers.as_ref().map(header_secrets).unwrap_or_default();
    Some(TraceConfig { endpoint: endpoint?, headers, header_secrets })
}
