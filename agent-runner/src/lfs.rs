//! Files in Git LFS: what stands for them in a commit, and a folder of ours for their content.
//!
//! Invariant: content in the folder has been hashed on its way in, by us or by git-lfs, so that it is
//! what its name says.

mod pointer;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::{AttrCheckFlags, IndexEntry, IndexTime, Oid, Repository};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use nix::sys::stat::Mode;
use ring::digest::{Context, SHA256};

pub(crate) use self::pointer::{ObjectId, POINTER_MAX, Pointer};

use crate::git::init_lfs;
use crate::user::ownership::{folder_flags, open_folder};

/// How much is read at a time, in bytes.
const PIECE: usize = 1 << 20;

/// The content of files in Git LFS, in a git directory of ours.
#[derive(Clone, Debug)]
pub(crate) struct LfsStore {
    git_dir: PathBuf,
    /// What the remote had when the work began.
    on_remote: Arc<BTreeSet<Pointer>>,
}

impl LfsStore {
    /// An empty one within a folder of ours; the remote has what these pointers stand for.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn create(within: &Path, on_remote: BTreeSet<Pointer>) -> io::Result<Self> {
        let git_dir = within.join("lfs.git");
        init_lfs(&git_dir).map_err(io::Error::other)?;
        Ok(Self { git_dir, on_remote: Arc::new(on_remote) })
    }

    /// The git directory.
    pub(crate) fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Whether the remote had the content, in the length that the pointer says, when the work began.
    pub(crate) fn is_on_remote(&self, pointer: &Pointer) -> bool {
        self.on_remote.contains(pointer)
    }

    /// Where the content of an object is, or would be.
    pub(crate) fn object(&self, id: &ObjectId) -> PathBuf {
        self.git_dir.join(id.place())
    }

    /// Whether the content is here, in the length that the pointer says.
    pub(crate) fn has(&self, pointer: &Pointer) -> bool {
        self.object(&pointer.id)
            .metadata()
            .is_ok_and(|data| data.is_file() && data.len() == pointer.size)
    }

    /// Takes a copy of a file's content.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(crate) fn add(&self, content: impl Read) -> io::Result<Pointer> {
        let mut copy = tempfile::NamedTempFile::new_in(&self.git_dir)?;
        let pointer = hash(content, copy.as_file_mut())?;
        let place = self.object(&pointer.id);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        copy.persist(place).map_err(|error| error.error)?;
        Ok(pointer)
    }
}

/// The pointer to a file's content.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn pointer_to(content: impl Read) -> io::Result<Pointer> {
    hash(content, &mut io::sink())
}

/// Whether the attributes of the work tree have this path in Git LFS.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn is_in_lfs(repository: &Repository, path: &Path) -> Result<bool, git2::Error> {
    let filter = repository.get_attr_bytes(path, "filter", AttrCheckFlags::FILE_THEN_INDEX)?;
    Ok(filter == Some(b"lfs"))
}

/// A path of an index, with what is told of the file there: while that is unchanged, it is not read again.
pub(crate) fn index_entry(path: &Path, pointer: Oid, about: &fs::Metadata) -> IndexEntry {
    // The index has the lower 32 bits of each.
    let time = |seconds: i64, nanoseconds: i64| IndexTime::new(seconds as i32, nanoseconds as u32);
    IndexEntry {
        ctime: time(about.ctime(), about.ctime_nsec()),
        mtime: time(about.mtime(), about.mtime_nsec()),
        dev: 0,
        ino: about.ino() as u32,
        mode: if about.mode() & 0o100 == 0 { 0o100_644 } else { 0o100_755 },
        uid: about.uid(),
        gid: about.gid(),
        file_size: about.len() as u32,
        id: pointer,
        flags: 0,
        flags_extended: 0,
        path: path.as_os_str().as_bytes().to_vec(),
    }
}

/// Opens a file, and nothing that a link leads to or that may never answer.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = O_NOFOLLOW | O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other(format!("{} is no ordinary file", path.display()))),
    }
}

/// What is in a place of a tree, opened without following any link.
#[derive(Debug)]
pub(crate) enum InTree {
    /// An ordinary file.
    File(File),
    /// A link.
    Link,
    /// Nothing that git keeps there, or something beyond a link.
    Nothing,
}

/// Opens what is in a place of a tree. No link is followed, not even one in the place of a folder: what
/// lies beyond it is not in that place for git.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn open_in(tree: &Path, path: &Path) -> io::Result<InTree> {
    let folders = path.parent().into_iter().flat_map(Path::components);
    let mut folder = open_folder(tree)?;
    for name in folders {
        folder = match openat(&folder, name.as_os_str(), folder_flags(), Mode::empty()) {
            Ok(below) => below,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(InTree::Nothing),
            Err(error) => return Err(error.into()),
        };
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    match openat(&folder, path.file_name().unwrap_or_default(), flags, Mode::empty()) {
        Ok(opened) => {
            let file = File::from(opened);
            Ok(if file.metadata()?.is_file() { InTree::File(file) } else { InTree::Nothing })
        }
        Err(Errno::ELOOP) => Ok(InTree::Link),
        // The last one is a socket.
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ENXIO) => Ok(InTree::Nothing),
        Err(error) => Err(error.into()),
    }
}

fn hash(mut content: impl Read, copy: &mut impl Write) -> io::Result<Pointer> {
    let (mut context, mut size) = (Context::new(&SHA256), 0);
    let mut piece = vec![0; PIECE];
    loop {
        let length = content.read(&mut piece)?;
        if length == 0 {
            return Ok(Pointer { id: ObjectId::of(&context.finish()), size });
        }
        context.update(&piece[..length]);
        copy.write_all(&piece[..length])?;
        size += length as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_under_the_hash_of_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let store = LfsStore::create(folder.path(), BTreeSet::new()).unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "hello\n").unwrap();
        let pointer = store.add(open(&file).unwrap()).unwrap();
        assert_eq!(pointer, pointer_to(open(&file).unwrap()).unwrap());
        assert!(store.has(&pointer));
        let hash = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        assert_eq!(pointer.id.to_string(), hash);
        let place = format!("lfs.git/lfs/objects/58/91/{hash}");
        assert_eq!(fs::read(folder.path().join(place)).unwrap(), b"hello\n");
        assert!(!store.has(&Pointer { size: 7, ..pointer }));
    }

    #[test]
    fn what_is_no_ordinary_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (link, pipe) = (folder.path().join("link"), folder.path().join("pipe"));
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        for path in [&link, &pipe] {
            open(path).unwrap_err();
        }
    }

    #[test]
    fn in_a_tree_no_link_is_followed_and_what_is_no_file_is_nothing() {
        let (tree, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let place = |name: &str| tree.path().join(name);
        fs::write(outside.path().join("file"), "outside").unwrap();
        fs::create_dir_all(place("a/b")).unwrap();
        fs::write(place("a/b/file"), "inside").unwrap();
        std::os::unix::fs::symlink(outside.path(), place("a/out")).unwrap();
        std::os::unix::fs::symlink("b/file", place("a/link")).unwrap();
        nix::unistd::mkfifo(&place("pipe"), Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(place("socket")).unwrap();
        let found = |path: &str| open_in(tree.path(), Path::new(path)).unwrap();
        assert!(matches!(found("a/b/file"), InTree::File(_)));
        assert!(matches!(found("a/link"), InTree::Link));
        for path in ["a/out/file", "a/link/file", "a/b", "pipe", "socket", "no/such", "none"] {
            assert!(matches!(found(path), InTree::Nothing), "{path}");
        }
    }
}
