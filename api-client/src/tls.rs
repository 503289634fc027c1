//! What TLS needs beyond the system's trust store: further roots, and a certificate of one's own.
//!
//! Invariant: both were read through and fit together when they were made, so that a wrong file is one line
//! at the start of a program and not an error of each request.

use std::fmt;

use reqwest::{Certificate, Identity};
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::Secret;

/// Largest PEM text that is taken, in bytes: some ten times the bundle of a system, and room for the rest
/// of a job document.
pub const PEM_MAX: usize = 2 << 20;

/// A text is not the PEM that it should be. The message is the end of a sentence that begins with the name
/// of the setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// There is nothing in it.
    #[error("holds no certificate (a block that begins with -----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// A certificate is damaged, or is none.
    #[error("holds a certificate, number {number}, that cannot be read ({problem})")]
    Certificate {
        /// Which one, from 1.
        number: usize,
        /// Why not.
        problem: String,
    },
    /// The file of a CA itself, or a client's certificate and key in one: the text is handed on to agents.
    #[error("holds a private key beside the certificates; name a file with the certificates alone")]
    PrivateKey,
    /// More than anybody means.
    #[error("holds more than {} MiB", PEM_MAX >> 20)]
    TooLong,
    /// No private key, or one with a password.
    #[error("holds no private key in PEM without a password (PKCS #8, PKCS #1 or SEC1)")]
    NoKey,
    /// The key is of another kind, or of another certificate.
    #[error("does not belong to the client certificate ({problem})")]
    Key {
        /// Why not.
        problem: String,
    },
}

/// Roots that are trusted beside the system's.
#[derive(Clone, PartialEq, Eq)]
pub struct ExtraRoots {
    pem: String,
    certificates: Vec<CertificateDer<'static>>,
}

/// A certificate by which a client shows who it is, with its key.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    certificate: String,
    key: Secret,
}

impl ExtraRoots {
    /// Reads a bundle: one or more certificates, and text between them that means nothing.
    ///
    /// # Errors
    /// When one of them cannot be used as a root, or there is none.
    pub fn from_pem(pem: &str) -> Result<Self, PemError> {
        let certificates = certificates(pem)?;
        let mut store = RootCertStore::empty();
        for (index, certificate) in certificates.iter().enumerate() {
            store.add(certificate.clone()).map_err(|error| damaged(index, &error))?;
        }
        Ok(Self { pem: pem.to_owned(), certificates })
    }

    /// The bundle as it was given.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Each of them, in DER.
    pub fn ders(&self) -> impl Iterator<Item = &[u8]> {
        self.certificates.iter().map(AsRef::as_ref)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.certificates.len()
    }

    pub(crate) fn for_http(&self) -> Result<Vec<Certificate>, reqwest::Error> {
        self.certificates.iter().map(|certificate| Certificate::from_der(certificate)).collect()
    }
}

impl ClientIdentity {
    /// Takes a chain of certificates, the client's own first, and the key of that one, both PEM. Certificates
    /// beside the key are left out: servers may refuse a chain that has them twice.
    ///
    /// # Errors
    /// [`PemError::NoKey`] and [`PemError::Key`] are about the key, the others about the certificates.
    pub fn new(certificate: &str, key: &Secret) -> Result<Self, PemError> {
        let chain = certificates(certificate)?;
        let key = key_block(key.expose()).ok_or(PemError::NoKey)?;
        let private = PrivateKeyDer::from_pem_slice(key.as_bytes());
        let private = private.map_err(|_| PemError::NoKey)?;
        CertifiedKey::from_der(chain, private, &default_provider())
            .map_err(|error| PemError::Key { problem: error.to_string() })?;
        Ok(Self { certificate: certificate.to_owned(), key: Secret::from(format!("{key}\n")) })
    }

    /// The chain of certificates, as it was given.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The key's block, without what else was in its text.
    #[must_use]
    pub fn key(&self) -> &Secret {
        &self.key
    }

    pub(crate) fn for_http(&self) -> Result<Identity, reqwest::Error> {
        let both = Secret::from(format!("{}\n{}", self.certificate, self.key.expose()));
        Identity::from_pem(both.expose().as_bytes())
    }
}

/// How many certificates there are in a PEM text.
///
/// # Errors
/// When there is none, or one cannot be read.
pub fn check_certificates(pem: &str) -> Result<usize, PemError> {
    certificates(pem).map(|certificates| certificates.len())
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, PemError> {
    if pem.len() > PEM_MAX {
        return Err(PemError::TooLong);
    }
    if pem.contains("PRIVATE KEY-----") {
        return Err(PemError::PrivateKey);
    }
    let all = CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate();
    let all: Vec<_> = all
        .map(|(index, one)| one.map_err(|error| damaged(index, &error)))
        .collect::<Result<_, _>>()?;
    // A block that is cut off is none.
    let begun = pem.matches("-----BEGIN CERTIFICATE-----").count();
    match all.len() {
        0 if begun == 0 => Err(PemError::NoCertificate),
        read if read < begun => Err(damaged(read, &"its block has no end")),
        _ => Ok(all),
    }
}

/// The first block with a private key, whole.
fn key_block(pem: &str) -> Option<&str> {
    const BEGIN: &str = "-----BEGIN ";
    pem.match_indices(BEGIN).find_map(|(at, _)| {
        let block = &pem[at..];
        let (label, _) = block[BEGIN.len()..].split_once("-----")?;
        let end = format!("-----END {label}-----");
        let end = label.ends_with("PRIVATE KEY").then(|| block.find(&end).map(|at| at + end.len()));
        Some(&block[..end.flatten()?])
    })
}

fn damaged(index: usize, problem: &dyn fmt::Display) -> PemError {
    PemError::Certificate { number: index + 1, problem: problem.to_string() }
}

impl fmt::Debug for ExtraRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtraRoots").field("count", &self.count()).finish()
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
