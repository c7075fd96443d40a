//! What became of a transaction whose answer nobody got: now, or in an earlier run that was killed.
//!
//! A transaction is done whole or not at all, so one key that still has the revision it was compared with proves that
//! it was not done, and one key that has the very bytes we meant, written since, proves that it was. Others write too:
//! when every key has been written again since, the key's earlier states are read, as far back as etcd remembers.

use super::read::{read, read_at};
use crate::connect::etcd::Connection;
use crate::connect::trouble::TroubleKind;
use crate::error::Error;
use crate::plan::transaction::{After, Change, Fresh, StoredKey};

/// What the keys say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Settled {
    /// Done, at this revision (0: not known).
    Done {
        revision: i64,
    },
    NotDone,
    /// They do not tell; why.
    Unknown(String),
}

/// How many writes of one key are looked back through.
const STEPS_BACK: usize = 200;

/// What one key says.
#[derive(Clone, PartialEq, Eq, Debug)]
enum KeySays {
    Done {
        revision: i64,
    },
    NotDone,
    /// It was written again since: its past may tell.
    Later(StoredKey),
    Silent,
}

/// Finds out what became of a transaction with these changes.
///
/// # Errors
/// When the keys cannot be read; then it stays unknown.
pub async fn settle(connection: &Connection, changes: &[Change]) -> Result<Settled, Error> {
    let written: Vec<&Change> = changes.iter().filter(|c| c.after != After::Same).collect();
    let keys: Vec<Vec<u8>> = written.iter().map(|c| c.key.clone()).collect();
    let seen = read(connection, &keys).await?;
    let words: Vec<(&Change, KeySays)> = written.iter().map(|c| (*c, word(c, &seen.fresh))).collect();
    if words.iter().any(|(_, w)| *w == KeySays::NotDone) {
        return Ok(Settled::NotDone);
    }
    if let Some(revision) =
        words.iter().find_map(|(_, w)| if let KeySays::Done { revision } = w { Some(*revision) } else { None })
    {
        return Ok(Settled::Done { revision });
    }
    for (change, word) in &words {
        if let (KeySays::Later(now), After::Put(meant)) = (word, &change.after) {
            let since = change.before.as_ref().map_or(0, |b| b.mod_revision);
            match look_back(connection, &change.key, now, since, meant).await? {
                Settled::Unknown(_) => {}
                known => return Ok(known),
            }
        }
    }
    // Only deletes, and all of it is gone: by us or by somebody else, nothing is left to do.
    if words.iter().all(|(c, w)| c.after == After::Delete && *w == KeySays::Silent) {
        return Ok(Settled::Done { revision: 0 });
    }
    Ok(Settled::Unknown("every key has been written since, and etcd no longer has its earlier states".to_owned()))
}

fn word(change: &Change, fresh: &Fresh) -> KeySays {
    let now = fresh.get(&change.key).and_then(Option::as_ref);
    match (&change.before, &change.after, now) {
        (Some(before), _, Some(now)) if now.mod_revision == before.mod_revision => KeySays::NotDone,
        (None, After::Put(_), None) => KeySays::NotDone,
        (_, After::Put(meant), Some(now)) if now.value == *meant => KeySays::Done { revision: now.mod_revision },
        (_, After::Put(_), Some(now)) => KeySays::Later(now.clone()),
        // Deleted since, or created anew: others do that too.
        _ => KeySays::Silent,
    }
}

/// Goes back through a key's states to the first one after `since`.
async fn look_back(
    connection: &Connection,
    key: &[u8],
    now: &StoredKey,
    since: i64,
    meant: &[u8],
) -> Result<Settled, Error> {
    let mut state = now.clone();
    for _ in 0..STEPS_BACK {
        if state.value == meant {
            return Ok(Settled::Done { revision: state.mod_revision });
        }
        match read_at(connection, key, state.mod_revision - 1).await {
            // The state that we compared with: so the first write after it was somebody else's.
            Ok(Some(earlier)) if earlier.mod_revision <= since => return Ok(Settled::NotDone),
            Ok(Some(earlier)) => state = earlier,
            Ok(None) if since == 0 => return Ok(Settled::NotDone),
            // Deleted and created anew in between.
            Ok(None) => return Ok(Settled::Unknown("the key was deleted in between".to_owned())),
            Err(trouble) if trouble.kind == TroubleKind::Compacted => {
                return Ok(Settled::Unknown("etcd was compacted meanwhile".to_owned()));
            }
            Err(trouble) => return Err(trouble.error),
        }
    }
    Ok(Settled::Unknown("it was written too often since".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(value: &str, mod_revision: i64) -> StoredKey {
        StoredKey { value: value.into(), create_revision: 1, mod_revision }
    }

    fn says(before: Option<StoredKey>, after: After, now: Option<StoredKey>) -> KeySays {
        let change = Change { key: b"/k".to_vec(), before, after, why: String::new().into() };
        word(&change, &[(b"/k".to_vec(), now)].into())
    }

    #[test]
    fn what_one_key_says() {
        let put = || After::Put(b"new".to_vec());
        let before = || Some(stored("old", 5));
        assert_eq!(says(before(), put(), before()), KeySays::NotDone);
        assert_eq!(says(before(), put(), Some(stored("new", 9))), KeySays::Done { revision: 9 });
        assert_eq!(says(before(), put(), Some(stored("else", 9))), KeySays::Later(stored("else", 9)));
        assert_eq!(says(before(), put(), None), KeySays::Silent);
        assert_eq!(says(None, put(), None), KeySays::NotDone);
        assert_eq!(says(before(), After::Delete, None), KeySays::Silent);
        assert_eq!(says(before(), After::Delete, before()), KeySays::NotDone);
        assert_eq!(says(before(), After::Delete, Some(stored("anew", 9))), KeySays::Silent);
    }
}
