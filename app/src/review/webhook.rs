//! Events of a forge: whether they are from it, and which pull request they are about. Pure.
//!
//! Invariant: of an event nothing is used but the names of repository and pull request, and these only
//! to look them up.

use api_client::Secret;
use axum::http::HeaderMap;
use ring::hmac::{HMAC_SHA256, Key, verify};
use serde_json::Value;
use subtle::ConstantTimeEq;

/// HMAC-SHA256 of the body, in hexadecimal digits after `sha256=`: GitHub, and Gitea too.
const GITHUB_SIGNATURE: &str = "x-hub-signature-256";
/// The same without anything before it.
const GITEA_SIGNATURE: &str = "x-gitea-signature";
/// The secret itself.
const GITLAB_TOKEN: &str = "x-gitlab-token";

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    /// `owner/name`, or a longer path on GitLab.
    pub(crate) repository: String,
    /// The pull requests; none where the event names none, as one of a push or of a status: what that
    /// changes is seen at the next poll.
    pub(crate) numbers: Vec<u64>,
}

/// Whether an event is of someone who has the secret.
pub(crate) fn is_signed(secret: &Secret, headers: &HeaderMap, body: &[u8]) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signature = match text(GITHUB_SIGNATURE) {
        Some(signature) => signature.strip_prefix("sha256="),
        None => text(GITEA_SIGNATURE),
    };
    match (signature, text(GITLAB_TOKEN)) {
        (Some(signature), _) => {
            let key = Key::new(HMAC_SHA256, secret.expose().as_bytes());
            bytes_of(signature).is_some_and(|signature| verify(&key, body, &signature).is_ok())
        }
        (None, Some(token)) => bool::from(token.as_bytes().ct_eq(secret.expose().as_bytes())),
        (None, None) => false,
    }
}

/// What an event is about; nothing where it names no repository.
pub(crate) fn subject(event: &Value) -> Option<Subject> {
    let at = |place: &str| event.pointer(place);
    let repository = at("/repository/full_name").or_else(|| at("/project/path_with_namespace"))?;
    let one = ["/pull_request/number", "/issue/number", "/merge_request/iid"]
        .into_iter()
        .find_map(at)
        .or_else(|| match event["object_kind"].as_str() {
            Some("merge_request") => at("/object_attributes/iid"),
            _ => None,
        });
    let checked = ["/check_run", "/check_suite", "/workflow_run"].into_iter().find_map(at);
    let checked = checked.and_then(|check| check["pull_requests"].as_array());
    let checked = checked.into_iter().flatten().map(|pull| &pull["number"]);
    let numbers = one.into_iter().chain(checked).filter_map(Value::as_u64).collect();
    Some(Subject { repository: repository.as_str()?.to_owned(), numbers })
}

fn bytes_of(hexadecimal: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = hexadecimal.as_bytes().chunks(2);
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    pairs.map(byte).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BODY: &[u8] = br#"{"a":1}"#;
    // printf '{"a":1}' | openssl dgst -sha256 -hmac s3cret
    const SIGNATURE: &str = "5910e62016ef5034272c926c27071992a465c2335cecf41851bda071577f4f6d";

    fn signed(name: &'static str, value: &str) -> bool {
        let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        is_signed(&Secret::from("s3cret"), &headers, BODY)
    }

    #[test]
    fn an_event_is_signed_as_each_forge_does_it() {
        assert!(signed(GITHUB_SIGNATURE, &format!("sha256={SIGNATURE}")));
        assert!(signed(GITEA_SIGNATURE, SIGNATURE));
        assert!(signed(GITLAB_TOKEN, "s3cret"));
    }

    #[test]
    fn an_event_with_another_signature_or_none_is_not() {
        let other = SIGNATURE.replace('0', "1");
        for (name, value) in [
            (GITHUB_SIGNATURE, format!("sha256={other}").as_str()),
            (GITHUB_SIGNATURE, SIGNATURE),
            (GITHUB_SIGNATURE, "sha256="),
            (GITEA_SIGNATURE, &SIGNATURE[..63]),
            (GITEA_SIGNATURE, "zz"),
            (GITLAB_TOKEN, "s3cre"),
            (GITLAB_TOKEN, ""),
            ("x-hub-signature", SIGNATURE),
        ] {
            assert!(!signed(name, value), "{name}: {value}");
        }
        // A wrong signature is not mended by a token beside it.
        let both = HeaderMap::from_iter([
            (GITHUB_SIGNATURE.parse().unwrap(), "sha256=00".parse().unwrap()),
            (GITLAB_TOKEN.parse().unwrap(), "s3cre".parse().unwrap()),
        ]);
        assert!(!is_signed(&Secret::from("s3cret"), &both, BODY));
    }

    #[test]
    fn the_subject_is_found_in_the_events_of_each_forge() {
        let repository = json!({"full_name": "acme/shop"});
        let project = json!({"path_with_namespace": "acme/web/shop"});
        for (event, name, numbers) in [
            (
                json!({"repository": repository, "pull_request": {"number": 7}}),
                "acme/shop",
                vec![7],
            ),
            (json!({"repository": repository, "issue": {"number": 7}}), "acme/shop", vec![7]),
            (json!({"repository": repository, "check_suite": {}}), "acme/shop", vec![]),
            (
                json!({"repository": repository,
                    "check_run": {"pull_requests": [{"number": 7}, {"number": 9}]}}),
                "acme/shop",
                vec![7, 9],
            ),
            (
                json!({"object_kind": "merge_request", "project": project,
                    "object_attributes": {"iid": 9, "id": 100}}),
                "acme/web/shop",
                vec![9],
            ),
            (
                json!({"object_kind": "note", "project": project, "merge_request": {"iid": 9},
                    "object_attributes": {"id": 100}}),
                "acme/web/shop",
                vec![9],
            ),
        ] {
            let expected = Subject { repository: name.to_owned(), numbers };
            assert_eq!(subject(&event), Some(expected), "{event}");
        }
        for event in [json!({}), json!(null), json!({"repository": {"full_name": 7}})] {
            assert_eq!(subject(&event), None, "{event}");
        }
    }
}
