//! What is said to the server and what it answers, held against the description that it publishes.
//!
//! Invariant: stricter than the description's own language. A field that it does not name is a
//! violation, unless it leaves the names open, and a keyword that is not known here fails the test.

use std::sync::LazyLock;

use api_client::JobId;
use serde_json::{Map, Value};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../../docs/worker-api.openapi.json")).unwrap()
});

/// What the description says of a method and a path; nothing where it has no such operation.
pub(crate) fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let found = paths.iter().find(|(template, _)| matches(template, path))?;
    found.1.get(method.to_lowercase())
}

/// Every operation, by its id, with the mark that says for whom it is.
pub(crate) fn operations() -> impl Iterator<Item = (&'static str, &'static str)> {
    let items = DOCUMENT["paths"].as_object().unwrap().values();
    let operations = items.flat_map(|item| item.as_object().unwrap().values());
    operations.filter_map(|operation| {
        Some((operation.get("operationId")?.as_str()?, operation["tags"][0].as_str()?))
    })
}

/// Fails where the body of a request is not as described.
pub(crate) fn check_request(method: &str, path: &str, body: &Value) {
    let what = format!("{method} {path}, request");
    let operation = operation(method, path).unwrap_or_else(|| panic!("{what}: no such operation"));
    match operation.pointer("/requestBody/content/application~1json/schema") {
        Some(schema) => check(schema, body, &what),
        None => assert!(body.is_null(), "{what}: has a body"),
    }
}

/// Fails where an answer is not as described. What is not there is answered with 404 or 405.
pub(crate) fn check_answer(method: &str, path: &str, status: u16, body: &Value) {
    let what = format!("{method} {path}, answer {status}");
    let Some(operation) = operation(method, path) else {
        assert!([401, 404, 405].contains(&status), "{what}: no such operation");
        return;
    };
    let response = &operation["responses"][status.to_string()];
    assert!(response.is_object(), "{what}: no such answer");
    match resolved(response).pointer("/content/application~1json/schema") {
        Some(schema) => check(schema, body, &what),
        None => assert!(body.is_null(), "{what}: has a body"),
    }
}

/// Fails where a value is not what a schema says.
#[track_caller]
fn check(schema: &Value, value: &Value, place: &str) {
    if let Err(why) = judge(schema, value, "body") {
        panic!("{place}: {why}\n{value}");
    }
}

fn matches(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    let (template, path): (Vec<_>, Vec<_>) = (template.collect(), path.collect());
    let part = |(part, given): (&&str, &&str)| part == given || part.starts_with('{');
    template.len() == path.len() && template.iter().zip(&path).all(part)
}

fn resolved(schema: &Value) -> &Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

fn judge(schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let Value::Object(keywords) = resolved(schema) else {
        return if schema == &Value::Bool(true) {
            Ok(())
        } else {
            Err(format!("{place}: no schema"))
        };
    };
    for (keyword, rule) in keywords {
        let fits = match keyword.as_str() {
            "type" => is_of(rule, value),
            "const" => rule == value,
            "enum" => rule.as_array().is_some_and(|all| all.contains(value)),
            "minimum" => value.as_f64().is_none_or(|number| Some(number) >= rule.as_f64()),
            "maxItems" => {
                value.as_array().is_none_or(|all| Some(all.len() as u64) <= rule.as_u64())
            }
            "minLength" => value.as_str().is_none_or(|text| Some(length(text)) >= rule.as_u64()),
            "maxLength" => value.as_str().is_none_or(|text| Some(length(text)) <= rule.as_u64()),
            "format" if rule == "uuid" => {
                value.as_str().is_none_or(|text| text.parse::<JobId>().is_ok())
            }
            "oneOf" => {
                let all = rule.as_array().ok_or("oneOf is no list")?;
                all.iter().filter(|schema| judge(schema, value, place).is_ok()).count() == 1
            }
            "required" => rule.as_array().is_some_and(|names| {
                names.iter().all(|name| name.as_str().is_some_and(|name| value.get(name).is_some()))
            }),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    judge(rule, item, &format!("{place}[{index}]"))?;
                }
                true
            }
            // Judged below, for people, or of texts that other tests look at.
            "properties" | "additionalProperties" | "description" | "pattern" | "format" => true,
            mark if mark.starts_with("x-") => true,
            unknown => return Err(format!("{place}: the keyword {unknown} is not known here")),
        };
        if !fits {
            return Err(format!("{place} is not of {keyword} {rule}"));
        }
    }
    match value {
        // The alternative that fits names the fields.
        Value::Object(fields) if !keywords.contains_key("oneOf") => {
            judge_fields(keywords, fields, place)
        }
        _ => Ok(()),
    }
}

fn judge_fields(
    keywords: &Map<String, Value>,
    fields: &Map<String, Value>,
    place: &str,
) -> Result<(), String> {
    for (name, value) in fields {
        let known = keywords.get("properties").and_then(|properties| properties.get(name));
        match known.or_else(|| keywords.get("additionalProperties")) {
            Some(schema) => judge(schema, value, &format!("{place}.{name}"))?,
            None => return Err(format!("{place}.{name} is not described")),
        }
    }
    Ok(())
}

fn is_of(rule: &Value, value: &Value) -> bool {
    let name = |name: &Value| match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => false,
    };
    rule.as_array().map_or_else(|| name(rule), |names| names.iter().any(name))
}

fn length(text: &str) -> u64 {
    text.chars().count() as u64
}
