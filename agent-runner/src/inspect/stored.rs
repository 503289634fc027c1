//! Files in Git LFS: what is looked through is their content, not the pointer that is committed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::outgoing::Blob;
use super::{Inspection, Suspect, secret};
use crate::lfs::Pointer;

/// How much is looked through at a time, in bytes.
const PIECE: usize = 8 << 20;
/// How much of a piece is looked through with the next one again, in bytes: no key is longer.
const OVERLAP: usize = 64 << 10;

impl Inspection<'_> {
    /// Where the content is that this one stands for.
    pub(super) fn stored(&self, content: &[u8]) -> Option<PathBuf> {
        let store = self.policy.lfs.as_ref()?;
        let pointer = Pointer::parse(content)?;
        store.has(&pointer).then(|| store.object(&pointer.id))
    }

    /// The secrets in content of any size.
    pub(super) fn stored_file(
        &mut self,
        file: &Blob,
        object: &Path,
        search: secret::Search,
    ) -> Result<Vec<Suspect>, git2::Error> {
        let name = file.path.to_string_lossy();
        let mut found = BTreeSet::new();
        let looked = pieces(object, |text| {
            let text = secret::readable(text);
            let hits = secret::hits(&self.policy.known, Some(&name), &text, search);
            found.extend(hits.into_iter().map(|hit| (hit.what, text[hit.value].to_vec())));
        });
        looked.map_err(|error| git2::Error::from_str(&error.to_string()))?;
        if found.is_empty() {
            self.clean.insert((file.id, file.path.clone()));
        }
        let suspect = |(what, value)| Suspect { path: file.path.clone(), line: None, what, value };
        Ok(found.into_iter().map(suspect).collect())
    }
}

/// Shows a file piece by piece, each with the end of the one before it.
fn pieces(path: &Path, mut show: impl FnMut(&[u8])) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut text = Vec::new();
    loop {
        let kept = text.len();
        (&mut file).take((PIECE - kept) as u64).read_to_end(&mut text)?;
        if text.len() == kept {
            return Ok(());
        }
        show(&text);
        text.drain(..text.len().saturating_sub(OVERLAP));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_across_two_pieces_is_shown_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        let mut text = vec![b'x'; 3 * PIECE];
        for at in [PIECE - 3, 2 * PIECE - OVERLAP - 2, 3 * PIECE - 5] {
            text[at..at + 5].copy_from_slice(b"WORDS");
        }
        std::fs::write(&path, &text).unwrap();
        let mut seen = 0;
        pieces(&path, |piece| {
            assert!(piece.len() <= PIECE);
            seen += piece.windows(5).filter(|window| window == b"WORDS").count();
        })
        .unwrap();
        assert_eq!(seen, 3);
    }
}
