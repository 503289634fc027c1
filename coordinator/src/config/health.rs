//! Where health and metrics are told: on this host alone. They need no key, and they tell what runs here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::parse::{Allowed, path};

/// Where the coordinator is asked how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HealthListen {
    /// An address that only this host reaches.
    Address(SocketAddr),
    /// The path of a socket.
    Socket(PathBuf),
}

pub(super) fn health_listen(text: &str, home: Option<&Path>) -> Result<HealthListen, Allowed> {
    let allowed = || {
        "an address that only this host reaches, as 127.0.0.1:9464 or [::1]:9464, or unix:/path; \
         from elsewhere it is reached through a proxy or a tunnel of your own"
            .to_owned()
    };
    if let Some(socket) = text.strip_prefix("unix:") {
        if !socket.starts_with(['/', '~']) {
            return Err(allowed());
        }
        return path(socket, home).map(HealthListen::Socket);
    }
    let address: Option<SocketAddr> = text.parse().ok();
    let here = address.filter(|address| address.ip().is_loopback());
    here.map(HealthListen::Address).ok_or_else(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_host_can_ask() {
        let home = Some(Path::new("/home/u"));
        for good in ["127.0.0.1:9464", "[::1]:9464", "127.9.9.9:1", "127.0.0.1:0"] {
            assert!(matches!(health_listen(good, home), Ok(HealthListen::Address(_))), "{good}");
        }
        for (good, path) in [("unix:/run/a.sock", "/run/a.sock"), ("unix:~/a", "/home/u/a")] {
            assert_eq!(health_listen(good, home), Ok(HealthListen::Socket(path.into())));
        }
        let bad = ["0.0.0.0:9464", "[::]:9464", "10.0.0.1:9464", "localhost:9464", "9464", "unix:"];
        for bad in
            bad.into_iter().chain(["unix:a.sock", "127.0.0.1", "/run/a.sock", "http://127.0.0.1:1"])
        {
            assert!(health_listen(bad, home).is_err(), "{bad}");
        }
    }
}
