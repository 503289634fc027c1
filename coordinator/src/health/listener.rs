//! Where the health server listens.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::config::HealthListen;

/// Mode of the socket: for the coordinator's user and group.
const SOCKET_MODE: u32 = 0o660;

/// A listener. A socket is removed when it is dropped.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, PathBuf),
}

/// A client's connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Nobody can be answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListenError {
    #[error("cannot listen on {address}")]
    Address {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("cannot listen at {}", path.display())]
    Socket {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is there and is no socket: name another path, or remove it", path.display())]
    NoSocket { path: PathBuf },
    #[error("someone answers at {} already: each coordinator needs its own", path.display())]
    Taken { path: PathBuf },
}

impl Listener {
    pub(super) async fn open(at: &HealthListen) -> Result<Self, ListenError> {
        match at {
            HealthListen::Address(address) => {
                let address = *address;
                let refused = |source| ListenError::Address { address, source };
                let listener = TcpListener::bind(address).await.map_err(refused)?;
                let bound = listener.local_addr().map_err(refused)?;
                Ok(Self::Tcp(listener, bound))
            }
            HealthListen::Socket(path) => {
                Self::look_whether_free(path).await?;
                let listener = bind(path)
                    .map_err(|source| ListenError::Socket { path: path.clone(), source })?;
                Ok(Self::Unix(listener, path.clone()))
            }
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(listener, _) => Stream::Tcp(listener.accept().await?.0),
            Self::Unix(listener, _) => Stream::Unix(listener.accept().await?.0),
        })
    }

    /// One that a coordinator which is gone has left may be replaced, and nothing else.
    async fn look_whether_free(path: &Path) -> Result<(), ListenError> {
        let Ok(there) = fs::symlink_metadata(path) else { return Ok(()) };
        let path = path.to_owned();
        if !there.file_type().is_socket() {
            return Err(ListenError::NoSocket { path });
        }
        match UnixStream::connect(&path).await {
            Ok(_) => Err(ListenError::Taken { path }),
            Err(_) => Ok(()),
        }
    }
}

/// It gets its mode before anyone can find it.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let mut hidden = path.as_os_str().to_owned();
    hidden.push(format!(".{}", std::process::id()));
    let hidden = PathBuf::from(hidden);
    match fs::remove_file(&hidden) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&hidden)?;
    fs::set_permissions(&hidden, Permissions::from_mode(SOCKET_MODE))?;
    fs::rename(&hidden, path)?;
    Ok(listener)
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(_, address) => write!(f, "http://{address}"),
            Self::Unix(_, path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // The next start replaces one that is left.
            let _removed = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn open(path: &Path) -> Result<Listener, ListenError> {
        Listener::open(&HealthListen::Socket(path.to_owned())).await
    }

    #[tokio::test]
    async fn a_socket_that_was_left_is_replaced_and_one_in_use_or_a_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("health.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = open(&path).await.unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, SOCKET_MODE);
        assert!(matches!(open(&path).await, Err(ListenError::Taken { .. })));
        drop(listener);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
        fs::write(&path, "a file").unwrap();
        assert!(matches!(open(&path).await, Err(ListenError::NoSocket { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    }
}
