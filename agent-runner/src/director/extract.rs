//! The JSON object in a text: models put words and fences around it.
//!
//! Invariant: of several objects the last one counts, and only what is at the top level: a model that thinks
//! aloud shows drafts first. Where the last one is cut off there is none, and nothing is taken out of one that is
//! no JSON.

use serde_json::{Map, Value};

use super::answer::Fault;

/// How many braces are looked at as the beginning of an object: more have only texts that hold none.
const BEGINNINGS_MAX: usize = 200;

/// The last complete JSON object of a text.
///
/// # Errors
/// [`Fault::NoObject`], which says whether one was begun.
pub(super) fn object_in(text: &str) -> Result<Map<String, Value>, Fault> {
    if let Ok(Value::Object(object)) = serde_json::from_str(text.trim()) {
        return Ok(object);
    }
    let (mut found, mut reason) = (None, String::new());
    let mut at = 0;
    for _ in 0..BEGINNINGS_MAX {
        let Some(begin) = text[at..].find('{').map(|begin| at + begin) else { break };
        // Other braces are of the words around.
        let is_object = text[begin + 1..].trim_start().starts_with('"');
        let Some(length) = balanced(&text[begin..]) else {
            if is_object {
                found = None;
            }
            if found.is_none() {
                reason = ": one begins and does not end".to_owned();
            }
            at = begin + 1;
            continue;
        };
        match serde_json::from_str::<Map<String, Value>>(&text[begin..begin + length]) {
            Ok(object) if object.is_empty() => at = begin + length,
            Ok(object) => {
                found = Some(object);
                at = begin + length;
            }
            Err(error) => {
                reason = format!(": {error}");
                at = if is_object { begin + length } else { begin + 1 };
            }
        }
    }
    found.ok_or(Fault::NoObject(reason))
}

/// How long a text is up to the brace that closes its first one; braces in strings do not count.
fn balanced(text: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' if !in_string => depth += 1,
            b'}' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn complete(text: &str) -> Option<bool> {
        object_in(text).ok()?.get("complete")?.as_bool()
    }

    #[test]
    fn an_object_is_found_in_words_and_fences() {
        for text in [
            r#"{"complete":true}"#,
            "```json\n{\"complete\": true}\n```",
            "Here it is:\n```\n{\"complete\":true}\n```\nAnything else?",
            r#"Use {braces} like {this. {"complete":true} It is done :-}"#,
            r#"{"complete":false} No, wait: {"complete":true}"#,
            "{\"complete\":true,\"summary\":\"a } and a \\\" and ```json {\"}",
        ] {
            assert_eq!(complete(text), Some(true), "{text}");
        }
    }

    #[test]
    fn an_object_within_another_is_none_of_its_own() {
        let text = r#"So: {"complete":true,"draft":{"complete":false}}"#;
        assert_eq!(complete(text), Some(true));
    }

    #[test]
    fn nothing_is_taken_out_of_an_answer_that_is_no_json_or_for_one_that_is_cut_off() {
        for text in [
            r#"{"complete":false,"draft":{"complete":true,"summary":"ok"},}"#,
            r#"{"complete":true} No: {"complete":false,"next_prompt":"Fix the"#,
        ] {
            assert_eq!(complete(text), None, "{text}");
        }
        assert_eq!(complete(r#"{"complete":true} as in {}"#), Some(true));
    }

    #[test]
    fn one_without_an_end_says_so() {
        let fault = object_in(r#"{"complete":false,"next_prompt":"Write the"#).unwrap_err();
        let words = "the answer has no complete JSON object in it: one begins and does not end";
        assert_eq!(fault.to_string(), words);
        assert_eq!(object_in("It is done.").unwrap_err(), Fault::NoObject(String::new()));
        assert!(object_in("[true]").is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_around_it_an_object_of_ours_is_found(
            before in "[^{}\"]{0,40}", text in "\\PC{0,40}", after in "[^{}\"]{0,40}"
        ) {
            let object = serde_json::json!({ "complete": true, "summary": text });
            let found = object_in(&format!("{before}{object}{after}")).unwrap();
            prop_assert_eq!(Value::Object(found), object);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            let _any = object_in(&text);
        }
    }
}
