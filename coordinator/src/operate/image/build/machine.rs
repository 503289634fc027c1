//! The kind of processor that agent-runner is for, which must be that of the engine.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::ImageBuildError;

/// The kinds of processor: as a program's header (`elf(5)`) and as the engine says it.
const MACHINES: [(u16, &str); 7] = [
    (3, "386"),
    (21, "ppc64le"),
    (22, "s390x"),
    (40, "arm"),
    (62, "amd64"),
    (183, "arm64"),
    (243, "riscv64"),
];

/// The kind of processor that a program is for; none for one that is no program of Linux.
pub(super) fn machine(path: &Path) -> Result<Option<u16>, ImageBuildError> {
    let mut header = [0; 20];
    let read = File::open(path).and_then(|file| {
        let mut begin = Vec::new();
        file.take(header.len() as u64).read_to_end(&mut begin)?;
        Ok(begin)
    });
    let read =
        read.map_err(|source| ImageBuildError::NoRunner { path: path.to_owned(), source })?;
    if read.len() < header.len() || !read.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    header.copy_from_slice(&read);
    let number = [header[18], header[19]];
    // The sixth byte tells in which order numbers are written.
    Ok(Some(if header[5] == 2 { u16::from_be_bytes(number) } else { u16::from_le_bytes(number) }))
}

pub(super) fn fits(
    path: &Path,
    machine: Option<u16>,
    engine: String,
) -> Result<(), ImageBuildError> {
    let path = path.to_owned();
    let Some(machine) = machine else {
        let found = "no program of Linux".to_owned();
        return Err(ImageBuildError::OtherMachine { path, found, engine });
    };
    let name = MACHINES.iter().find(|(number, _)| *number == machine).map(|(_, name)| *name);
    match name {
        Some(name) if name != engine && MACHINES.iter().any(|(_, known)| *known == engine) => {
            let found = format!("a program for {name}");
            Err(ImageBuildError::OtherMachine { path, found, engine })
        }
        // What we do not know, the second build shows.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_program_for_another_kind_of_processor_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (script, link) = (dir.path().join("script"), dir.path().join("link"));
        fs::write(&script, "#!/bin/sh\nexec something else\n").unwrap();
        symlink(std::env::current_exe().unwrap(), &link).unwrap();
        assert_eq!(machine(&script).unwrap(), None);
        let ours = machine(&link).unwrap();
        let here = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
        fits(&link, ours, here.to_owned()).unwrap();
        fits(&link, ours, "one that we do not know".to_owned()).unwrap();
        let error = fits(&link, ours, "s390x".to_owned()).unwrap_err().to_string();
        assert!(error.contains(&format!("a program for {here}")), "{error}");
        assert!(fits(&script, None, here.to_owned()).is_err());
        assert!(matches!(machine(&dir.path().join("no")), Err(ImageBuildError::NoRunner { .. })));
    }
}
