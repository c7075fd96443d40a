//! What was written since a revision, learned by a watch, and when that is everything.
//!
//! A watch tells nothing by being silent, and its end is nobody's word (seen on 3.4.23 and 3.7.3):
//! - It is confirmed before it is held against the history; one from a compacted revision is cancelled then, with a
//!   header of revision 0 and no reason. One of a user without the right is cancelled too; no call fails.
//! - From a revision of the future it waits for ever: whoever confirms says how far the store is.
//! - "Everything up to R came" says a progress answer at R or beyond, of a server that answers in the order of the
//!   events: 3.4.25, 3.5.8 and later. They drop the question while a watch is behind, so it is asked again and again.
//! - An older one answers at once, whatever is still to come. There it is said by a message of events that is not full
//!   (it sends up to 1,000 revisions in one) and whose header is at R or beyond; so the watch begins at a write that is
//!   known to be there, on one range, in whole messages.

use std::collections::BTreeMap;
use std::time::Duration;

use etcd_client::WatchResponse;
use tokio::time::Instant;

use super::etcd_ranges::{prefix_end, wanted};
use crate::connect::etcd::{Connection, Pin, Stored, Watched};
use crate::connect::trouble::Trouble;
use crate::decode::keys;
use crate::model::Version;

/// What became of keys: written (its last state), or deleted.
pub type Fates = BTreeMap<Vec<u8>, Option<Stored>>;

/// What a watch told.
#[derive(Debug, Default)]
pub struct Story {
    /// What became of keys from the first revision watched to the one that was known: nothing new, in one life of etcd.
    pub known: Fates,
    /// And what since then.
    pub since: Fates,
    /// How many events there were, and how many bytes.
    pub events: u64,
    pub bytes: u64,
}

/// Why a watch did not tell.
#[derive(Debug)]
pub enum Unwatched {
    /// etcd has forgotten everything before this revision.
    Compacted(i64),
    /// Anything else, in words for people.
    Unclear(String),
}

impl From<Trouble> for Unwatched {
    fn from(trouble: Trouble) -> Unwatched {
        Unwatched::Unclear(crate::error::chain(&trouble.error))
    }
}

/// From which revision to which.
#[derive(Clone, Copy, Debug)]
pub struct WatchCourse {
    /// The first revision to be watched.
    pub from: i64,
    /// Everything up to here is known.
    pub known: i64,
    /// Everything up to here is wanted.
    pub to: Pin,
    /// Whether the server answers for its progress in the order of its events.
    pub in_order: bool,
}

/// How long a watch may say nothing; etcd looks at watches that are behind ten times a second. An older one that has no
/// event to tell never says that it is through.
const SILENCE: Duration = Duration::from_secs(2);
const OLDER_SILENCE: Duration = Duration::from_millis(500);
/// How long all of it may take: then reading everything is no more work.
const ALL: Duration = Duration::from_secs(30);
/// Between two questions for the progress.
const ASK: Duration = Duration::from_millis(20);
/// More than this is no difference any more.
const MOST_BYTES: u64 = 128 << 20;
/// So many revisions are in a message of a watch that is behind, unless it is the last one.
const FULL: usize = 1000;

/// Whether a server answers for its progress in the order of its events (etcd's issue 15220).
pub fn answers_in_order(version: &str) -> bool {
    Version::parse(version).is_some_and(|v| match (v.major, v.minor) {
        (3, 4) => v.patch >= 25,
        (3, 5) => v.patch >= 8,
        (major, minor) => (major, minor) > (3, 5),
    })
}

/// Watches everything that an audit reads.
///
/// # Errors
/// See [`Unwatched`]: whatever is not plain.
pub async fn watch(connection: &Connection, course: WatchCourse) -> Result<Story, Unwatched> {
    let ranges = if course.in_order { every_range() } else { one_range() };
    let mut watching = connection.watch(&ranges, course.from, course.in_order).await?;
    let began = Instant::now();
    let mut heard = began;
    let mut listener = Listener { course, unconfirmed: ranges.len(), story: Story::default() };
    loop {
        if listener.unconfirmed == 0 && course.in_order {
            watching.ask_progress().await?;
        }
        match watching.next(ASK).await? {
            Watched::Message(message) => {
                heard = Instant::now();
                if listener.hear(&message)? {
                    return Ok(listener.story);
                }
            }
            Watched::Silence => {}
        }
        let silence = if course.in_order { SILENCE } else { OLDER_SILENCE };
        if heard.elapsed() > silence || began.elapsed() > ALL {
            return Err(Unwatched::Unclear("a watch did not say in time that it told everything".to_owned()));
        }
    }
}

