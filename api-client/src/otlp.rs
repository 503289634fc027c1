//! Sends spans to a collector: OpenTelemetry's protocol over HTTP, as JSON.
//!
//! Invariant: what is sent is what a [`Span`] holds, and nothing else; an error never repeats the
//! headers.

use std::time::Duration;

use reqwest::ClientBuilder;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use crate::Secret;
use crate::http::{Network, describe};
use crate::secret::form::looks_random;
use crate::trace::{Attribute, Span, SpanEnd, nanos};

/// Longest time for one batch.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A span of the inside of a program, in the protocol's numbers.
const KIND_INTERNAL: u8 = 1;

/// The protocol's numbers for how a span ended.
const STATUS_OK: u8 = 1;
const STATUS_ERROR: u8 = 2;

/// Where spans go.
#[derive(Clone, Debug)]
pub struct Collector {
    /// Base URL, to which `/v1/traces` is added.
    pub endpoint: Url,
    /// Further headers, `name=value` separated by commas (percent-encoded values), where the collector
    /// asks for some: most often a key.
    pub headers: Option<Secret>,
}

/// Sends spans of one program.
#[derive(Clone, Debug)]
pub struct Exporter {
    http: reqwest::Client,
    url: Url,
    resource: Value,
    version: &'static str,
}

/// Spans were not taken.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// No answer came.
    #[error("no answer of the collector: {problem}")]
    Unreachable {
        /// What was wrong.
        problem: String,
    },
    /// It said no.
    #[error("the collector answered {status}")]
    Refused {
        /// HTTP status.
        status: u16,
    },
}

impl ExportError {
    /// Whether another try may do better.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status } => matches!(status, 429 | 502..=504),
        }
    }
}

/// Spans cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The headers cannot be sent.
    #[error("the collector's headers cannot be sent")]
    Headers(#[from] InvalidHeaders),
    /// The HTTP client could not be set up, most often for want of readable CA certificates.
    #[error("cannot set up HTTP for traces")]
    Http(#[source] reqwest::Error),
}

/// The headers of a text cannot be sent. The text is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("name=value, separated by commas")]
pub struct InvalidHeaders;

impl Exporter {
    /// For the spans of a program of this name and version; `resource` says more of it.
    ///
    /// # Errors
    /// When there can be no HTTP client, or the headers cannot be sent.
    pub fn new(
        network: &Network,
        collector: &Collector,
        program: &str,
        version: &'static str,
        resource: &[(&'static str, String)],
    ) -> Result<Self, SetUpError> {
        let given = collector.headers.as_ref().map(|headers| parse_headers(headers.expose()));
        let mut headers = given.transpose()?.unwrap_or_default();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let client = network.client(&format!("{program}/{version}"));
        let client = client.map(|client| client.timeout(TIMEOUT).default_headers(headers));
        let http = client.and_then(ClientBuilder::build).map_err(SetUpError::Http)?;
        let mut url = collector.endpoint.clone();
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let mut attributes = vec![
            attribute("service.name", &program.into()),
            attribute("service.version", &version.into()),
        ];
        attributes
            .extend(resource.iter().map(|(name, value)| attribute(name, &value.as_str().into())));
        Ok(Self { http, url, resource: json!({"attributes": attributes}), version })
    }

    /// Sends these.
    ///
    /// # Errors
    /// When the collector does not take them within five seconds.
    pub async fn export(&self, spans: &[Span]) -> Result<(), ExportError> {
        let body = self.document(spans).to_string();
        let answer = self.http.post(self.url.clone()).body(body).send().await;
        let answer =
            answer.map_err(|error| ExportError::Unreachable { problem: describe(error) })?;
        let status = answer.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(ExportError::Refused { status: status.as_u16() })
        }
    }

    fn document(&self, spans: &[Span]) -> Value {
        let spans: Vec<Value> = spans.iter().map(span).collect();
        let scope = json!({"name": "terarchitect", "version": self.version});
        json!({"resourceSpans": [{
            "resource": self.resource,
            "scopeSpans": [{"scope": scope, "spans": spans}],
        }]})
    }
}

/// Reads headers.
///
/// # Errors
/// When there is something between the commas that is none.
pub fn parse_headers(text: &str) -> Result<HeaderMap, InvalidHeaders> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(InvalidHeaders)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| InvalidHeaders)?;
        let mut value =
            HeaderValue::from_bytes(&percent_decoded(value.trim())?).map_err(|_| InvalidHeaders)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// What is secret in such headers by itself: each value that its name says to be one, or that looks as if a
/// machine had made it, as it is written and as it is meant, and what comes behind its scheme (`Bearer`,
/// `Basic`). The name of a tenant or a dataset is a word like any other. Nothing of what are no headers.
#[must_use]
pub fn header_secrets(headers: &Secret) -> Vec<Secret> {
    let pairs = headers.expose().split(',').filter_map(|pair| pair.split_once('='));
    let secret = pairs.filter(|(name, value)| is_of_secrets(name) || looks_random(value.trim()));
    let written: Vec<&str> = secret.map(|(_, value)| value.trim()).collect();
    let meant =
        written.iter().filter_map(|value| String::from_utf8(percent_decoded(value).ok()?).ok());
    let mut all: Vec<String> =
        written.iter().map(|value| (*value).to_owned()).chain(meant).collect();
    let behind = all.iter().filter_map(|value| Some(value.split_once(' ')?.1.trim().to_owned()));
    let behind: Vec<String> = behind.collect();
    all.extend(behind);
    all.into_iter().map(Secret::from).collect()
}

/// Whether the value of a header of this name is a secret.
fn is_of_secrets(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["auth", "key", "token", "secret", "password"].iter().any(|part| name.contains(part))
}

fn percent_decoded(text: &str) -> Result<Vec<u8>, InvalidHeaders> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let (digits, after) = rest.split_at_checked(2).ok_or(InvalidHeaders)?;
            let digits = std::str::from_utf8(digits).map_err(|_| InvalidHeaders)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| InvalidHeaders)?);
            rest = after;
        } else {
            bytes.push(*byte);
        }
    }
    Ok(bytes)
}

