//! Which trace a run is a part of, and who collects it. What cannot be used is said and left out: no job
//! fails for want of a trace.

use api_client::Secret;
use api_client::contract::env;
use api_client::otlp::{Collector, header_secrets};
use api_client::trace::TraceParent;

use super::Layers;

/// The span that the run is a part of: that of the coordinator, or of a CI job.
pub(crate) fn trace_parent(layers: &Layers) -> Option<TraceParent> {
    let given = layers.handed_over(env::TRACEPARENT)?;
    let parent = given.text().parse();
    parent.inspect_err(|error| tracing::warn!("TRACEPARENT is {error}: a trace of its own")).ok()
}

/// The collector of the run's spans, where one is named.
pub(crate) fn collector(layers: &Layers) -> Option<Collector> {
    let given = layers.handed_over(env::AGENT_OTLP_ENDPOINT);
    let given = given.or_else(|| layers.handed_over(env::OTLP_ENDPOINT))?;
    let endpoint = given.url();
    let endpoint =
        endpoint.inspect_err(|error| tracing::warn!("no trace of this run: {error}")).ok()?;
    let headers = layers.handed_over(env::OTLP_HEADERS).map(|headers| headers.secret());
    Some(Collector { endpoint, headers })
}

/// What is secret by itself in the headers that a collector asks for.
pub(crate) fn secrets_of_headers(layers: &Layers) -> Vec<Secret> {
    let headers = layers.handed_over(env::OTLP_HEADERS);
    headers.map(|headers| header_secrets(&headers.secret())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::Handover;
    use super::*;

    fn layers(environment: &[(&str, &str)], document: &str) -> Layers {
        Layers::new(Handover::of(environment, Some(document))).unwrap()
    }

    #[test]
    fn the_collector_for_agents_comes_before_the_usual_one_and_a_wrong_one_is_none() {
        let usual = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://usual:4318");
        let of_agents = r#"{"AGENT_OTLP_ENDPOINT":"http://agents:4318"}"#;
        let endpoint = |environment: &[_], document| {
            Some(collector(&layers(environment, document))?.endpoint.host_str()?.to_owned())
        };
        assert_eq!(endpoint(&[usual], of_agents).as_deref(), Some("agents"));
        assert_eq!(endpoint(&[usual], "{}").as_deref(), Some("usual"));
        assert_eq!(endpoint(&[], "{}"), None);
        assert_eq!(endpoint(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere")], "{}"), None);
    }

    #[test]
    fn a_wrong_traceparent_counts_as_none() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = trace_parent(&layers(&[("TRACEPARENT", text)], "{}")).unwrap();
        assert_eq!(parent.to_string(), text);
        assert_eq!(trace_parent(&layers(&[("TRACEPARENT", "x")], "{}")), None);
    }

    #[test]
    fn a_key_in_the_headers_is_a_secret_by_itself() {
        let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20hunter2-secret");
        let secrets = secrets_of_headers(&layers(&[headers], "{}"));
        assert!(secrets.iter().any(|secret| secret.expose() == "hunter2-secret"));
        assert!(secrets_of_headers(&layers(&[], "{}")).is_empty());
    }
}
