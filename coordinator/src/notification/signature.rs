//! The signature of a notification. Pure.

use std::fmt::Write;

use api_client::Secret;
use ring::hmac::{HMAC_SHA256, Key, sign};

/// HMAC-SHA256 of the time, a dot and the body, as `sha256=` and hexadecimal digits: who has the secret
/// knows that it is ours, and that it is not an old one sent again.
pub(super) fn signature(secret: &Secret, timestamp: u64, body: &str) -> String {
    let key = Key::new(HMAC_SHA256, secret.expose().as_bytes());
    let tag = sign(&key, format!("{timestamp}.{body}").as_bytes());
    let mut text = "sha256=".to_owned();
    for byte in tag.as_ref() {
        // Writing to a string does not fail.
        let _written = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_other_programs_compute() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac s3cret
        let expected = "sha256=1698a50bc74d1ff1db85c4e0a5297c2ad9fdba245d5737cdb789e4cc6e098940";
        assert_eq!(signature(&"s3cret".into(), 1_700_000_000, r#"{"a":1}"#), expected);
    }
}
