//! Reading a bundle that a stranger may have made: into memory, bounded, the files by their names alone.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path};

use api_client::bundle::{
    BUNDLE_MAX_BYTES, BUNDLE_VERSION, MANIFEST, MEMBER_MAX_BYTES, OUTCOME, TRANSCRIPT,
};
use api_client::outcome::{OUTCOME_VERSION, OutcomeDocument};
use flate2::read::GzDecoder;
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use tar::{Archive, EntryType};

use super::page::plain;

/// Most entries of an archive. A bundle has less than ten.
const ENTRIES_MAX: usize = 100;

/// The files that are read. Others are for people.
const READ: [&str; 3] = [MANIFEST, OUTCOME, TRANSCRIPT];

/// What a replay needs of a bundle.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) manifest: Manifest,
    pub(super) outcome: Option<OutcomeDocument>,
    pub(super) transcript: Option<String>,
    /// The files that are not as they were when the bundle was made.
    pub(super) changed: Vec<&'static str>,
}

/// The part of a manifest that is of use here.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    version: u32,
    pub(super) job: String,
    pub(super) coordinator_version: String,
    #[serde(default)]
    pub(super) runner_version: Option<String>,
    #[serde(default)]
    pub(super) worker: Option<api_client::outcome::WorkerFacts>,
    #[serde(default)]
    members: Vec<Member>,
    #[serde(default)]
    pub(super) left_out: Vec<LeftOut>,
}

/// Something that is not in a bundle.
#[derive(Debug, Deserialize)]
pub(super) struct LeftOut {
    pub(super) name: String,
    pub(super) why: String,
}

#[derive(Debug, Deserialize)]
struct Member {
    name: String,
    sha256: String,
}

/// An archive is no bundle.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveError {
    #[error("it is no tar archive compressed by gzip, or ends too early (after {last})")]
    Broken {
        last: String,
        #[source]
        source: io::Error,
    },
    #[error("{name} in it is no plain file")]
    NoFile { name: String },
    #[error("{name} is in it twice")]
    Twice { name: String },
    #[error("{name} in it is larger than {} MiB", MEMBER_MAX_BYTES >> 20)]
    TooLarge { name: String },
    #[error("it has more than {ENTRIES_MAX} entries")]
    TooMany,
    #[error("{name} in it is no text")]
    NoText { name: &'static str },
    #[error("{name} is not in it")]
    Missing { name: &'static str },
    #[error("{name} in it cannot be read")]
    Malformed {
        name: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("{name} in it has version {version}; this agent-runner knows version {known}")]
    Version { name: &'static str, version: u32, known: u32 },
}

/// Reads what a replay needs, and nothing beyond the limits.
pub(super) fn read(bundle: impl Read) -> Result<Bundle, ArchiveError> {
    let most = BUNDLE_MAX_BYTES as u64;
    let files = files_in(GzDecoder::new(bundle.take(most)).take(most))?;
    let manifest: Manifest =
        json(MANIFEST, files.get(MANIFEST))?.ok_or(ArchiveError::Missing { name: MANIFEST })?;
    known(MANIFEST, manifest.version, BUNDLE_VERSION)?;
    let outcome: Option<OutcomeDocument> = json(OUTCOME, files.get(OUTCOME))?;
    if let Some(outcome) = &outcome {
        known(OUTCOME, outcome.version, OUTCOME_VERSION)?;
    }
    let changed = files.iter().filter(|(name, content)| {
        let member = manifest.members.iter().find(|member| member.name == **name);
        **name != MANIFEST && member.is_none_or(|member| member.sha256 != sha256(content))
    });
    let changed = changed.map(|(name, _)| *name).collect();
    let transcript = files.get(TRANSCRIPT).cloned().map(String::from_utf8).transpose();
    let transcript = transcript.map_err(|_| ArchiveError::NoText { name: TRANSCRIPT })?;
    Ok(Bundle { manifest, outcome, transcript, changed })
}

fn files_in(archive: impl Read) -> Result<BTreeMap<&'static str, Vec<u8>>, ArchiveError> {
    let mut files = BTreeMap::new();
    let mut last = "its beginning".to_owned();
    let broken = |last: &str, source| ArchiveError::Broken { last: last.to_owned(), source };
    let mut archive = Archive::new(archive);
    for (at, entry) in archive.entries().map_err(|error| broken(&last, error))?.enumerate() {
        if at >= ENTRIES_MAX {
            return Err(ArchiveError::TooMany);
        }
        let mut entry = entry.map_err(|error| broken(&last, error))?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        last = plain(&path);
        let Some(name) = name_of(Path::new(&path)) else { continue };
        if entry.header().entry_type() != EntryType::Regular {
            return Err(ArchiveError::NoFile { name: last });
        }
        if entry.size() > MEMBER_MAX_BYTES as u64 {
            return Err(ArchiveError::TooLarge { name: last });
        }
        let (size, mut content) = (entry.size(), Vec::new());
        entry.read_to_end(&mut content).map_err(|error| broken(&last, error))?;
        if content.len() as u64 != size {
            return Err(broken(&last, io::ErrorKind::UnexpectedEof.into()));
        }
        if files.insert(name, content).is_some() {
            return Err(ArchiveError::Twice { name: last });
        }
    }
    Ok(files)
}

/// The file that a path stands for: one of those that are read, at the top or in one folder.
fn name_of(path: &Path) -> Option<&'static str> {
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if !is_plain || path.components().count() > 2 {
        return None;
    }
    READ.into_iter().find(|name| path.file_name().is_some_and(|file| file == *name))
}

