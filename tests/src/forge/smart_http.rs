//! Git over HTTP: checks the token, then lets `git http-backend` (CGI) answer.
//!
//! Invariants: packs are streamed both ways, never held in memory; every
//! process is owned by a tracked task that waits for it, and is killed at
//! shutdown or after a deadline.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::future::{Either, select};
use futures_util::{StreamExt, TryStreamExt};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio_util::io::{ReaderStream, StreamReader};
use tokio_util::sync::CancellationToken;

use super::auth::{Credentials, judge_git};
use super::{Forge, RepoName, git, lfs};

/// What a client without credentials is told to use.
pub(super) const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"test forge\"");

/// The longest that one transfer may take.
const DEADLINE: Duration = Duration::from_secs(600);
/// How much of a process's standard error is kept for the log, in bytes.
const STDERR_KEPT: u64 = 16 * 1024;
/// The CGI header is a few lines; more means the process is not a CGI program.
const HEADER_LINES: usize = 32;

/// The endpoints of the smart protocol; the older file-by-file one is not served.
const ENDPOINTS: [&str; 3] = ["info/refs", "git-upload-pack", "git-receive-pack"];

/// Answers what no other route took.
pub(super) async fn serve(State(forge): State<Arc<Forge>>, request: Request) -> Response {
    if let Some((repo, endpoint)) = lfs::target(request.uri().path()) {
        return lfs::serve(&forge, &repo, endpoint, request).await;
    }
    let Some((repo, endpoint)) = target(request.uri().path()) else {
        return (StatusCode::NOT_FOUND, "Not Found\n").into_response();
    };
    let expected = if endpoint == "info/refs" { Method::GET } else { Method::POST };
    if request.method() != expected {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    match judge_git(request.headers(), |token| forge.accepts(token, Some(&repo))) {
        Credentials::Accepted if forge.kind.takes_git_user(request.headers()) => {}
        Credentials::Accepted => return challenge("The token goes with another user name.\n"),
        Credentials::Missing => return challenge("Authentication required.\n"),
        Credentials::Wrong => return challenge("Invalid username or token.\n"),
    }
    if forge.repos.find(&repo).is_none() {
        return (StatusCode::NOT_FOUND, "Repository not found.\n").into_response();
    }
    match run_backend(&forge, &repo, endpoint, request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, repo = %repo, endpoint, "git http-backend gave no answer");
            (StatusCode::INTERNAL_SERVER_ERROR, "git http-backend gave no answer\n").into_response()
        }
    }
}

/// `/owner/name[.git]/endpoint`, taken apart.
fn target(path: &str) -> Option<(RepoName, &'static str)> {
    let path = path.strip_prefix('/')?;
    let (repo, endpoint) = ENDPOINTS
        .into_iter()
        .find_map(|endpoint| Some((path.strip_suffix(endpoint)?.strip_suffix('/')?, endpoint)))?;
    let repo = repo.strip_suffix(".git").unwrap_or(repo);
    Some((repo.parse().ok()?, endpoint))
}

pub(super) fn challenge(text: &'static str) -> Response {
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, CHALLENGE)], text).into_response()
}

