//! The state that an audit leaves behind: everything of Calico's that it read, decoded, for the next one to go on from.
//!
//! A state is believed whole or not at all: its checksum is compared before a byte of it is decoded, and what belongs to
//! another build, datastore or cluster is refused. Whoever refuses it reads everything; nothing is ever guessed from it.
//! What stands in it is neutral between datastores: the identity of an object, its revision, and what it says.

mod bytes;
mod calico;
mod kept;
mod keys;
mod mark;
mod seen;
mod texts;
mod usual;

use std::io::{Result, Write};
use std::ops::Range;

use self::bytes::StateReader;
use self::kept::{In, Kept, Out, record};
use self::texts::TextsIn;
use crate::model::{Gathering, Input, Snapshot};

pub use keys::{KnownKeys, counts, is_same_write, newest};
pub use mark::Mark;
pub use seen::{LastSeen, SEAL, seal, unseal};

/// What a state begins with.
const MAGIC: &[u8] = b"ipaudit state\n";
/// Of this file's shape; the build is compared beside it, since a value may be read in another way by another one.
const FORMAT: u32 = 2;

record! {
    Mark {
        guid, uids, cluster_id, member_id, raft_term, revision, compact_revision, last_write, keys, read_in_full, kept_at,
    }
}

/// Why a state is of no use; everything is read then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The bytes are not those that were written.
    Damaged,
    /// Written by another build.
    OtherBuild,
}

/// A state whose bytes are whole.
pub struct Saved {
    /// Of what, and as of when.
    pub mark: Mark,
    bytes: Vec<u8>,
    /// What stands in them is between these places.
    things: Range<usize>,
}

/// Bytes of the last number: how many the texts take, which stand before it.
const TEXTS: usize = size_of::<u64>();

/// Whose state can be read by whom: `build` names the program.
///
/// # Errors
/// As the writer's.
pub fn write(snapshot: &Snapshot, mark: &Mark, build: &str, out: &mut dyn Write) -> Result<()> {
    let mut out = Out::begin(&snapshot.names, (MAGIC, FORMAT, build), out);
    mark.put(&mut out);
    put_lists(snapshot, &mut out);
    let things = out.bytes.written();
    out.texts.put(&mut out.bytes);
    let texts = out.bytes.written() - things;
    out.bytes.raw(&texts.to_le_bytes());
    out.bytes.finish()
}

/// Opens the bytes of a state; nothing but its mark is decoded yet.
///
/// # Errors
/// Bytes that are damaged, or of another build.
pub fn open(bytes: Vec<u8>, build: &str) -> std::result::Result<Saved, Refused> {
    let body = bytes::checked(&bytes).ok_or(Refused::Damaged)?;
    let end = body.len();
    let body = body.strip_prefix(MAGIC).ok_or(Refused::Damaged)?;
    let mut input = In::behind(body, (FORMAT, build)).ok_or(Refused::OtherBuild)?;
    let mark = Mark::take(&mut input).ok_or(Refused::Damaged)?;
    let things = end - input.bytes.left()..end;
    Ok(Saved { mark, bytes, things })
}

impl Saved {
    /// Puts everything of Calico's into `snapshot`, where nothing of it stands yet. `None`: it does not decode, and what
    /// came of it is to be thrown away.
    pub fn put_into(self, snapshot: &mut Gathering) -> Option<()> {
        let Saved { mut bytes, things: Range { start, end }, .. } = self;
        let mut things = StateReader::new(bytes.get(start..end)?);
        let texts = u64::from_le_bytes(things.last(TEXTS)?.try_into().ok()?);
        let texts = StateReader::new(things.last(usize::try_from(texts).ok()?)?);
        let texts = TextsIn::take(texts, &mut snapshot.names)?;
        // They are two thirds of it, and stand at the end.
        let left = start + things.left();
        bytes.truncate(left);
        bytes.shrink_to_fit();
        let mut input = In { bytes: StateReader::new(bytes.get(start..)?), texts };
        take_lists(snapshot, &mut input)?;
        let endpoints = snapshot.host_endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter().copied());
        snapshot.host_endpoint_addresses = endpoints.collect();
        input.bytes.is_empty().then_some(())
    }
}

/// The lists in their order: handles first, whose texts then have numbers in the order in which they are sorted.
macro_rules! lists {
    ($($list:ident),+ $(,)?) => {
        fn put_lists(snapshot: &Snapshot, out: &mut Out<'_, '_>) {
            $(snapshot.$list.put(out);)+
        }

        fn take_lists(snapshot: &mut Gathering, input: &mut In<'_>) -> Option<()> {
            $(snapshot.$list = Kept::take(input)?;)+
            Some(())
        }
    };
}
lists!(
    handles,
    blocks,
    affinities,
    endpoints,
    calico_nodes,
    pools,
    reservations,
    ipam_config,
    ipam_config_resource,
    cluster,
    kube_controllers,
    host_endpoints,
    bad_values,
    idle_keys,
);

/// Whether a state may be left of this: everything of Calico's was read.
pub fn is_whole(snapshot: &Snapshot) -> bool {
    Input::ALL.into_iter().filter(|input| input.is_calicos()).all(|input| snapshot.coverage.complete(input))
}

#[cfg(test)]
mod tests;
