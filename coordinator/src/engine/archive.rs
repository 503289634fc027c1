//! What a build is sent: files in the form of `tar(5)`, read while they are sent.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

/// An archive is made of blocks of this size.
const BLOCK: usize = 512;

/// A size is written with so many octal digits.
const SIZE_MAX: u64 = 0o777_7777_7777;

/// One file of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContextFile {
    /// Its path in the archive, of at most 100 bytes.
    pub(crate) name: &'static str,
    /// Its mode.
    pub(crate) mode: u32,
    /// What is in it.
    pub(crate) content: Content,
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// This.
    Text(String),
    /// What another file holds.
    Of(PathBuf),
}

impl ContextFile {
    /// A file that holds this text.
    pub(crate) const fn text(name: &'static str, text: String) -> Self {
        Self { name, mode: 0o644, content: Content::Text(text) }
    }

    /// A program that is a copy of another file.
    pub(crate) const fn program(name: &'static str, path: PathBuf) -> Self {
        Self { name, mode: 0o755, content: Content::Of(path) }
    }
}

/// The archive of these files, piece by piece.
pub(super) fn archive(
    files: Vec<ContextFile>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let end = stream::once(async { Ok(Bytes::from_static(&[0; 2 * BLOCK])) });
    stream::iter(files).then(entry).try_flatten().chain(end)
}

type Pieces = stream::BoxStream<'static, io::Result<Bytes>>;

async fn entry(file: ContextFile) -> io::Result<Pieces> {
    let (size, content): (u64, Pieces) = match &file.content {
        Content::Text(text) => {
            let bytes = Bytes::from(text.clone());
            (bytes.len() as u64, stream::once(async { Ok(bytes) }).boxed())
        }
        Content::Of(path) => {
            let open = File::open(path).await?;
            let size = open.metadata().await?.len();
            // No more than was announced, should it grow meanwhile.
            (size, ReaderStream::new(open.take(size)).boxed())
        }
    };
    if size > SIZE_MAX || file.name.len() > 100 {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    let header = Bytes::copy_from_slice(&header(file.name, file.mode, size));
    let rest = size.next_multiple_of(BLOCK as u64) - size;
    let padding = Bytes::from(vec![0; usize::try_from(rest).unwrap_or(0)]);
    let header = stream::once(async { Ok(header) });
    Ok(header.chain(content).chain(stream::once(async { Ok(padding) })).boxed())
}

/// A header in the "ustar" form, of a plain file of root's. Its time is 1970, so that the same content is
/// the same to whoever compares.
fn header(name: &str, mode: u32, size: u64) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, "00000000000");
    // The sum is taken with blanks in its own place.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar");
    put(263, "00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[tokio::test]
    async fn tar_reads_what_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("p");
        std::fs::write(&program, vec![b'x'; 100_000]).unwrap();
        let files = vec![
            ContextFile::text("Dockerfile", "FROM scratch\n".to_owned()),
            ContextFile::program("bin/agent-runner", program),
            ContextFile::text("empty", String::new()),
        ];
        let pieces: Vec<_> = archive(files).try_collect().await.unwrap();
        std::fs::write(dir.path().join("a.tar"), pieces.concat()).unwrap();
        let listed = Command::new("tar")
            .args(["--numeric-owner", "-tvf", "a.tar"])
            .current_dir(dir.path())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(listed.status.success());
        let listed = String::from_utf8(listed.stdout).unwrap();
        let lines: Vec<Vec<_>> =
            listed.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0][..3], ["-rw-r--r--", "0/0", "13"]);
        assert_eq!(lines[1][..3], ["-rwxr-xr-x", "0/0", "100000"]);
        assert_eq!(lines[1].last(), Some(&"bin/agent-runner"));
        assert_eq!(lines.len(), 3);
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_breaks_the_archive_off() {
        let files = vec![ContextFile::program("x", PathBuf::from("/nonexistent"))];
        assert!(archive(files).try_collect::<Vec<_>>().await.is_err());
    }
}
