//! A GitHub App: who it is, where it is installed, and the tokens that it was given.
//!
//! Invariant: a token is good for the repositories it was asked for, until its end, and for nothing
//! else.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;
use uuid::Uuid;

use super::RepoName;
use super::api_error::ApiError;
use super::timestamp::unix_seconds;

/// The furthest end of a statement, in seconds from now.
const STATEMENT_MAX: u64 = 600;

/// GitHub's words for a statement of another time.
const EXP: &str = "'Expiration time' claim ('exp') must be a numeric value representing the future \
                   time at which the assertion expires";
const EXP_TOO_FAR: &str = "'Expiration time' claim ('exp') is too far in the future";
const IAT: &str = "'Issued at' claim ('iat') must be an Integer representing the time that the \
                   assertion was issued";
const UNREADABLE: &str = "A JSON web token could not be decoded";

/// An App, as a forge is told of it.
#[derive(Clone)]
pub struct ForgeApp {
    /// Its id.
    pub id: u64,
    /// Its public key: PKCS#1, as DER.
    pub public_key: Vec<u8>,
    /// The repositories on which it is installed. Each owner is one installation.
    pub installed_on: Vec<RepoName>,
    /// How long its tokens are good for; an hour on GitHub.
    pub token_life: Duration,
    /// The first tokens that it is given, in this order; those after them are random.
    pub first_tokens: Vec<String>,
}

/// The public key is no PEM text.
#[derive(Debug, thiserror::Error)]
#[error("the App's public key must be a PEM text that begins with -----BEGIN RSA PUBLIC KEY-----")]
pub struct NoPublicKey;

impl ForgeApp {
    /// An App with this public key, which is given as PEM (PKCS#1).
    pub fn new(
        id: u64,
        public_pem: &str,
        installed_on: Vec<RepoName>,
        token_life: Duration,
    ) -> Result<Self, NoPublicKey> {
        let body: String = public_pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let public_key = STANDARD.decode(body.trim()).map_err(|_| NoPublicKey)?;
        Ok(Self { id, public_key, installed_on, token_life, first_tokens: Vec::new() })
    }

    /// The id of the installation on a repository's owner.
    pub(super) fn installation(&self, repo: &RepoName) -> Option<u64> {
        let installed = self.installed_on.iter().any(|one| one == repo);
        installed.then(|| self.installation_of_owner(repo.owner()))?
    }

    /// The repositories of an installation.
    pub(super) fn repositories(&self, installation: u64) -> Vec<&RepoName> {
        let all = self.installed_on.iter();
        all.filter(|repo| self.installation_of_owner(repo.owner()) == Some(installation)).collect()
    }

    fn installation_of_owner(&self, owner: &str) -> Option<u64> {
        let at = self.installed_on.iter().position(|one| one.owner() == owner)?;
        u64::try_from(at).ok()?.checked_add(1)
    }

    /// Whether a request is the App's own: by a statement that it has signed.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let given = headers.get(AUTHORIZATION).ok_or(ApiError::RequiresAuthentication)?;
        let given = given.to_str().ok().and_then(|given| given.strip_prefix("Bearer "));
        let claims = given.and_then(|statement| self.claims(statement));
        let claims = claims.ok_or(ApiError::BadStatement(UNREADABLE))?;
        let now = unix_seconds();
        if claims["iat"].as_u64().is_none_or(|iat| iat > now) {
            return Err(ApiError::BadStatement(IAT));
        }
        match claims["exp"].as_u64() {
            Some(exp) if exp > now + STATEMENT_MAX => Err(ApiError::BadStatement(EXP_TOO_FAR)),
            Some(exp) if exp > now => Ok(()),
            _ => Err(ApiError::BadStatement(EXP)),
        }
    }

    /// The claims of a statement that this App has signed.
    fn claims(&self, statement: &str) -> Option<Value> {
        let (signed, signature) = statement.rsplit_once('.')?;
        let (head, claims) = signed.split_once('.')?;
        let part = |text: &str| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
        };
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key);
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        key.verify(signed.as_bytes(), &signature).ok()?;
        let claims = part(claims)?;
        let ours =
            part(head)?["alg"] == "RS256" && claims["iss"].as_str() == Some(&self.id.to_string());
        ours.then_some(claims)
    }
}

impl fmt::Debug for ForgeApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForgeApp").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A token that the App was given.
#[derive(Clone)]
struct Issued {
    token: String,
    repos: Vec<RepoName>,
    end: Instant,
}

/// The tokens that the App was given.
#[derive(Default)]
pub(super) struct IssuedTokens(Mutex<Vec<Issued>>);

impl IssuedTokens {
    /// One more for this App.
    pub(super) fn issue(&self, app: &ForgeApp, repos: Vec<RepoName>) -> String {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let random = || format!("ghs_{}", Uuid::new_v4().simple());
        let token = app.first_tokens.get(all.len()).cloned().unwrap_or_else(random);
        all.push(Issued { token: token.clone(), repos, end: Instant::now() + app.token_life });
        token
    }

    /// Whether a token is good now, for this repository where one is asked about.
    pub(super) fn accepts(&self, token: &str, repo: Option<&RepoName>) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().any(|issued| {
            let good_for = repo.is_none_or(|repo| issued.repos.contains(repo));
            issued.token == token && issued.end > Instant::now() && good_for
        })
    }

    /// All of them, oldest first.
    pub(super) fn all(&self) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|issued| issued.token.clone()).collect()
    }
}

impl fmt::Debug for IssuedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IssuedTokens(…)")
    }
}
