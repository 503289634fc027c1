//! One file out of a container, whether it runs or has ended.
//!
//! The engine hands it out as an archive, of which whoever was root in the container chose the content:
//! no more of it is read than a file of the allowed size needs, and nothing but a plain file is taken.

use std::time::Duration;

use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use futures_util::TryStreamExt;

use super::{ContainerRef, Engine, EngineError, found};

/// How long the engine may take for a file.
const LIMIT: Duration = Duration::from_secs(20);

/// An archive is made of blocks of this size: a header each, and the content (`tar(5)`).
const BLOCK: usize = 512;

/// Room for headers before and after the content.
const ENVELOPE: usize = 64 << 10;

/// Where a header has the size of the content, as an octal number, and the kind of the entry.
const SIZE_AT: std::ops::Range<usize> = 124..136;
const KIND_AT: usize = 156;

/// What is found at a path of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// A file, with its content.
    File(Vec<u8>),
    /// Nothing, or no such container.
    Absent,
    /// A file of more than the allowed size.
    TooLarge,
    /// A folder, a link, a device.
    NoFile,
    /// What the engine sent is no archive, or ends too early.
    Broken,
}

impl Engine {
    /// A file of at most `most` bytes.
    pub(crate) async fn file(
        &self,
        name: &ContainerRef,
        path: &str,
        most: usize,
    ) -> Result<Fetched, EngineError> {
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let docker = self.docker().await?;
        let read = async {
            let mut pieces = Box::pin(docker.download_from_container(&name.0, Some(options)));
            let mut archive = Vec::new();
            while let Some(piece) = pieces.try_next().await? {
                archive.extend_from_slice(&piece);
                if archive.len() > most.saturating_add(ENVELOPE) {
                    break;
                }
            }
            Ok(archive)
        };
        let archive = found(self.call(LIMIT, "fetch a file of container", &name.0, read).await)?;
        Ok(archive.map_or(Fetched::Absent, |archive| first_entry(&archive, most)))
    }
}

/// The first entry of an archive that is not about another one.
fn first_entry(archive: &[u8], most: usize) -> Fetched {
    let mut rest = archive;
    loop {
        let Some((header, content)) = rest.split_at_checked(BLOCK) else { return Fetched::Broken };
        let Some(size) = octal(&header[SIZE_AT]) else { return Fetched::Broken };
        match header[KIND_AT] {
            // Long names and attributes of the entry that follows.
            b'x' | b'g' | b'L' | b'K' => {
                let blocks = size.checked_next_multiple_of(BLOCK);
                match blocks.and_then(|length| content.get(length..)) {
                    Some(next) => rest = next,
                    None => return Fetched::Broken,
                }
            }
            b'0' | 0 if size > most => return Fetched::TooLarge,
            b'0' | 0 => {
                let content = content.get(..size).map(<[u8]>::to_vec);
                return content.map_or(Fetched::Broken, Fetched::File);
            }
            _ => return Fetched::NoFile,
        }
    }
}

/// An octal number that ends with a space, a zero byte or the field. One beyond 8 GiB is written in
/// another way, and as good as any that is too large.
fn octal(field: &[u8]) -> Option<usize> {
    if field.first().is_some_and(|first| first & 0x80 != 0) {
        return Some(usize::MAX);
    }
    let text = std::str::from_utf8(field).ok()?;
    usize::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(kind: u8, size: usize, content: &[u8]) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        block[SIZE_AT].copy_from_slice(format!("{size:011o}\0").as_bytes());
        block[KIND_AT] = kind;
        block.extend_from_slice(content);
        block.resize(block.len().next_multiple_of(BLOCK), 0);
        block
    }

    #[test]
    fn a_file_is_found_behind_what_is_said_about_it() {
        let archive = [entry(b'x', 9, b"9 a=bcde\n"), entry(b'0', 5, b"hello")].concat();
        assert_eq!(first_entry(&archive, 5), Fetched::File(b"hello".to_vec()));
        assert_eq!(first_entry(&archive, 4), Fetched::TooLarge);
    }

    #[test]
    fn what_is_no_plain_file_is_not_taken() {
        for kind in [b'1', b'2', b'3', b'4', b'5', b'6', b'7', b'S'] {
            assert_eq!(first_entry(&entry(kind, 0, b""), 9), Fetched::NoFile, "{}", kind as char);
        }
    }

    #[test]
    fn an_archive_that_says_more_than_it_has_is_broken() {
        assert_eq!(first_entry(b"", 9), Fetched::Broken);
        assert_eq!(first_entry(&entry(b'0', 600, b"short"), 1_000), Fetched::Broken);
        assert_eq!(first_entry(&entry(b'x', usize::MAX >> 40, b""), 9), Fetched::Broken);
        let mut huge = entry(b'0', 0, b"");
        huge[SIZE_AT.start] = 0x80;
        assert_eq!(first_entry(&huge, 9), Fetched::TooLarge);
    }

    proptest! {
        #[test]
        fn no_archive_gives_more_than_is_allowed(archive in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            if let Fetched::File(content) = first_entry(&archive, 100) {
                prop_assert!(content.len() <= 100);
            }
        }
    }
}
