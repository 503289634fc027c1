#![doc = include_str!("../README.md")]

pub mod bundle;
pub mod container_probe;
pub mod contract;
pub mod http;
pub mod key_shape;
pub mod otlp;
pub mod outcome;
pub mod tls;
pub mod trace;
pub mod wire;

mod client;
mod error;
mod hosts;
mod http_date;
mod id;
mod retry;
mod review_authors;
mod secret;
mod utc;

pub use client::{AppSeen, CallObserver, Claim, WorkerApi, answers_as_app};
pub use error::{ApiError, Call, ClientError, error_chain};
pub use id::{ClaimId, InvalidId, JobId, MemoryId, ProjectId, TicketId};
pub use retry::{delays, retry};
pub use review_authors::{Association, InvalidReviewAuthors, ReviewAuthors};
pub use secret::{MIN_REDACTED_LEN, REDACTED, Redactor, Secret, StreamRedactor};
pub use utc::{InvalidTime, UtcTime};
