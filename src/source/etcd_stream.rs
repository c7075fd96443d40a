//! A prefix in chunks (etcd 3.7's RangeStream), and what of it may be believed.
//!
//! Header and count come with the last message alone: whatever ended without them was cut off. Keys must ascend, since a
//! range that is chunked by another order loses some. The count is that of the whole range, so it tells whether all came.
//! A stream that broke goes on behind its last key: the revision is the same, wherever it is read.

use etcd_client::{GetOptions, GetResponse, KeyValue};

use super::etcd_ranges::Span;
use crate::connect::etcd::{Connection, Pin, RangeStream};
use crate::connect::trouble::{Trouble, TroubleKind};

/// A span on its way.
pub(super) struct Streamed {
    stream: RangeStream,
    pin: Pin,
    progress: Progress,
}

/// What has come of a span.
struct Progress {
    span: Span,
    keys: i64,
    /// Empty as long as none has.
    last: Vec<u8>,
    /// The last message was seen.
    is_whole: bool,
}

/// What has arrived.
pub(super) enum Arrival {
    /// A page, the first or the only one of its span.
    Page(Span, Result<GetResponse, Trouble>),
    /// The endpoint cannot stream: the span is to be read in pages.
    CannotStream(Span),
    Chunk(Box<Streamed>, GetResponse),
    /// All of a span has come.
    End,
    /// The stream has ended before its end; what has not come is left.
    Broken(Span, Trouble),
}

/// Begins to stream a span.
pub(super) async fn begin(connection: Connection, span: Span, pin: Pin) -> Arrival {
    let options = GetOptions::new().with_range(span.end.clone()).with_revision(pin.revision);
    match connection.range_stream(&span.wanted.doing(), &span.start, &options).await {
        Ok(Some(stream)) => {
            let progress = Progress { span, keys: 0, last: Vec::new(), is_whole: false };
            let streamed = Streamed { stream, pin, progress };
            Box::new(streamed).next().await
        }
        Ok(None) => Arrival::CannotStream(span),
        Err(trouble) => Arrival::Page(span, Err(trouble)),
    }
}

impl Streamed {
    /// Waits for the next chunk.
    pub(super) async fn next(mut self: Box<Self>) -> Arrival {
        match self.stream.next().await {
            Ok(Some(answer)) => match self.check(&answer) {
                Ok(()) => Arrival::Chunk(self, answer),
                Err(trouble) => Arrival::Page(self.progress.span, Err(trouble)),
            },
            // An error may follow the last message: only the end after it is one.
            Ok(None) if self.progress.is_whole => Arrival::End,
            Ok(None) => {
                let cut = self.stream.nonsense("the stream ended before its last message");
                Arrival::Broken(self.progress.rest(), Trouble { kind: TroubleKind::Retry, ..cut })
            }
            Err(trouble) if trouble.kind == TroubleKind::Unsupported => Arrival::CannotStream(self.progress.rest()),
            Err(trouble) => Arrival::Broken(self.progress.rest(), trouble),
        }
    }

    fn check(&mut self, answer: &GetResponse) -> Result<(), Trouble> {
        let end = answer.header().map(|_| answer.count());
        self.progress.take(answer.kvs().iter().map(KeyValue::key), end).map_err(|why| self.stream.nonsense(&why))?;
        match answer.header() {
            Some(header) => self.pin.check(header, &self.progress.span.wanted.doing()),
            None => Ok(()),
        }
    }
}

impl Progress {
    /// The keys of one message; `count`: what the last one says of the whole span.
    fn take<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]>, count: Option<i64>) -> Result<(), String> {
        for key in keys {
            let Progress { span, last, .. } = self;
            if key <= last.as_slice() || key < span.start.as_slice() || key >= span.end.as_slice() || self.is_whole {
                return Err("a key came out of its place in a stream".to_owned());
            }
            last.clear();
            last.extend_from_slice(key);
            self.keys += 1;
        }
        match count {
            Some(count) if count != self.keys => Err(format!("{} keys came in a stream of {count}", self.keys)),
            Some(_) => {
                self.is_whole = true;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What has not come.
    fn rest(self) -> Span {
        let Progress { mut span, last, .. } = self;
        if !last.is_empty() {
            span.start = last;
            span.start.push(0);
        }
        span
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::keys::HANDLES;
    use crate::source::etcd_ranges::{opening, wanted};

    fn handles() -> Progress {
        let span = opening(&wanted().find(|w| w.key == HANDLES).unwrap());
        Progress { span, keys: 0, last: Vec::new(), is_whole: false }
    }

    fn take(progress: &mut Progress, ids: &[&str], count: Option<i64>) -> Result<(), String> {
        let keys: Vec<String> = ids.iter().map(|id| format!("{HANDLES}{id}")).collect();
        progress.take(keys.iter().map(|key| key.as_bytes()), count)
    }

    #[test]
    fn a_stream_is_whole_when_its_last_message_counts_what_came() {
        let mut progress = handles();
        assert_eq!(take(&mut progress, &["a", "b"], None), Ok(()));
        assert_eq!(take(&mut progress, &[], None), Ok(()));
        assert!(!progress.is_whole);
        assert_eq!(take(&mut progress, &["c"], Some(3)), Ok(()));
        assert!(progress.is_whole);
        assert!(take(&mut progress, &["d"], None).is_err(), "something behind the end");
        let mut empty = handles();
        assert!(take(&mut empty, &[], Some(0)).is_ok() && empty.is_whole);
    }

    #[test]
    fn keys_that_are_lost_or_come_twice_are_noticed() {
        for (ids, count) in [(&["a", "c"][..], 3), (&["a"], 0), (&["a", "a"], 2), (&["b", "a"], 2), (&["a", ""], 2)] {
            let mut progress = handles();
            assert!(take(&mut progress, ids, Some(count)).is_err() && !progress.is_whole, "{ids:?}");
        }
        assert!(handles().take(std::iter::once(&b"/calico/ipam/v2/handlf"[..]), None).is_err(), "behind the range");
    }

    #[test]
    fn a_broken_stream_goes_on_behind_its_last_key() {
        assert_eq!(handles().rest(), handles().span);
        let mut progress = handles();
        take(&mut progress, &["a", "b"], None).unwrap();
        let rest = progress.rest();
        assert_eq!(rest.start, format!("{HANDLES}b\0").into_bytes());
        assert_eq!(rest.end, handles().span.end);
    }
}
