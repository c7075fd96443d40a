//! A watch from a revision of the past: what was written to some ranges since then.
//!
//! Never repeated and never resumed: whoever watches reads everything when it ends early. What a message says, and what
//! it does not prove, is the reader's business (`source::etcd_changes`).

use std::future::Future;
use std::time::Duration;

use etcd_client::{WatchOptions, WatchResponse, WatchStream};
use tokio::time::timeout;

use super::Connection;
use crate::connect::trouble::{self, Trouble, TroubleKind};

/// Several watches on one stream; all end with it.
pub struct Watching {
    stream: WatchStream,
    connection: Connection,
    /// The endpoint, without credentials.
    endpoint: String,
}

/// What came of waiting.
pub enum Watched {
    Message(WatchResponse),
    /// Nothing came in time.
    Silence,
}

impl Connection {
    /// Watches these ranges (from, up to; an empty end: that key alone) from `revision` on. Large revisions come in pieces
    /// where `pieces`.
    ///
    /// # Errors
    /// No answer, or a refusal of the call as a whole; a refusal of one watch is a message of it.
    pub async fn watch(&self, ranges: &[(Vec<u8>, Vec<u8>)], revision: i64, pieces: bool) -> Result<Watching, Trouble> {
        let limit = self.0.request_timeout;
        let current = self.current(limit).await?;
        let endpoint = current.endpoint;
        let options = |end: &Vec<u8>| {
            let options = WatchOptions::new().with_start_revision(revision);
            let options = if end.is_empty() { options } else { options.with_range(end.clone()) };
            if pieces { options.with_fragment() } else { options }
        };
        let Some(((first, end), others)) = ranges.split_first() else {
            return Err(self.0.trouble(TroubleKind::Other, &endpoint, "nothing to watch"));
        };
        let mut client = current.client.watch_client().max_decoding_message_size(self.0.largest_answer);
        let opening = client.watch(first.clone(), Some(options(end)));
        let stream = self.in_time(limit, &endpoint, opening).await?;
        let mut watching = Watching { stream, connection: self.clone(), endpoint };
        for (key, end) in others {
            let asked = watching.stream.watch(key.clone(), Some(options(end)));
            self.in_time(limit, &watching.endpoint, asked).await?;
        }
        Ok(watching)
    }

    async fn in_time<T>(
        &self,
        limit: Duration,
        endpoint: &str,
        call: impl Future<Output = Result<T, etcd_client::Error>>,
    ) -> Result<T, Trouble> {
        match timeout(limit, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.0.trouble(trouble::kind(&error), endpoint, &trouble::text(&error))),
            Err(_) => Err(self.0.no_answer(endpoint, limit)),
        }
    }
}

impl Watching {
    /// The next message, if it comes within `patience`.
    ///
    /// # Errors
    /// The stream's end, whatever ended it.
    pub async fn next(&mut self, patience: Duration) -> Result<Watched, Trouble> {
        let Ok(came) = timeout(patience, self.stream.message()).await else { return Ok(Watched::Silence) };
        let inner = &self.connection.0;
        match came {
            Ok(Some(message)) => Ok(Watched::Message(message)),
            Ok(None) => Err(inner.trouble(TroubleKind::Other, &self.endpoint, "the watch ended")),
            Err(error) => Err(inner.trouble(trouble::kind(&error), &self.endpoint, &trouble::text(&error))),
        }
    }

    /// Asks how far the watches are; a message answers, or none.
    ///
    /// # Errors
    /// The stream's end.
    pub async fn ask_progress(&mut self) -> Result<(), Trouble> {
        let inner = &self.connection.0;
        let asked = self.stream.request_progress();
        self.connection.in_time(inner.request_timeout, &self.endpoint, asked).await
    }
}