fn span(span: &Span) -> Value {
    let attributes: Vec<Value> =
        span.attributes.iter().map(|(name, value)| attribute(name, value)).collect();
    let mut value = json!({
        "traceId": span.trace.to_string(),
        "spanId": span.id.to_string(),
        "name": span.name,
        "kind": KIND_INTERNAL,
        // 64-bit numbers are strings in the protocol's JSON.
        "startTimeUnixNano": nanos(span.began).to_string(),
        "endTimeUnixNano": nanos(span.ended).to_string(),
        "attributes": attributes,
        "status": match &span.end {
            SpanEnd::Unset => json!({}),
            SpanEnd::Well => json!({"code": STATUS_OK}),
            SpanEnd::Failed(why) => json!({"code": STATUS_ERROR, "message": why}),
        },
    });
    if let Some(parent) = span.parent {
        value["parentSpanId"] = parent.to_string().into();
    }
    value
}

fn attribute(name: &str, value: &Attribute) -> Value {
    let value = match value {
        Attribute::Text(text) => json!({"stringValue": text}),
        Attribute::Number(number) => json!({"intValue": number.to_string()}),
        Attribute::Decimal(number) => json!({"doubleValue": number}),
    };
    json!({"key": name, "value": value})
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::Redactor;
    use crate::trace::TraceParent;

    fn exporter(endpoint: &str, headers: Option<&str>) -> Exporter {
        let collector =
            Collector { endpoint: endpoint.parse().unwrap(), headers: headers.map(Secret::from) };
        Exporter::new(
            &Network::default(),
            &collector,
            "prog",
            "1.2",
            &[("host.name", "h".to_owned())],
        )
        .unwrap()
    }

    #[test]
    fn each_value_of_the_headers_is_hidden_by_itself_in_each_of_its_forms() {
        let headers = Secret::from("api-key=hunter2-secret, Authorization=Bearer%20other%2Bsecret");
        let redactor = Redactor::new(&header_secrets(&headers));
        for text in
            ["hunter2-secret", "Bearer other+secret", "other+secret", "Bearer%20other%2Bsecret"]
        {
            assert_eq!(redactor.redact(text), "[redacted]", "{text}");
        }
        assert!(header_secrets(&Secret::from("nothing")).is_empty());
        // The name of a tenant may be a word that stands in every log.
        assert!(header_secrets(&Secret::from("x-scope-orgid=agent-runner")).is_empty());
        assert!(!header_secrets(&Secret::from("x-team=a1b2c3d4e5f6a7b8c9d0")).is_empty());
    }

    #[test]
    fn the_path_of_the_protocol_is_added_to_the_endpoint() {
        for (endpoint, url) in [
            ("http://c:4318", "http://c:4318/v1/traces"),
            ("http://c:4318/otlp/", "http://c:4318/otlp/v1/traces"),
        ] {
            assert_eq!(exporter(endpoint, None).url.as_str(), url);
        }
    }

    #[test]
    fn a_span_is_written_as_the_protocol_has_it() {
        let parent: TraceParent =
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        let began = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_001);
        let span = Span {
            name: "clone".to_owned(),
            trace: parent.trace,
            id: parent.span,
            parent: Some(parent.span),
            began,
            ended: began + Duration::from_nanos(1),
            end: SpanEnd::Failed("clone_failed".to_owned()),
            attributes: vec![("tries", 3u64.into()), ("job.id", "j".into())],
        };
        let document = exporter("http://c", None).document(&[span]);
        let of_resource = &document["resourceSpans"][0];
        assert_eq!(of_resource["resource"]["attributes"][0]["value"]["stringValue"], "prog");
        let expected = json!({
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
            "spanId": "00f067aa0ba902b7",
            "parentSpanId": "00f067aa0ba902b7",
            "name": "clone",
            "kind": 1,
            "startTimeUnixNano": "1700000000000000001",
            "endTimeUnixNano": "1700000000000000002",
            "attributes": [
                {"key": "tries", "value": {"intValue": "3"}},
                {"key": "job.id", "value": {"stringValue": "j"}},
            ],
            "status": {"code": 2, "message": "clone_failed"},
        });
        assert_eq!(of_resource["scopeSpans"][0]["spans"][0], expected);
    }

    #[test]
    fn headers_are_read_as_the_specification_has_them_and_are_never_shown() {
        let headers = parse_headers("api-key=s%3Dcret, x = y").unwrap();
        assert_eq!(headers["api-key"], "s=cret");
        assert_eq!(headers["x"], "y");
        for text in ["a", "a=b,c", "a b=c", "a=%zz", "a=%2"] {
            assert_eq!(parse_headers(text), Err(InvalidHeaders), "{text}");
        }
        let shown = format!("{:?}", exporter("http://c", Some("api-key=s3cret")));
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
