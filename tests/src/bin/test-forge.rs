//! `test-forge`: the test forge as a program, for demonstrations and for tests
//! whose parts run in several processes.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "what it tells its caller")]

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use integration_tests::forge::{
    ForgeKind, ForgeOptions, RepoName, RepoSource, RepoStore, TestForge, Token,
};
use integration_tests::server::{chain, stop_signal, write_port_file};
use url::Url;

/// A git forge for tests: git over HTTP and pull requests, on one machine.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the repositories and pull requests under a folder until SIGINT or SIGTERM.
    Serve(Serve),
    /// Add a repository, also while the forge runs.
    RepoAdd(RepoAdd),
}

#[derive(Debug, Args)]
struct Serve {
    /// Where repositories and pull requests are kept; made when absent.
    #[arg(long)]
    root: PathBuf,
    /// Where to listen; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Which forge it is taken for.
    #[arg(long, default_value = "github")]
    kind: ForgeKind,
    #[command(flatten)]
    token: TokenSource,
    /// Write the port here once it listens.
    #[arg(long)]
    port_file: Option<PathBuf>,
    /// The base of the URLs in answers, when clients use another than the listening address.
    #[arg(long)]
    external_url: Option<Url>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct TokenSource {
    /// The token that clients must present; every process can see it here.
    #[arg(long)]
    token: Option<String>,
    /// A file with the token, to keep it out of the process list.
    #[arg(long)]
    token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct RepoAdd {
    /// Where repositories and pull requests are kept.
    #[arg(long)]
    root: PathBuf,
    /// The repository's name, as owner/name.
    repo: RepoName,
    /// A local repository to copy branches and tags from; empty when absent.
    #[arg(long)]
    from: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let outcome = match Cli::parse().command {
        Command::Serve(args) => serve(args).await,
        Command::RepoAdd(args) => repo_add(&args).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("test-forge: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Serve) -> Result<(), Box<dyn Error>> {
    let Serve { root, listen, kind, token, port_file, external_url } = args;
    let token = token.read()?;
    let forge =
        TestForge::start(ForgeOptions { root, listen, kind, token, app: None, external_url })
            .await?;
    println!("test-forge listening on {}", forge.url());
    if let Some(path) = port_file {
        write_port_file(&path, forge.address().port())?;
    }
    stop_signal().await?;
    Ok(forge.shutdown().await?)
}

async fn repo_add(args: &RepoAdd) -> Result<(), Box<dyn Error>> {
    let store = RepoStore::open(&args.root)?;
    let source =
        args.from.as_deref().map_or(RepoSource::Empty, |from: &Path| RepoSource::From(from));
    let path = store.create(&args.repo, source).await?;
    println!("added {} in {}", args.repo, path.display());
    Ok(())
}

impl TokenSource {
    fn read(self) -> Result<Token, Box<dyn Error>> {
        let text = match (self.token, self.token_file) {
            (Some(token), _) => token,
            (None, Some(path)) => std::fs::read_to_string(&path)
                .map_err(|error| format!("cannot read --token-file {}: {error}", path.display()))?,
            (None, None) => String::new(),
        };
        Ok(Token::new(text.trim())?)
    }
}
