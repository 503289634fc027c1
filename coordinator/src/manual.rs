//! What the command line says of itself, for shells and for `man`: made from the table of arguments, so
//! that it cannot say anything else than `--help` does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;

const PROGRAM: &str = "coordinator";

/// Section of the pages: administration and daemons.
const SECTION: &str = "8";

/// A manual page could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManualError {
    #[error("cannot write the manual page {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot make the manual page")]
    Render(#[from] io::Error),
}

/// The completions for a shell, to be read by it.
pub(crate) fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(), PROGRAM, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The page of the program itself, in the language of `man`.
pub(crate) fn page() -> Result<String, ManualError> {
    let page = render(shown())?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Writes a page for the program and for each command into a folder, which is made where it is missing;
/// returns their paths.
pub(crate) fn write_pages(folder: &Path) -> Result<Vec<PathBuf>, ManualError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| ManualError::Write { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut program = shown();
    program.build();
    let mut written = Vec::new();
    let mut left = vec![program];
    while let Some(command) = left.pop() {
        left.extend(command.get_subcommands().cloned());
        let path = folder.join(man(command.clone()).get_filename());
        fs::write(&path, render(command)?).map_err(failed(&path))?;
        written.push(path);
    }
    written.sort();
    Ok(written)
}

/// The command line without what only the program itself starts.
fn shown() -> Command {
    let all = Cli::command().disable_help_subcommand(true);
    let commands = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let about = all.get_about().cloned().unwrap_or_default();
    let after = all.get_after_help().cloned().unwrap_or_default();
    Command::new(PROGRAM)
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .after_help(after)
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .subcommands(commands)
}

fn render(command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man(command).render(&mut page)?;
    Ok(page)
}

fn man(command: Command) -> Man {
    let source = concat!("coordinator ", env!("CARGO_PKG_VERSION"));
    Man::new(command).section(SECTION).source(source).manual("Terarchitect")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_and_what_is_hidden_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let pages = write_pages(folder.path()).unwrap();
        let names: Vec<_> =
            pages.iter().map(|path| path.file_name().unwrap().to_string_lossy()).collect();
        assert!(names.iter().any(|name| name == "coordinator.8"), "{names:?}");
        assert!(names.iter().any(|name| name == "coordinator-run.8"), "{names:?}");
        assert!(!names.iter().any(|name| name.contains("keep")), "{names:?}");
        let commands = Cli::command();
        let visible = commands.get_subcommands().filter(|command| !command.is_hide_set()).count();
        assert!(names.len() > visible, "{names:?}");
    }

    #[test]
    fn a_page_names_the_settings_and_their_variables() {
        let folder = tempfile::tempdir().unwrap();
        write_pages(folder.path()).unwrap();
        let run = fs::read_to_string(folder.path().join("coordinator-run.8")).unwrap();
        assert!(run.contains("TERARCHITECT_API_URL"), "{run}");
        let own = page().unwrap();
        assert!(own.contains("coordinator\\-drain") || own.contains("coordinator-drain"), "{own}");
    }

    #[test]
    fn completions_know_the_commands_and_not_the_hidden_ones() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(shell);
            assert!(script.contains("drain") && script.contains("max-concurrent"), "{shell}");
            assert!(!script.contains("confine"), "{shell}: {script}");
        }
    }
}
