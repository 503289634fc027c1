//! The name `host.docker.internal`: containers reach the Docker host by it, and the original's
//! configuration uses it for the app. On a Linux host itself it mostly means nothing.

use std::net::ToSocketAddrs;

use url::Url;

/// The name by which a container reaches the Docker host.
pub(crate) const HOST_ALIAS: &str = "host.docker.internal";

/// What the alias means on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AliasHere {
    /// It resolves, as inside a container or with an entry in `/etc/hosts`.
    Resolves,
    /// It does not, so it can only mean this host.
    ThisHost,
}

impl AliasHere {
    /// Looks the name up; waits for the resolver.
    pub(crate) fn look_up() -> Self {
        match (HOST_ALIAS, 0).to_socket_addrs() {
            Ok(_) => Self::Resolves,
            Err(_) => Self::ThisHost,
        }
    }

    /// The URL by which a URL with the alias can be opened from this host; nothing when it can be
    /// opened as it is.
    pub(crate) fn rewrite(self, url: &Url) -> Option<Url> {
        if self == Self::Resolves || url.host_str() != Some(HOST_ALIAS) {
            return None;
        }
        let mut here = url.clone();
        here.set_host(Some("localhost")).ok()?;
        Some(here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_s_app_url_works_on_a_host_that_does_not_know_the_alias() {
        let url = Url::parse("http://host.docker.internal:5010/app").unwrap();
        let here = AliasHere::ThisHost.rewrite(&url).unwrap();
        assert_eq!(here.as_str(), "http://localhost:5010/app");
        assert_eq!(AliasHere::Resolves.rewrite(&url), None);
    }

    #[test]
    fn other_hosts_are_left_alone() {
        let url = Url::parse("https://app.example/x").unwrap();
        assert_eq!(AliasHere::ThisHost.rewrite(&url), None);
    }
}
