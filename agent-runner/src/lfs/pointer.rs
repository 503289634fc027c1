//! The text that stands for a file in Git LFS, as its specification has it
//! (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).

use std::fmt;

/// The longest text that is a pointer, in bytes; less than this by the specification.
pub(crate) const POINTER_MAX: usize = 1024;

const VERSION: &str = "version https://git-lfs.github.com/spec/v1";

/// The SHA-256 of a file's content, as 64 lowercase hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ObjectId(String);

/// What stands for a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pointer {
    /// Its content.
    pub(crate) id: ObjectId,
    /// Its length, in bytes.
    pub(crate) size: u64,
}

impl ObjectId {
    /// Of a hash that was computed.
    pub(super) fn of(digest: &ring::digest::Digest) -> Self {
        Self(digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn parse(text: &str) -> Option<Self> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(hex)).then(|| Self(text.to_owned()))
    }

    /// The place of the object within a git directory.
    pub(crate) fn place(&self) -> String {
        format!("lfs/objects/{}/{}/{}", &self.0[..2], &self.0[2..4], self.0)
    }
}

impl Pointer {
    /// Reads a text; nothing where it is no pointer, or one with extensions, whose content is not the
    /// file's.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= POINTER_MAX {
            return None;
        }
        let mut lines = std::str::from_utf8(text).ok()?.lines();
        if lines.next()? != VERSION {
            return None;
        }
        let id = ObjectId::parse(lines.next()?.strip_prefix("oid sha256:")?)?;
        let size = lines.next()?.strip_prefix("size ")?;
        let digits = size.bytes().all(|byte| byte.is_ascii_digit());
        let size = size.parse().ok().filter(|_| digits)?;
        lines.next().is_none().then_some(Self { id, size })
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}\noid sha256:{}\nsize {}\n", self.id, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

    #[test]
    fn a_pointer_is_written_as_it_is_read() {
        let text = format!("{VERSION}\noid sha256:{ID}\nsize 6\n");
        let pointer = Pointer::parse(text.as_bytes()).unwrap();
        assert_eq!((pointer.size, pointer.to_string()), (6, text));
    }

    #[test]
    fn what_only_resembles_a_pointer_is_none() {
        let upper = ID.to_uppercase();
        for text in [
            format!("oid sha256:{ID}\nsize 6\n"),
            format!("{VERSION}\noid sha256:{upper}\nsize 6\n"),
            format!("{VERSION}\noid sha256:../../{}\nsize 6\n", &ID[6..]),
            format!("{VERSION}\noid sha256:{ID}\nsize +6\n"),
            format!("{VERSION}\noid sha256:{ID}\nsize -6\n"),
            format!("{VERSION}\noid sha256:{ID}\n"),
            format!("{VERSION}\next-0-x sha256:{ID}\noid sha256:{ID}\nsize 6\n"),
            format!("{VERSION}\noid sha256:{ID}\nsize 6\na secret\n"),
            format!("{VERSION}\noid sha256:{ID}\nsize 6\n{}", "\n".repeat(1024)),
            String::new(),
        ] {
            assert_eq!(Pointer::parse(text.as_bytes()), None, "{text}");
        }
    }
}
