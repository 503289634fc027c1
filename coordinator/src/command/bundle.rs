//! `bundle`: an archive for a bug report.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::{FAILURE, Failure, complain, failure, operated, say, source};
use crate::bundle::{Bundle, Part, name_of};
use crate::cli::BundleArguments;
use crate::operate::{self, Made};
use crate::paper::size;

/// Version of what `--json` prints.
const VERSION: u32 = 1;

const WHAT_IT_HOLDS: &str = "It tells the repository, branches, commits and settings of the job";
const PIECES: &str = "the words of the worker and pieces of your code";

pub(crate) async fn bundle(arguments: &BundleArguments) -> Result<ExitCode, Failure> {
    let parts = [(arguments.no_log, Part::Log), (arguments.no_transcript, Part::Transcript)];
    let leave_out: Vec<_> = parts.into_iter().filter(|(no, _)| *no).map(|(_, part)| part).collect();
    let to_stdout = arguments.output.as_deref() == Some(Path::new("-"));
    if to_stdout && (arguments.json || io::stdout().is_terminal()) {
        let message = "--output -: an archive is for a file or a program, not for a terminal, and \
                       not beside --json";
        return Err(Failure { code: FAILURE, message: message.to_owned() });
    }
    let made = operate::bundle(source(&arguments.source), &arguments.job, leave_out).await;
    let Made { bundle, doubt } = made.map_err(|error| operated(&error))?;
    if let Some(doubt) = doubt {
        complain(&doubt);
    }
    let archive = bundle.archive().map_err(|error| failure(&error))?;
    if to_stdout {
        io::stdout().lock().write_all(&archive).map_err(|error| failure(&error))?;
        explain(&bundle, None, archive.len());
        return Ok(ExitCode::SUCCESS);
    }
    let default = || PathBuf::from(format!("{}.tar.gz", name_of(bundle.manifest.job)));
    let path = arguments.output.clone().unwrap_or_else(default);
    write(&path, &archive, arguments.force)?;
    if arguments.json {
        let (file, bytes) = (path.display().to_string(), archive.len());
        let told = json!({
            "version": VERSION, "file": file, "bytes": bytes, "manifest": bundle.manifest,
        });
        say(&told.to_string());
    } else {
        say(&path.display().to_string());
    }
    explain(&bundle, Some(&path), archive.len());
    Ok(ExitCode::SUCCESS)
}

/// Writes a file of our own alone, whole or not at all.
fn write(path: &Path, archive: &[u8], force: bool) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written = (|| {
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(archive)?;
        file.as_file().sync_all()?;
        match force {
            true => file.persist(path),
            false => file.persist_noclobber(path),
        }
        .map_err(|error| error.error)
    })();
    let message = match written {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            format!("{} is there already; --force replaces it", path.display())
        }
        Err(error) => format!("cannot write {}: {error}", path.display()),
    };
    Err(Failure { code: FAILURE, message })
}

/// Says what the archive holds, on standard error.
fn explain(bundle: &Bundle, path: Option<&Path>, bytes: usize) {
    let manifest = &bundle.manifest;
    for left_out in &manifest.left_out {
        complain(&format!("not in it: {}: {}", left_out.name, left_out.why));
    }
    let texts = ["transcript.jsonl", "log.txt"];
    let texts =
        texts.into_iter().filter(|name| manifest.members.iter().any(|member| member.name == *name));
    let texts: Vec<_> = texts.collect();
    let pieces = match texts.as_slice() {
        [] => String::new(),
        names => format!(", and holds {PIECES} ({})", names.join(", ")),
    };
    complain(&format!("{WHAT_IT_HOLDS}{pieces}"));
    let places = match manifest.redacted {
        1 => "1 place was redacted".to_owned(),
        places => format!("{places} places were redacted"),
    };
    let look = path.map_or_else(String::new, |path| format!(": tar -xzf {}", path.display()));
    complain(&format!("{}; {places}. Look at it before you send it{look}", size(bytes as u64)));
}
