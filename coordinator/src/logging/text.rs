//! The log on standard error: a line of text for people, or a JSON object. Pure.

use std::fmt::Write;

use tracing::Level;

use super::line::Line;

/// Whether colours are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    Terminal,
    None,
}

/// A line for people.
pub(super) fn pretty(line: &Line, colours: Colours) -> String {
    let level = format!("{:>5}", line.level.as_str());
    let level = match colours {
        Colours::None => level,
        Colours::Terminal => format!("\u{1b}[{}m{level}\u{1b}[0m", colour(line.level)),
    };
    format!("{} {level} {}\n", line.at, one_line(&line.message))
}

/// One object on one line: `timestamp`, `level`, `target`, `message`, then the fields.
pub(super) fn json(line: &Line) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = format!(
        r#"{{"timestamp":"{}","level":"{}","target":{},"message":{}"#,
        line.at,
        line.level.as_str().to_ascii_lowercase(),
        quoted(line.target),
        quoted(&line.message)
    );
    for (name, value) in line.fields.iter() {
        // Writing to a string does not fail.
        let _written = write!(text, ",{}:{value}", quoted(name));
    }
    text.push_str("}\n");
    text
}

/// What came from outside starts no line of its own, and commands no terminal.
fn one_line(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(shown).collect()
}

const fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::line::tests::line;
    use super::*;

    #[test]
    fn a_json_line_has_its_four_names_first_and_the_fields_as_they_are() {
        let said = line(
            &[("message", json!("a \"b\"\n")), ("tries", json!(3))],
            &[("job.id", json!("j"))],
        );
        let text = json(&said);
        assert!(text.starts_with("{\"timestamp\":\"2"), "{text}");
        assert_eq!(text.matches('\n').count(), 1);
        let mut value: Value = serde_json::from_str(&text).unwrap();
        value.as_object_mut().unwrap().remove("timestamp");
        let expected = json!({"level": "info", "target": "coordinator::work",
            "message": "job j: a \"b\"\n tries=3", "tries": 3, "job.id": "j"});
        assert_eq!(value, expected);
    }

    #[test]
    fn no_text_from_outside_begins_a_line_or_colours_it() {
        let said = line(&[("message", json!("a\n2026 INFO all well \u{1b}[31m"))], &[]);
        let text = pretty(&said, Colours::None);
        assert!(text.ends_with("  INFO a 2026 INFO all well  [31m\n"), "{text:?}");
    }
}
