//! etcd 3.7's RangeStream: a range at one revision in chunks of a megabyte or so. The server neither counts to the end
//! of the range for each of them nor holds more than one, and nor do we.
//!
//! Older members do not have it, nor has `etcd grpc-proxy` of any version. They say so at the call, or behind TLS, where
//! etcd answers through Go's HTTP server, in place of the first message. Which endpoint it was is remembered for each of
//! them: members can be of different versions. When a stream is to be believed is its
//! reader's to know.

use std::sync::PoisonError;

use etcd_client::{GetOptions, GetResponse, GetStreamResponse};
use tokio::time::timeout;

use super::Connection;
use crate::connect::trouble::{self, Trouble, TroubleKind};

/// A range that is being streamed.
pub struct RangeStream {
    connection: Connection,
    stream: GetStreamResponse,
    doing: String,
    endpoint: String,
    generation: u64,
}

impl Connection {
    /// Begins to stream a range; `doing` fits after "cannot". `None`: the endpoint in use cannot do it. Options that the
    /// server refuses (orders, filters by revision) have the same code and must not be set.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn range_stream(
        &self,
        doing: &str,
        start: &[u8],
        options: &GetOptions,
    ) -> Result<Option<RangeStream>, Trouble> {
        let state = self.0.state.lock().await;
        let shown = self.0.targets.get(state.at).map(|target| target.shown.as_str()).unwrap_or_default();
        let cannot = self.0.cannot_stream.lock().unwrap_or_else(PoisonError::into_inner).contains(shown);
        drop(state);
        if cannot {
            return Ok(None);
        }
        let begun = self.repeat(doing, |client| {
            let (mut kv, start, options) = (self.0.kv(&client), start.to_vec(), options.clone());
            async move { kv.get_stream(start, Some(options)).await }
        });
        match begun.await {
            Ok((stream, by)) => {
                let (connection, doing) = (self.clone(), doing.to_owned());
                Ok(Some(RangeStream { connection, stream, doing, endpoint: by.endpoint, generation: by.generation }))
            }
            Err(trouble) if trouble.kind == TroubleKind::Unsupported => {
                self.note_without_streams(&trouble);
                Ok(None)
            }
            Err(trouble) => Err(trouble),
        }
    }

    fn note_without_streams(&self, trouble: &Trouble) {
        let mut cannot = self.0.cannot_stream.lock().unwrap_or_else(PoisonError::into_inner);
        cannot.insert(trouble.error.at.clone());
    }
}

impl RangeStream {
    /// The next chunk; `None` at the end, and where a message held nothing.
    ///
    /// # Errors
    /// Whatever ends the stream before its end; [`TroubleKind::Unsupported`] where the endpoint has none. After one that
    /// is worth another try the connection is at the next endpoint.
    pub async fn next(&mut self) -> Result<Option<GetResponse>, Trouble> {
        let inner = &self.connection.0;
        let limit = inner.request_timeout;
        let trouble = match timeout(limit, self.stream.message()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => inner.trouble(trouble::kind(&error), &self.endpoint, &trouble::text(&error)),
            Err(_) => inner.no_answer(&self.endpoint, limit),
        };
        if trouble.kind == TroubleKind::Unsupported {
            self.connection.note_without_streams(&trouble);
        }
        self.connection.leave_after(&trouble, self.generation).await;
        Err(trouble.while_doing(&self.doing))
    }

    /// Trouble with what the server sent, not with the way to it.
    pub fn nonsense(&self, cause: &str) -> Trouble {
        let error = crate::error::Error::input(self.doing.as_str()).at(self.endpoint.as_str()).cause(cause.to_owned());
        Trouble::other(error)
    }
}
