//! What becomes of pulls, with a scripted engine in the place of the real one: it says what a pull
//! makes it say, and goes on when it is told to.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;

/// What the engine does when it is asked for an image.
#[derive(Clone, Copy, Debug)]
enum Script {
    /// Says these lines, and that is all.
    Say(&'static [&'static str]),
    /// Says these lines and then nothing any more.
    SayAndHang(&'static [&'static str]),
    /// Says that it tries again, for ever.
    RetryForEver,
    /// Says this many times that some more came, each time after most of the patience.
    Trickle(u32),
}

struct ScriptedEngine {
    engine: Engine,
    pulls: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl ScriptedEngine {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("tcp://{}", listener.local_addr().unwrap());
        let pulls = Arc::new(AtomicUsize::new(0));
        let (counted, mut task) = (Arc::clone(&pulls), JoinSet::new());
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(stream, script, Arc::clone(&counted)));
            }
        });
        Self { engine: Engine::new(Some(&host)), pulls, _task: task }
    }

    fn pulls(&self) -> usize {
        self.pulls.load(Ordering::SeqCst)
    }
}

/// Long enough for a loopback connection on a busy machine.
const PATIENCE: Duration = Duration::from_millis(1_500);

const PULL: Pull<'_> = Pull { image: "r.example/agent", logins: None, patience: PATIENCE };

async fn answer(stream: TcpStream, script: Script, pulls: Arc<AtomicUsize>) {
    let (from, mut to) = stream.into_split();
    let mut lines = BufReader::new(from).lines();
    let mut request = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if request.is_empty() {
            request = line;
        } else if line.is_empty() {
            if request.contains("/images/create") {
                pulls.fetch_add(1, Ordering::SeqCst);
                pull(&mut to, script).await;
            } else {
                let body = r#"{"ApiVersion":"1.41","MinAPIVersion":"1.12","Version":"20.10"}"#;
                let answer =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                to.write_all(answer.as_bytes()).await.unwrap();
            }
            request.clear();
        }
    }
}

async fn pull(to: &mut (impl AsyncWriteExt + Unpin), script: Script) {
    to.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
    let mut say = async |line: &str| {
        let chunk = format!("{:x}\r\n{line}\n\r\n", line.len() + 1);
        to.write_all(chunk.as_bytes()).await
    };
    match script {
        Script::Say(lines) | Script::SayAndHang(lines) => {
            for line in lines {
                say(line).await.unwrap();
            }
            if matches!(script, Script::SayAndHang(_)) {
                pending::<()>().await;
            }
        }
        Script::RetryForEver => loop {
            tokio::time::sleep(PATIENCE / 10).await;
            if say(r#"{"status":"Retrying in 5 seconds","id":"a"}"#).await.is_err() {
                return;
            }
        },
        Script::Trickle(times) => {
            for current in 1..=times {
                tokio::time::sleep(PATIENCE / 2).await;
                let detail = format!(r#""progressDetail":{{"current":{current},"total":99}}"#);
                say(&format!(r#"{{"status":"Downloading",{detail},"id":"a"}}"#)).await.unwrap();
            }
        }
    }
    to.write_all(b"0\r\n\r\n").await.unwrap();
}

const DONE: Script = Script::Say(&[
    r#"{"status":"Pulling from team/agent","id":"latest"}"#,
    r#"{"status":"Pull complete","progressDetail":{},"id":"a"}"#,
]);

const REFUSED: Script =
    Script::Say(&[r#"{"errorDetail":{"message":"unauthorized"},"error":"unauthorized"}"#]);

const BEGUN: Script = Script::SayAndHang(&[
    r#"{"status":"Downloading","progressDetail":{"current":5,"total":9},"id":"a"}"#,
]);

#[tokio::test]
async fn all_who_want_an_image_at_once_share_one_pull() {
    let (scripted, pulls) = (ScriptedEngine::start(DONE).await, Pulls::default());
    let (one, other) =
        tokio::join!(pulls.pull(&scripted.engine, PULL), pulls.pull(&scripted.engine, PULL));
    assert_eq!((one, other), (Ok(()), Ok(())));
    assert_eq!(scripted.pulls(), 1);
    pulls.pull(&scripted.engine, Pull { image: "another", ..PULL }).await.unwrap();
    assert_eq!(scripted.pulls(), 2);
}

#[tokio::test]
async fn what_came_of_a_pull_counts_for_a_minute_or_until_the_image_is_there() {
    let scripted = ScriptedEngine::start(REFUSED).await;
    let pulls = Pulls::default();
    for _ in 0..3 {
        let problem = pulls.pull(&scripted.engine, PULL).await.unwrap_err();
        assert!(problem.contains("unauthorized"), "{problem}");
    }
    assert_eq!(scripted.pulls(), 1);
    pulls.forget(PULL.image);
    pulls.pull(&scripted.engine, PULL).await.unwrap_err();
    assert_eq!(scripted.pulls(), 2);
}

#[tokio::test]
async fn a_pull_without_progress_is_given_up() {
    for script in [BEGUN, Script::RetryForEver] {
        let scripted = ScriptedEngine::start(script).await;
        let pulled = Pulls::default().pull(&scripted.engine, PULL).await;
        let problem = pulled.unwrap_err();
        assert!(problem.contains("no progress for 1.5 s"), "{script:?}: {problem}");
    }
}

#[tokio::test]
async fn a_pull_may_take_many_times_its_patience_while_it_makes_progress() {
    let scripted = ScriptedEngine::start(Script::Trickle(5)).await;
    let begun = Instant::now();
    Pulls::default().pull(&scripted.engine, PULL).await.unwrap();
    assert!(begun.elapsed() > 2 * PATIENCE);
}

#[tokio::test]
async fn logins_that_cannot_be_read_are_told_where_the_pull_fails() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), "{").unwrap();
    let pull = Pull { logins: Some(dir.path()), ..PULL };
    let scripted = ScriptedEngine::start(DONE).await;
    Pulls::default().pull(&scripted.engine, pull).await.unwrap();
    let refused = Engine::new(Some("tcp://127.0.0.1:9"));
    let problem = Pulls::default().pull(&refused, pull).await.unwrap_err();
    assert!(problem.contains("no login") && problem.contains("config.json"), "{problem}");
}
