//! Reading what a request brings: ids in the path, and fields of a JSON body by name, so that each
//! refusal names its field.
//!
//! NUL characters are taken and stored, where the original app answers 500; lone surrogates are no
//! text and get 400.

use std::str::FromStr;

use api_client::wire::JobUsage;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::dollars::Dollars;
use crate::error::ApiError;
use crate::receive::{BODY_MAX, discard, receive};

/// Ids of the path. What is no UUID names nothing: 404.
#[derive(Debug)]
pub(crate) struct Ids<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Ids<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let ids = Path::<T>::from_request_parts(parts, state).await;
        ids.map(|Path(ids)| Self(ids)).map_err(|_| ApiError::NotFound("what the URL names"))
    }
}

/// A JSON object, or `null` for an empty one, as the body of a request. Fields that no one asks for
/// are ignored. `MAX` is the largest body, in bytes.
#[derive(Debug)]
pub(crate) struct Fields<const MAX: usize = BODY_MAX>(Map<String, Value>);

impl<S: Send + Sync, const MAX: usize> FromRequest<S> for Fields<MAX> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            discard(request.into_body()).await;
            return Err(ApiError::NotJson);
        }
        let body = receive(request.into_body(), MAX).await?;
        match serde_json::from_slice(&body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(Value::Null) => Ok(Self(Map::new())),
            Ok(_) => Err(invalid("the body must be a JSON object")),
            Err(error) => Err(invalid(format!("the body is not JSON: {error}"))),
        }
    }
}

impl From<Map<String, Value>> for Fields {
    fn from(fields: Map<String, Value>) -> Self {
        Self(fields)
    }
}

impl<const MAX: usize> Fields<MAX> {
    /// Whether the body has this field, even if it is null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A text of at most `max` characters; absent or null is `None`.
    pub(crate) fn text(&mut self, name: &str, max: usize) -> Result<Option<String>, ApiError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.chars().count() <= max => Ok(Some(text)),
            Some(Value::String(_)) => {
                Err(invalid(format!("{name} must be at most {max} characters")))
            }
            Some(_) => Err(invalid(format!("{name} must be a string"))),
        }
    }

    /// A text that is there and not blank; white space around it is taken off.
    pub(crate) fn required_text(&mut self, name: &str, max: usize) -> Result<String, ApiError> {
        match self.text(name, max)?.as_deref().map(str::trim) {
            None => Err(invalid(format!("{name} is required"))),
            Some("") => Err(invalid(format!("{name} must not be blank"))),
            Some(text) => Ok(text.to_owned()),
        }
    }

    /// A text with a type: an id or a word.
    pub(crate) fn typed<T>(&mut self, name: &str) -> Result<Option<T>, ApiError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let text = self.text(name, usize::MAX)?;
        text.map(|text| text.parse().map_err(|error: T::Err| invalid(error.to_string())))
            .transpose()
    }

    /// A whole number from zero to `max`; absent or null is `None`.
    pub(crate) fn number(&mut self, name: &str, max: u64) -> Result<Option<u64>, ApiError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64().filter(|number| *number <= max) {
                Some(number) => Ok(Some(number)),
                None => Err(invalid(format!("{name} must be a whole number up to {max}"))),
            },
        }
    }

    /// An amount of US dollars above zero, as a number; absent or null is `None`.
    pub(crate) fn dollars(&mut self, name: &str) -> Result<Option<Dollars>, ApiError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            // The text of a JSON number is as exact as it was written.
            Some(Value::Number(number)) => match number.to_string().parse() {
                Ok(amount) if amount > Dollars::default() => Ok(Some(amount)),
                Ok(_) | Err(_) => {
                    let words = "must be US dollars above zero with up to six decimals, or null";
                    Err(invalid(format!("{name} {words}")))
                }
            },
            Some(_) => Err(invalid(format!("{name} must be a number"))),
        }
    }

    /// What a job used; what is no such thing says nothing.
    pub(crate) fn usage(&mut self, name: &str) -> Option<JobUsage> {
        serde_json::from_value(self.0.remove(name)?).ok()
    }

    /// The number of a pull request: digits in a string count too, anything else is no number.
    pub(crate) fn lenient_number(&mut self, name: &str) -> Option<u64> {
        let number = match self.0.remove(name)? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|number| i64::try_from(*number).is_ok())
    }

    /// True or false; absent or null is `None`.
    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(invalid(format!("{name} must be true or false"))),
        }
    }

    /// A list of strings that must be there.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<String>, ApiError> {
        let required = || invalid(format!("{name} (list of strings) is required"));
        let Some(Value::Array(items)) = self.0.remove(name) else {
            return Err(required());
        };
        let text = |item| match item {
            Value::String(text) => Some(text),
            _ => None,
        };
        items.into_iter().map(text).collect::<Option<_>>().ok_or_else(required)
    }

    /// A list of at most `max` objects that must be there.
    pub(crate) fn objects(
        &mut self,
        name: &str,
        max: usize,
    ) -> Result<Vec<Map<String, Value>>, ApiError> {
        let required = || invalid(format!("{name} (list of objects, at most {max}) is required"));
        let Some(Value::Array(items)) = self.0.remove(name) else {
            return Err(required());
        };
        let object = |item| match item {
            Value::Object(object) => Some(object),
            _ => None,
        };
        let objects: Option<Vec<_>> = items.into_iter().map(object).collect();
        objects.filter(|objects| objects.len() <= max).ok_or_else(required)
    }

    /// All that was not taken.
    pub(crate) fn into_rest(self) -> Map<String, Value> {
        self.0
    }
}

/// A 400 with these words.
pub(crate) fn invalid(words: impl Into<String>) -> ApiError {
    ApiError::Invalid(words.into())
}

/// `application/json` and its kin (`application/…+json`), with or without parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| {
        let essence = essence.to_ascii_lowercase();
        essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use serde_json::json;

    fn fields(value: Value) -> Fields {
        Fields(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn the_kinds_of_json_are_told_from_other_content() {
        let json = |kind: &'static str| {
            is_json(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]))
        };
        assert!(json("application/json"));
        assert!(json("Application/JSON; charset=utf-8"));
        assert!(json("application/problem+json"));
        assert!(!json("text/json") && !json("text/plain") && !json(""));
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn each_refusal_names_its_field() {
        let refusal = |result: Result<String, ApiError>| result.unwrap_err().to_string();
        let mut body = fields(json!({"long": "ééé", "number": 5, "blank": " "}));
        assert_eq!(refusal(body.required_text("long", 2)), "long must be at most 2 characters");
        assert_eq!(refusal(body.required_text("number", 9)), "number must be a string");
        assert_eq!(refusal(body.required_text("blank", 9)), "blank must not be blank");
        assert_eq!(refusal(body.required_text("absent", 9)), "absent is required");
    }

    #[test]
    fn limits_count_characters_not_bytes() {
        let text = fields(json!({"t": "ééé"})).text("t", 3).unwrap();
        assert_eq!(text.as_deref(), Some("ééé"));
    }

    #[test]
    fn the_number_of_a_pull_request_may_be_digits_in_a_string() {
        let read = |value| fields(json!({ "n": value })).lenient_number("n");
        assert_eq!(read(json!(7)), Some(7));
        assert_eq!(read(json!("9")), Some(9));
        assert_eq!(read(json!("eight")), None);
        assert_eq!(read(json!(-1)), None);
        assert_eq!(read(json!(null)), None);
    }
}