async fn run_backend(
    forge: &Forge,
    repo: &RepoName,
    endpoint: &str,
    request: Request,
) -> io::Result<Response> {
    let (head, body) = request.into_parts();
    let mut command = Command::new(&forge.backend);
    git::isolate(&mut command)
        .env("GIT_PROJECT_ROOT", forge.repos.folder())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{repo}.git/{endpoint}"))
        .env("REQUEST_METHOD", head.method.as_str())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("REMOTE_USER", "token")
        .current_dir(Path::new("/"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    pass_headers(&mut command, &head.headers);

    let mut child = command.spawn()?;
    let missing = || io::Error::other("a pipe of the process is missing");
    let stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let transfer = Transfer { child, stdin, stderr, body };
    forge.children.spawn(transfer.run(forge.cancel.clone()));

    let mut stdout = BufReader::new(stdout);
    let mut response = read_cgi_header(&mut stdout).await?;
    let stop = forge.cancel.clone().cancelled_owned();
    *response.body_mut() = Body::from_stream(ReaderStream::new(stdout).take_until(stop));
    Ok(response)
}

fn pass_headers(command: &mut Command, headers: &HeaderMap) {
    let passed = [
        (CONTENT_TYPE, "CONTENT_TYPE"),
        (CONTENT_LENGTH, "CONTENT_LENGTH"),
        (CONTENT_ENCODING, "HTTP_CONTENT_ENCODING"),
        (HeaderName::from_static("git-protocol"), "GIT_PROTOCOL"),
    ];
    for (header, variable) in passed {
        match headers.get(header).and_then(|value| value.to_str().ok()) {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
    }
}

/// One process with its input; its output is the response's body.
struct Transfer {
    child: Child,
    stdin: ChildStdin,
    stderr: ChildStderr,
    body: Body,
}

impl Transfer {
    /// Feeds the process, waits for it, and kills it if it must not go on.
    async fn run(self, cancel: CancellationToken) {
        let Self { mut child, stdin, stderr, body } = self;
        let outcome = tokio::select! {
            ended = feed_and_wait(&mut child, stdin, stderr, body) => ended,
            () = cancel.cancelled() => Err(io::Error::other("the forge is shutting down")),
            () = tokio::time::sleep(DEADLINE) => Err(io::ErrorKind::TimedOut.into()),
        };
        match outcome {
            Ok((status, _)) if status.success() => {}
            Ok((status, message)) => tracing::warn!(%status, message, "git http-backend failed"),
            Err(error) => {
                tracing::warn!(%error, "git http-backend is killed");
                if let Err(error) = child.kill().await {
                    tracing::warn!(%error, "git http-backend could not be killed");
                }
            }
        }
    }
}

/// The end of the process ends the feeding: it may answer without reading all.
async fn feed_and_wait(
    child: &mut Child,
    stdin: ChildStdin,
    stderr: ChildStderr,
    body: Body,
) -> io::Result<(ExitStatus, String)> {
    let feeding = std::pin::pin!(feed(stdin, body));
    let ending = std::pin::pin!(async {
        let (status, message) = tokio::join!(child.wait(), read_stderr(stderr));
        Ok::<_, io::Error>((status?, message?))
    });
    match select(ending, feeding).await {
        Either::Left((ended, _)) => ended,
        Either::Right(((), ending)) => ending.await,
    }
}

async fn feed(mut stdin: ChildStdin, body: Body) {
    let mut body = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    if let Err(error) = tokio::io::copy(&mut body, &mut stdin).await {
        tracing::debug!(%error, "git http-backend did not take the whole request");
    }
}

async fn read_stderr(mut stderr: ChildStderr) -> io::Result<String> {
    let mut kept = Vec::new();
    (&mut stderr).take(STDERR_KEPT).read_to_end(&mut kept).await?;
    tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&kept).trim().to_owned())
}

/// Reads up to the empty line; `Status:` is the status, the rest are headers.
async fn read_cgi_header(stdout: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Response> {
    let mut response = Response::new(Body::empty());
    for _ in 0..HEADER_LINES {
        let mut line = String::new();
        if stdout.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(response);
        }
        apply_cgi_line(&mut response, line)
            .ok_or_else(|| io::Error::other(format!("not a CGI header: {line:?}")))?;
    }
    Err(io::Error::other("the CGI header does not end"))
}

fn apply_cgi_line(response: &mut Response, line: &str) -> Option<()> {
    let (name, value) = line.split_once(':')?;
    let value = value.trim();
    if name.eq_ignore_ascii_case("status") {
        let code = value.split(' ').next()?.parse::<u16>().ok()?;
        *response.status_mut() = StatusCode::from_u16(code).ok()?;
    } else {
        let name = HeaderName::try_from(name).ok()?;
        response.headers_mut().insert(name, HeaderValue::try_from(value).ok()?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_smart_http_paths_inside_the_root_are_served() {
        let name = |path| target(path).map(|(repo, endpoint)| format!("{repo} {endpoint}"));
        assert_eq!(name("/a/b.git/info/refs").as_deref(), Some("a/b info/refs"));
        assert_eq!(name("/a/b/git-upload-pack").as_deref(), Some("a/b git-upload-pack"));
        assert_eq!(name("/a/b/c.git/info/refs").as_deref(), Some("a/b/c info/refs"));
        for other in ["/a/b.git/HEAD", "/a/../info/refs", "/a/b.git/objects/info/packs", "/a"] {
            assert_eq!(name(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_cgi_header_becomes_status_and_headers() {
        let mut text = &b"Status: 404 Not Found\r\nExpires: never\r\n\r\nbody"[..];
        let response = read_cgi_header(&mut text).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()["expires"], "never");
        assert_eq!(text, b"body");
        assert!(read_cgi_header(&mut &b"no header"[..]).await.is_err());
    }
}
