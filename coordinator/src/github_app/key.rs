//! The App's private key, and the signed statement (a JSON Web Token, RS256) by which the App shows
//! the forge who it is.

use std::num::NonZeroU64;

use api_client::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::json;

/// A statement counts from this long before now, in seconds: clocks differ.
const BEFORE_SEC: u64 = 60;
/// And until this long after it; the forge takes at most ten minutes.
const AFTER_SEC: u64 = 9 * 60;

/// The key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    /// No PEM text, or one that is cut.
    #[error(
        "the private key of the GitHub App as it was downloaded: a PEM text from \
         `-----BEGIN RSA PRIVATE KEY-----` to its END line"
    )]
    NotPem,
    /// A key with a password, of another kind, or a certificate.
    #[error(
        "an RSA private key in PKCS#1 or PKCS#8 form and without a password, as GitHub makes it"
    )]
    OtherKind,
    /// The form is right and the content is not.
    #[error("a whole RSA private key of 2048 bits or more")]
    Broken,
}

/// The key, ready to sign.
#[derive(Debug)]
pub(crate) struct AppKey(RsaKeyPair);

impl AppKey {
    /// Reads a PEM text. In an environment variable, `\n` may stand for the ends of its lines.
    ///
    /// # Errors
    /// What it has to be instead.
    pub(crate) fn from_pem(text: &str) -> Result<Self, KeyError> {
        let text = text.replace("\\n", "\n");
        let (_, rest) = text.split_once("-----BEGIN ").ok_or(KeyError::NotPem)?;
        let (label, rest) = rest.split_once("-----").ok_or(KeyError::NotPem)?;
        let (body, _) =
            rest.split_once(&format!("-----END {label}-----")).ok_or(KeyError::NotPem)?;
        let from_der = match label {
            "RSA PRIVATE KEY" if !body.contains(':') => RsaKeyPair::from_der,
            "PRIVATE KEY" => RsaKeyPair::from_pkcs8,
            _ => return Err(KeyError::OtherKind),
        };
        let body: String = body.split_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| KeyError::NotPem)?;
        from_der(&der).map(Self).map_err(|_| KeyError::Broken)
    }

    /// The App's statement about itself at this time, in seconds since 1970.
    pub(super) fn statement(&self, app: NonZeroU64, now: u64) -> Result<Secret, KeyError> {
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(json!({ "alg": "RS256", "typ": "JWT" }));
        let claims = part(json!({
            "exp": now.saturating_add(AFTER_SEC),
            "iat": now.saturating_sub(BEFORE_SEC),
            "iss": app.to_string(),
        }));
        let signed = format!("{head}.{claims}");
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| KeyError::Broken)?;
        Ok(Secret::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }

    /// A key that is the same whenever it is made of this one for this purpose: RS256 signs a text always alike.
    pub(super) fn derived(&self, purpose: &str) -> Result<Secret, KeyError> {
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), purpose.as_bytes(), &mut signature)
            .map_err(|_| KeyError::Broken)?;
        Ok(Secret::from(URL_SAFE_NO_PAD.encode(digest(&SHA256, &signature))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PKCS1: &str = include_str!("../../../tests/testdata/github-app.pem");
    const PKCS8: &str = include_str!("../../../tests/testdata/github-app.pkcs8.pem");
    /// Made by `openssl dgst -sha256 -sign`, of the same claims.
    const SIGNED: &str = include_str!("../../../tests/testdata/github-app.jwt");

    fn statement(pem: &str) -> String {
        let app = NonZeroU64::new(12_345).unwrap();
        let key = AppKey::from_pem(pem).unwrap();
        key.statement(app, 1_700_000_000).unwrap().expose().to_owned()
    }

    #[test]
    fn the_statement_is_what_openssl_signs_whatever_the_form_of_the_key() {
        assert_eq!(statement(PKCS1), SIGNED.trim());
        assert_eq!(statement(PKCS8), SIGNED.trim());
        assert_eq!(statement(&PKCS1.replace('\n', "\\n")), SIGNED.trim());
    }

    #[test]
    fn a_key_that_cannot_be_used_is_told_apart_by_what_to_do() {
        let error = |pem: &str| AppKey::from_pem(pem).unwrap_err();
        assert_eq!(error("ghp_token"), KeyError::NotPem);
        assert_eq!(error(&PKCS1[..400]), KeyError::NotPem);
        assert_eq!(error(&PKCS1.replace("RSA PRIVATE", "EC PRIVATE")), KeyError::OtherKind);
        assert_eq!(error(&PKCS8.replace("PRIVATE", "ENCRYPTED PRIVATE")), KeyError::OtherKind);
        let lines: Vec<_> = PKCS1.lines().collect();
        let short = [&lines[..3], &lines[lines.len() - 1..]].concat().join("\n");
        assert_eq!(error(&short), KeyError::Broken);
    }

    #[test]
    fn a_derived_key_is_the_same_for_a_purpose_and_another_for_each() {
        let of = |pem, purpose| AppKey::from_pem(pem).unwrap().derived(purpose).unwrap();
        assert_eq!(of(PKCS1, "a"), of(PKCS8, "a"));
        assert_ne!(of(PKCS1, "a"), of(PKCS1, "b"));
        assert_eq!(of(PKCS1, "a").expose().len(), 43, "256 bits");
    }

    #[test]
    fn a_key_shows_nothing_of_itself() {
        let text = format!("{:?}", AppKey::from_pem(PKCS1).unwrap());
        let body: String = PKCS1.lines().skip(10).take(2).collect();
        assert!(!text.contains(&body[..20]) && text.len() < 2_000, "{text}");
    }
}
