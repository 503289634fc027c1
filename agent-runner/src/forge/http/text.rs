//! Logs: plain text, of which the end counts.
//!
//! Invariant: where the forge sends us elsewhere for it, the token does not come along.

use reqwest::header::{ACCEPT, AUTHORIZATION, LOCATION};
use url::Url;

use api_client::http::describe;

use super::{ApiClient, ForgeError, answer, authorization};

/// The most of a log that is read, in bytes; of a longer one the end of this part counts.
const READ_MAX: usize = 64 << 20;

impl ApiClient {
    /// Reads a text, at most so many bytes of its end; nothing where the forge has it no more.
    ///
    /// # Errors
    /// As every request. It is not repeated: a run does well without.
    pub(in crate::forge) async fn get_end_of_text(
        &self,
        attempted: &'static str,
        url: Url,
        most: usize,
    ) -> Result<Option<String>, ForgeError> {
        let unreachable = |error| ForgeError::Unreachable { attempted, reason: describe(error) };
        let request = self.http.get(url.clone()).header(ACCEPT, "*/*");
        let request = request.header(AUTHORIZATION, authorization(&self.token.current())?);
        let mut response = request.send().await.map_err(unreachable)?;
        if response.status().is_redirection() {
            let target = response.headers().get(LOCATION).and_then(|target| target.to_str().ok());
            let Some(target) = target.and_then(|target| url.join(target).ok()) else {
                return Ok(None);
            };
            response =
                self.http.get(target).header(ACCEPT, "*/*").send().await.map_err(unreachable)?;
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let (mut end, mut read) = (Vec::new(), 0);
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            read += piece.len();
            end.extend_from_slice(&piece);
            let beyond = end.len().saturating_sub(most);
            end.drain(..beyond);
            if read > READ_MAX {
                break;
            }
        }
        match status.is_success() {
            true => Ok(Some(String::from_utf8_lossy(&end).into_owned())),
            false => match answer::read(attempted, status, &headers, &end) {
                Ok(_) | Err(ForgeError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            },
        }
    }
}