fn json<T: for<'de> Deserialize<'de>>(
    name: &'static str,
    content: Option<&Vec<u8>>,
) -> Result<Option<T>, ArchiveError> {
    let read = content.map(|content| serde_json::from_slice(content)).transpose();
    read.map_err(|source| ArchiveError::Malformed { name, source })
}

const fn known(name: &'static str, version: u32, known: u32) -> Result<(), ArchiveError> {
    if version == known { Ok(()) } else { Err(ArchiveError::Version { name, version, known }) }
}

fn sha256(content: &[u8]) -> String {
    let digest = digest(&SHA256, content);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::json;

    use super::*;

    /// A bundle with these files, and a manifest that has them as they are.
    pub(in super::super) fn bundle(files: &[(&str, &str)]) -> Vec<u8> {
        let members: Vec<_> = files
            .iter()
            .map(|(name, text)| json!({"name": name, "sha256": sha256(text.as_bytes())}))
            .collect();
        let manifest = json!({
            "version": 1, "job": "93863a0a-985e-474b-a6b2-40a89654e6bf", "members": members,
            "coordinator_version": "0.1.0",
        })
        .to_string();
        let mut all = vec![(MANIFEST, manifest.as_str())];
        all.extend_from_slice(files);
        packed(&all, EntryType::Regular)
    }

    fn packed(files: &[(&str, &str)], kind: EntryType) -> Vec<u8> {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o600);
            header.set_size(if kind == EntryType::Regular { text.len() as u64 } else { 0 });
            if kind != EntryType::Regular {
                header.set_link_name("/etc/passwd").unwrap();
            }
            let content = if kind == EntryType::Regular { text.as_bytes() } else { b"" };
            archive.append_data(&mut header, format!("bundle/{name}"), content).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    fn said(bytes: &[u8]) -> String {
        api_client::error_chain(&read(bytes).unwrap_err())
    }

    #[test]
    fn what_was_changed_after_a_bundle_was_made_is_named() {
        let whole = read(&*bundle(&[(TRANSCRIPT, "x\n"), ("log.txt", "y")])).unwrap();
        assert_eq!((whole.transcript.as_deref(), whole.changed.len()), (Some("x\n"), 0));
        let manifest = r#"{"version":1,"job":"j","coordinator_version":"0"}"#;
        let files = [(MANIFEST, manifest), (TRANSCRIPT, "x\n")];
        let other = read(&*packed(&files, EntryType::Regular)).unwrap();
        assert_eq!(other.changed, [TRANSCRIPT]);
    }

    #[test]
    fn a_bad_archive_is_one_clear_line() {
        assert!(said(b"no archive").contains("it is no tar archive compressed by gzip"));
        let noise: String =
            (0..40_000_u32).map(|n| char::from(b' ' + (n * n % 89) as u8)).collect();
        let whole = bundle(&[(TRANSCRIPT, &noise)]);
        let cut = said(&whole[..whole.len() - 200]);
        assert!(cut.contains("ends too early (after bundle/transcript.jsonl)"), "{cut}");
        let link = packed(&[(TRANSCRIPT, "")], EntryType::Symlink);
        assert_eq!(said(&link), "bundle/transcript.jsonl in it is no plain file");
        let twice = bundle(&[(TRANSCRIPT, ""), (TRANSCRIPT, "")]);
        assert_eq!(said(&twice), "bundle/transcript.jsonl is in it twice");
        let none = packed(&[("log.txt", "")], EntryType::Regular);
        assert_eq!(said(&none), "MANIFEST.json is not in it");
        let later = packed(
            &[(MANIFEST, r#"{"version":2,"job":"j","coordinator_version":"0"}"#)],
            EntryType::Regular,
        );
        assert!(said(&later).starts_with("MANIFEST.json in it has version 2"));
        assert!(said(&bundle(&[(OUTCOME, "[]")])).starts_with("outcome.json in it cannot be read"));
    }

    #[test]
    fn what_is_larger_than_any_bundle_is_not_read() {
        let zeros = "0".repeat(MEMBER_MAX_BYTES + 1);
        let large = said(&bundle(&[(TRANSCRIPT, &zeros)]));
        assert_eq!(large, "bundle/transcript.jsonl in it is larger than 24 MiB");
    }

    #[test]
    fn paths_are_names_and_lead_nowhere() {
        for path in ["../MANIFEST.json", "/MANIFEST.json", "a/b/MANIFEST.json", "a/other", "a/.."] {
            assert_eq!(name_of(Path::new(path)), None, "{path}");
        }
        assert_eq!(name_of(Path::new("a/MANIFEST.json")), Some(MANIFEST));
    }
}
