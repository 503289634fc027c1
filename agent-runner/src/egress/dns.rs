//! The name server: addresses of hosts that may be connected to, and of no others.
//!
//! Invariant: a name that is not allowed is asked of nobody, so that nothing can leave within a name.

mod message;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use self::message::{Code, Question};
use super::filter::{Denial, Filter};
use super::tasks::Tasks;

/// How many questions are worked on at once; a further one is answered with a failure.
const QUESTIONS_MAX: usize = 64;
/// How many connections there are at once; a further one is closed.
const CONNECTIONS_MAX: usize = 32;
/// How long a connection may wait for its next question.
const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// Longest question, in bytes: far more than the longest name with options.
const QUESTION_MAX: usize = 4_096;
/// How long we wait after a socket failed.
const PAUSE: Duration = Duration::from_millis(100);

/// The name server.
#[derive(Clone, Debug)]
pub(super) struct Names {
    filter: Arc<Filter>,
    tasks: Tasks,
    questions: Arc<Semaphore>,
}

impl Names {
    /// A name server that asks this filter; its work is owned by `tasks`.
    pub(super) fn new(filter: Arc<Filter>, tasks: Tasks) -> Self {
        Self { filter, tasks, questions: Arc::new(Semaphore::new(QUESTIONS_MAX)) }
    }

    /// Answers datagrams until it is cancelled.
    pub(super) async fn serve_udp(self, socket: UdpSocket) {
        let socket = Arc::new(socket);
        let mut buffer = vec![0; QUESTION_MAX];
        loop {
            let received = tokio::select! {
                () = self.tasks.cancelled() => return,
                received = socket.recv_from(&mut buffer) => received,
            };
            match received {
                Ok((length, from)) => self.take_datagram(&socket, &buffer[..length], from),
                Err(error) => {
                    tracing::warn!(%error, "the name server cannot take a question");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Answers connections until it is cancelled.
    pub(super) async fn serve_tcp(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let accepted = tokio::select! {
                () = self.tasks.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                    let names = self.clone();
                    self.tasks.own(async move {
                        names.converse(stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the name server cannot take a connection");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn take_datagram(&self, socket: &Arc<UdpSocket>, message: &[u8], from: SocketAddr) {
        let (names, socket, message) = (self.clone(), Arc::clone(socket), message.to_vec());
        let Ok(place) = Arc::clone(&self.questions).try_acquire_owned() else {
            tracing::debug!("more questions at once than the name server works on");
            return;
        };
        self.tasks.own(async move {
            if let Some(answer) = names.answer(&message).await
                && let Err(error) = socket.send_to(&answer, from).await
            {
                tracing::debug!(%error, "an answer of the name server was lost");
            }
            drop(place);
        });
    }

    /// One question after another, each with its length in front.
    async fn converse(&self, mut stream: TcpStream) {
        loop {
            let read = async {
                let length = usize::from(stream.read_u16().await.ok()?);
                let mut message = vec![0; length.min(QUESTION_MAX)];
                stream.read_exact(&mut message).await.ok()?;
                (length <= QUESTION_MAX).then_some(message)
            };
            let Ok(Some(message)) = timeout(IDLE_LIMIT, read).await else { return };
            let Some(answer) = self.answer(&message).await else { return };
            let Ok(length) = u16::try_from(answer.len()) else { return };
            let framed = [&length.to_be_bytes()[..], &answer].concat();
            let written = timeout(IDLE_LIMIT, stream.write_all(&framed)).await;
            if !matches!(written, Ok(Ok(()))) {
                return;
            }
        }
    }

    async fn answer(&self, message: &[u8]) -> Option<Vec<u8>> {
        let question = match Question::parse(message) {
            Ok(question) => question,
            Err(unusable) => return unusable.answer(),
        };
        let kind = question.kind;
        let name = match &question.name {
            Ok(name) => name,
            Err(text) => {
                self.filter.refused(&format!("DNS {kind} {text}"), &Denial::NotListed);
                return Some(question.code(Code::NoSuchName));
            }
        };
        let found = self.filter.resolve(&format!("DNS {kind} {name}"), name).await;
        Some(match found {
            Ok(addresses) => question.addresses(&addresses),
            // A refusal looks like a name that does not exist: resolvers take that for an answer, and
            // do not ask again and again.
            Err(denial) if denial.is_policy() => question.code(Code::NoSuchName),
            Err(denial) => {
                tracing::debug!(%name, error = api_client::error_chain(&denial), "not looked up");
                question.code(Code::Failed)
            }
        })
    }
}
