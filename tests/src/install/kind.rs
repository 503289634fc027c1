//! What differs between the two kinds of packages, as an operator types it. rpm is Debian's here, which knows
//! none of the packages that ours asks for: `--nodeps`. Its scriptlets run all the same.

/// A kind of package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Deb,
    Rpm,
}

impl Kind {
    /// Installs the one at this path.
    pub(super) fn install(self, path: &str) -> String {
        match self {
            Self::Deb => format!("dpkg -i {path}"),
            Self::Rpm => format!("rpm -i --nodeps {path}"),
        }
    }

    /// Puts the one at this path in the place of an older one, and keeps the settings.
    pub(super) fn upgrade(self, path: &str) -> String {
        match self {
            Self::Deb => format!("dpkg --force-confold -i {path}"),
            Self::Rpm => format!("rpm -U --nodeps {path}"),
        }
    }

    /// Takes it away with all that is ours.
    pub(super) const fn purge(self) -> &'static str {
        match self {
            Self::Deb => "dpkg --purge terarchitect-coordinator 2>&1",
            Self::Rpm => {
                "(/usr/share/terarchitect/purge && rpm -e --nodeps terarchitect-coordinator) 2>&1"
            }
        }
    }

    /// Prints the version that is installed.
    pub(super) const fn version(self) -> &'static str {
        match self {
            Self::Deb => "dpkg-query -W -f '${Version}' terarchitect-coordinator",
            Self::Rpm => "rpm -q --qf '%{VERSION}-%{RELEASE}' terarchitect-coordinator",
        }
    }

    /// Prints how much is installed, in KiB.
    pub(super) const fn size(self) -> &'static str {
        match self {
            Self::Deb => "dpkg-query -W -f '${Installed-Size}' terarchitect-coordinator",
            Self::Rpm => "echo $(($(rpm -q --qf '%{SIZE}' terarchitect-coordinator) / 1024))",
        }
    }
}
