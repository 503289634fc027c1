use serde_json::Value;

use super::*;

const SCHEMA: &str = include_str!("../../../docs/outcome.schema.json");
const PAGE: &str = include_str!("../../../docs/outcome.md");

#[test]
fn a_document_of_a_later_runner_can_be_read() {
    let text = r#"{"version":1,"verdict":"no_changes","cause":"no_changes","summary":"s",
        "runner_version":"9.9.9","later":{"field":1}}"#;
    let document: OutcomeDocument = serde_json::from_str(text).unwrap();
    assert_eq!(document.verdict, Verdict::NoChanges);
    assert_eq!(document.tokens, TokenFacts::default());
}

#[test]
fn the_documented_example_has_every_field_of_the_type_and_of_the_schema() {
    let (_, rest) = PAGE.split_once("```json\n").unwrap();
    let example: Value = serde_json::from_str(rest.split_once("```").unwrap().0).unwrap();
    let document: OutcomeDocument = serde_json::from_value(example.clone()).unwrap();
    assert_eq!(serde_json::to_value(&document).unwrap(), example);
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    conforms(&example, &schema, &schema, "document");
    // Nothing is left out of it, so that the example and the schema show all there is.
    let OutcomeDocument { job, ticket, repository, diff, pull_request, .. } = document;
    assert!(job.is_some() && ticket.is_some() && diff.is_some() && pull_request.is_some());
    assert!(repository.unwrap().base_moved_to.is_some());
}

#[test]
fn the_schema_knows_every_word_that_the_type_has() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let words = |pointer: &str| schema.pointer(pointer).unwrap().as_array().unwrap().clone();
    assert_eq!(words("/properties/cause/enum"), AgentExit::ALL.map(word));
    let verdicts = [
        Verdict::Delivered,
        Verdict::NoChanges,
        Verdict::ChecksFailed,
        Verdict::Partial,
        Verdict::Blocked,
        Verdict::Parked,
        Verdict::Failed,
    ];
    assert_eq!(words("/properties/verdict/enum"), verdicts.map(word));
    let kinds = [
        FindingKind::Secret,
        FindingKind::ForbiddenPath,
        FindingKind::LargeFile,
        FindingKind::TestDeleted,
        FindingKind::TestSkipped,
        FindingKind::TestWeakened,
        FindingKind::RulesChanged,
    ];
    let pointer = "/properties/findings/items/properties/kind/enum";
    assert_eq!(words(pointer), kinds.map(word));
}

fn word(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

/// Checks a value against the few words of JSON Schema that ours uses, and that it has every property.
fn conforms(value: &Value, schema: &Value, root: &Value, at: &str) {
    if let Some(path) = schema["$ref"].as_str() {
        return conforms(value, root.pointer(&path[1..]).unwrap(), root, at);
    }
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{at}: {value}");
    }
    match (schema["type"].as_str(), value) {
        (Some("object"), Value::Object(fields)) => {
            let known = schema["properties"].as_object().unwrap();
            let mut names = [fields.keys().collect::<Vec<_>>(), known.keys().collect()];
            names.iter_mut().for_each(|names| names.sort());
            assert_eq!(names[0], names[1], "{at}");
            for name in schema["required"].as_array().unwrap() {
                assert!(known.contains_key(name.as_str().unwrap()), "{at}: {name}");
            }
            for (name, value) in fields {
                conforms(value, &known[name], root, &format!("{at}.{name}"));
            }
        }
        (Some("array"), Value::Array(values)) => {
            assert!(!values.is_empty(), "{at} has no example");
            values.iter().for_each(|value| conforms(value, &schema["items"], root, at));
        }
        (Some("string"), Value::String(_))
        | (Some("integer" | "number"), Value::Number(_))
        | (Some("boolean"), Value::Bool(_))
        | (None, _) => {}
        (kind, _) => panic!("{at}: {value} is no {kind:?}"),
    }
}
