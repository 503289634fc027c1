//! One line of the log, in the same words for every form. Pure.

use std::fmt::{Debug, Write};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use super::field;

const MESSAGE: &str = "message";
const ERROR: &str = "error";

/// Names and values, in the order in which they came, each name once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

/// A line, ready to be written.
#[derive(Debug)]
pub(super) struct Line {
    /// When it was said: RFC 3339, in UTC.
    pub(super) at: String,
    pub(super) level: Level,
    /// The module that it comes from.
    pub(super) target: &'static str,
    /// Readable by itself: it names the job, and has the values of the fields that are no ids.
    pub(super) message: String,
    /// All fields, those of the spans included.
    pub(super) fields: Fields,
}

impl Fields {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Takes over those of a part: what it says itself stays as it is.
    pub(super) fn extend(&mut self, outer: &Self) {
        for (name, value) in outer.iter() {
            if self.get(name).is_none() {
                self.0.push((name, value.clone()));
            }
        }
    }

    fn set(&mut self, field: &Field, value: Value) {
        let name = field.name();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, Value::String(value.to_owned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }
}

impl Line {
    /// The line of an event within spans that have these fields.
    pub(super) fn of(event: &Event<'_>, spans: &Fields) -> Self {
        let mut own = Fields::default();
        event.record(&mut own);
        Self::new(*event.metadata().level(), event.metadata().target(), own, spans)
    }

    /// A line about no job.
    pub(super) fn said(level: Level, target: &'static str, message: String) -> Self {
        Self { at: now(), level, target, message, fields: Fields::default() }
    }

    fn new(level: Level, target: &'static str, mut own: Fields, spans: &Fields) -> Self {
        let said = own.0.iter().position(|(name, _)| *name == MESSAGE);
        let mut message = said.map(|at| plain(&own.0.remove(at).1)).unwrap_or_default();
        append(&mut message, &own);
        let mut fields = own;
        fields.extend(spans);
        if let Some(job) = fields.get(field::JOB).map(plain)
            && !message.contains(&job)
        {
            message = format!("job {job}: {message}");
        }
        Self { at: now(), level, target, message, fields }
    }
}

fn now() -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _written = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

/// Adds what the line's own fields say.
fn append(message: &mut String, own: &Fields) {
    for (name, value) in own.iter().filter(|(name, _)| !name.ends_with(".id")) {
        // Writing to a string does not fail.
        let _written = match name {
            ERROR => write!(message, ": {}", plain(value)),
            _ => write!(message, " {name}={}", plain(value)),
        };
    }
}

/// A value as people read it.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(in crate::logging) fn line(
        own: &[(&'static str, Value)],
        span: &[(&'static str, Value)],
    ) -> Line {
        let (own, span) = (Fields(own.to_vec()), Fields(span.to_vec()));
        Line::new(Level::INFO, "coordinator::work", own, &span)
    }

    #[test]
    fn a_message_names_its_job_once_and_says_what_its_own_fields_say() {
        let span = [(field::JOB, json!("j-1")), ("ticket.id", json!("t-1"))];
        let own =
            [("message", json!("not delivered")), ("tries", json!(3)), ("error", json!("401"))];
        let said = line(&own, &span);
        assert_eq!(said.message, "job j-1: not delivered tries=3: 401");
        assert_eq!(said.fields.get("ticket.id"), Some(&json!("t-1")));
        let said = line(&[("message", json!("j-1 is gone")), (field::JOB, json!("j-1"))], &[]);
        assert_eq!(said.message, "j-1 is gone");
    }

    #[test]
    fn what_a_line_says_itself_wins_over_its_span_and_no_field_comes_twice() {
        let said = line(&[(field::JOB, json!("own"))], &[(field::JOB, json!("of the span"))]);
        assert_eq!(said.fields.iter().collect::<Vec<_>>(), [(field::JOB, &json!("own"))]);
    }
}
