//! The archive: one folder of plain files that their owner alone may read.

use std::io;

use api_client::JobId;
use flate2::Compression;
use flate2::write::GzEncoder;
use ring::digest::{SHA256, digest};
use tar::{Builder, EntryType, Header};

/// One file of an archive.
#[derive(Debug)]
pub(super) struct Member<'m> {
    pub(super) name: &'m str,
    pub(super) content: &'m [u8],
}

/// What a bundle of a job is called, without an ending.
pub(crate) fn name_of(job: JobId) -> String {
    format!("terarchitect-bundle-{job}")
}

/// The archive of these files, made at an instant in seconds since 1970.
pub(super) fn pack(job: JobId, made_at: u64, members: &[Member<'_>]) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for Member { name, content } in members {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_mtime(made_at);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, format!("{}/{name}", name_of(job)), *content)?;
    }
    archive.into_inner()?.finish()
}

/// The digest of a content, in hexadecimal digits.
pub(super) fn sha256(content: &[u8]) -> String {
    digest(&SHA256, content).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