/// One for each right that a user may have.
fn every_range() -> Vec<(Vec<u8>, Vec<u8>)> {
    let range = |key: &str, prefix: bool| {
        (key.as_bytes().to_vec(), if prefix { prefix_end(key.as_bytes()) } else { Vec::new() })
    };
    wanted().map(|w| range(w.key, w.prefix)).collect()
}

/// Around all of them.
fn one_range() -> Vec<(Vec<u8>, Vec<u8>)> {
    let ranges = every_range();
    let end =
        |(key, end): &(Vec<u8>, Vec<u8>)| if end.is_empty() { [key.as_slice(), b"\0"].concat() } else { end.clone() };
    let first = ranges.iter().map(|(key, _)| key.clone()).min().unwrap_or_default();
    let last = ranges.iter().map(end).max().unwrap_or_default();
    vec![(first, last)]
}

struct Listener {
    course: WatchCourse,
    /// Watches that are not confirmed yet.
    unconfirmed: usize,
    story: Story,
}

impl Listener {
    /// Takes a message; whether it was the last that is wanted.
    fn hear(&mut self, message: &WatchResponse) -> Result<bool, Unwatched> {
        let unclear = |text: String| Err(Unwatched::Unclear(text));
        let WatchCourse { known, to, in_order, .. } = self.course;
        if message.compact_revision() > 0 {
            return Err(Unwatched::Compacted(message.compact_revision()));
        }
        if message.canceled() {
            return unclear(format!("a watch was refused: {}", message.cancel_reason()));
        }
        let Some(header) = message.header().filter(|header| header.revision() > 0) else {
            return unclear("a watch answered without a revision".to_owned());
        };
        if header.cluster_id() != to.cluster_id {
            return unclear("another cluster answered a watch".to_owned());
        }
        if header.revision() < known {
            return unclear("etcd's revision went back".to_owned());
        }
        if message.created() {
            self.unconfirmed = self.unconfirmed.saturating_sub(1);
            return Ok(false);
        }
        let reached = header.revision() >= to.revision;
        if message.events().is_empty() {
            // Of an older server, a progress answer says nothing.
            return Ok(in_order && self.unconfirmed == 0 && reached);
        }
        let revisions = self.take(message)?;
        if self.story.bytes > MOST_BYTES {
            return unclear("more was written since than is worth telling one by one".to_owned());
        }
        Ok(!in_order && reached && revisions < FULL)
    }

    /// Takes the events; of how many revisions they are.
    fn take(&mut self, message: &WatchResponse) -> Result<usize, Unwatched> {
        let (mut revisions, mut last) = (0, 0);
        for event in message.events() {
            let Some(kv) = event.kv() else { return Err(Unwatched::Unclear("an event without a key".to_owned())) };
            revisions += usize::from(kv.mod_revision() != last);
            last = kv.mod_revision();
            self.story.events += 1;
            self.story.bytes += (kv.key().len() + kv.value().len()) as u64;
            // What came after the revision that is wanted is for the next audit.
            if last > self.course.to.revision || keys::parse(kv.key()).is_none() {
                continue;
            }
            // A key that is there has a version. (The client's own word for the kind panics on one that it does not know.)
            let stored = (kv.version() > 0).then(|| Stored {
                value: kv.value().to_vec(),
                create_revision: kv.create_revision(),
                mod_revision: kv.mod_revision(),
                version: kv.version(),
            });
            let fates = if last > self.course.known { &mut self.story.since } else { &mut self.story.known };
            fates.insert(kv.key().to_vec(), stored);
        }
        Ok(revisions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_servers_answer_in_order() {
        for version in ["3.4.25", "3.4.40", "3.5.8", "3.5.21", "3.6.0", "3.7.3", "4.0.0"] {
            assert!(answers_in_order(version), "{version}");
        }
        for version in ["3.3.27", "3.4.23", "3.4.24", "3.5.0", "3.5.7", "", "x"] {
            assert!(!answers_in_order(version), "{version}");
        }
    }

    #[test]
    fn one_range_is_around_all_of_them() {
        let all = every_range();
        let [(start, end)] = one_range().try_into().unwrap();
        assert_eq!(all.len(), keys::PREFIXES.len() + keys::SINGLE_KEYS.len());
        assert!(all.iter().all(|(key, _)| start <= *key && *key < end));
        assert!(all.iter().all(|(_, until)| *until <= end));
        assert!(start.starts_with(b"/calico/") && end.starts_with(b"/calico/"));
    }
}
