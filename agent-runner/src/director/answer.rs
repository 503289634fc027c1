//! What the Director may answer, read strictly: a field has its type, or the answer is none.

use serde_json::{Map, Value, json};

use super::extract::object_in;

/// What a plan comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PlanVerdict {
    /// The work may follow it.
    Approved,
    /// It is to be mended first.
    Rejected {
        /// How.
        feedback: String,
    },
}

/// What a turn of the worker comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Assessment {
    /// The ticket is done.
    Complete {
        /// What was accomplished, for the reviewer.
        summary: String,
    },
    /// There is more to do.
    Continue {
        /// What the worker is told.
        prompt: String,
    },
}

/// Why an answer cannot be used, in words that the Director is told as well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// There is nothing in it.
    #[error("the answer has no text ({0})")]
    Nothing(String),
    /// Its end is missing.
    #[error(
        "the answer was cut off at {limit} tokens before its end; be shorter (AGENT_MAX_OUTPUT sets the limit)"
    )]
    CutOff {
        /// The limit that was set.
        limit: u32,
    },
    /// There is no JSON object.
    #[error("the answer has no complete JSON object in it{0}")]
    NoObject(String),
    /// A field is missing.
    #[error("the field \"{0}\" is missing")]
    Missing(&'static str),
    /// A field has another type.
    #[error("the field \"{field}\" must be {wanted}, and is {found}")]
    Type {
        /// The field.
        field: &'static str,
        /// What it must be.
        wanted: &'static str,
        /// What it is.
        found: String,
    },
    /// A text is needed, and there is none in it.
    #[error("the field \"{field}\" is empty, and is needed where \"{because}\"")]
    Empty {
        /// The field.
        field: &'static str,
        /// Why.
        because: &'static str,
    },
}

/// A kind of answer.
pub(super) trait Answer: Sized {
    /// Its JSON schema, for models that can be held to one.
    fn schema() -> Value;

    /// Reads it from the fields of the object.
    fn of(fields: &Map<String, Value>) -> Result<Self, Fault>;

    /// One line of it.
    fn brief(&self) -> String;

    /// Reads it from a text with one JSON object in it.
    fn read(text: &str) -> Result<Self, Fault> {
        Self::of(&object_in(text)?)
    }
}

impl Answer for PlanVerdict {
    fn schema() -> Value {
        schema(&[("plan_approved", "boolean"), ("feedback", "string")])
    }

    fn of(fields: &Map<String, Value>) -> Result<Self, Fault> {
        if switch(fields, "plan_approved")? {
            return Ok(Self::Approved);
        }
        let because = "plan_approved\" is \"false";
        Ok(Self::Rejected { feedback: filled(fields, "feedback", because)? })
    }

    fn brief(&self) -> String {
        match self {
            Self::Approved => "plan approved".to_owned(),
            Self::Rejected { feedback } => format!("plan rejected: {}", line(feedback)),
        }
    }
}

impl Answer for Assessment {
    fn schema() -> Value {
        schema(&[("complete", "boolean"), ("summary", "string"), ("next_prompt", "string")])
    }

    fn of(fields: &Map<String, Value>) -> Result<Self, Fault> {
        if switch(fields, "complete")? {
            let because = "complete\" is \"true";
            return Ok(Self::Complete { summary: filled(fields, "summary", because)? });
        }
        let because = "complete\" is \"false";
        Ok(Self::Continue { prompt: filled(fields, "next_prompt", because)? })
    }

    fn brief(&self) -> String {
        match self {
            Self::Complete { summary } => format!("complete: {}", line(summary)),
            Self::Continue { prompt } => format!("continue: {}", line(prompt)),
        }
    }
}

/// An object of these fields, all of them there: what strict schemas want.
fn schema(fields: &[(&str, &str)]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|(name, kind)| ((*name).to_owned(), json!({ "type": kind }))).collect();
    let required: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    json!({
        "type": "object", "properties": properties, "required": required,
        "additionalProperties": false,
    })
}

fn switch(fields: &Map<String, Value>, field: &'static str) -> Result<bool, Fault> {
    match fields.get(field) {
        Some(Value::Bool(value)) => Ok(*value),
        Some(other) => Err(wrong(field, "true or false", other)),
        None => Err(Fault::Missing(field)),
    }
}

/// A text that has something in it.
fn filled(
    fields: &Map<String, Value>,
    field: &'static str,
    because: &'static str,
) -> Result<String, Fault> {
    match fields.get(field) {
        Some(Value::String(text)) if text.trim().is_empty() => Err(Fault::Empty { field, because }),
        Some(Value::String(text)) => Ok(text.trim().to_owned()),
        Some(other) => Err(wrong(field, "a text", other)),
        None => Err(Fault::Missing(field)),
    }
}

fn wrong(field: &'static str, wanted: &'static str, found: &Value) -> Fault {
    let found = match found {
        Value::String(text) => format!("the text {:?}", line(text)),
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    Fault::Type { field, wanted, found }
}

/// The beginning of a text in one line.
fn line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    crate::bounded::beginning(&line, 160).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assessed(text: &str) -> Result<Assessment, String> {
        Assessment::read(text).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_text_that_says_false_is_no_boolean() {
        let fault = assessed(r#"{"complete":"false","next_prompt":"go on"}"#).unwrap_err();
        let words = "the field \"complete\" must be true or false, and is the text \"false\"";
        assert_eq!(fault, words);
        assert!(PlanVerdict::read(r#"{"plan_approved":"true"}"#).is_err());
        assert!(assessed(r#"{"complete":1,"summary":"x"}"#).unwrap_err().contains("the number 1"));
    }

    #[test]
    fn what_is_not_needed_may_be_empty_and_what_is_needed_may_not() {
        let done = r#"{"complete":true,"summary":" Done. ","next_prompt":""}"#;
        assert_eq!(assessed(done).unwrap(), Assessment::Complete { summary: "Done.".to_owned() });
        let fault = assessed(r#"{"complete":false,"summary":"","next_prompt":" "}"#).unwrap_err();
        assert_eq!(
            fault,
            "the field \"next_prompt\" is empty, and is needed where \"complete\" is \"false\""
        );
        let fault = assessed(r#"{"complete":false,"next_prompt":null}"#).unwrap_err();
        assert!(fault.ends_with("must be a text, and is null"), "{fault}");
        assert_eq!(
            assessed(r#"{"complete":true}"#).unwrap_err(),
            "the field \"summary\" is missing"
        );
        assert_eq!(PlanVerdict::read(r#"{"plan_approved":true}"#).unwrap(), PlanVerdict::Approved);
        let rejected = PlanVerdict::read(r#"{"plan_approved":false,"feedback":"no tests"}"#);
        assert_eq!(rejected.unwrap(), PlanVerdict::Rejected { feedback: "no tests".to_owned() });
    }

    #[test]
    fn a_schema_asks_for_every_field_and_for_no_other() {
        let schema = Assessment::schema();
        assert_eq!(schema["required"], json!(["complete", "summary", "next_prompt"]));
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["complete"]["type"], "boolean");
    }
}
