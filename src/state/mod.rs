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

use std::io::{Result, Write};

use self::bytes::{StateReader, StateWriter};
use self::kept::{In, Kept, Out, record};
use self::texts::{TextsIn, TextsOut};
use crate::model::{Gathering, Input, Names, Snapshot};

pub use keys::{KnownKeys, counts, is_same_write, newest};
pub use mark::Mark;
pub use seen::{LastSeen, SEAL, seal, unseal};

/// What a state begins with.
const MAGIC: &[u8] = b"ipaudit state\n";
/// Of this file's shape; the build is compared beside it, since a value may be read in another way by another one.
const FORMAT: u32 = 1;

record! {
    Mark {
        guid, uids, cluster_id, member_id, raft_term, revision, compact_revision, last_write, read_in_full, kept_at,
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
pub struct Saved<'b> {
    /// Of what, and as of when.
    pub mark: Mark,
    rest: StateReader<'b>,
}

/// Whose state can be read by whom: `build` names the program.
pub fn write(snapshot: &Snapshot, mark: &Mark, build: &str, out: impl Write) -> Result<()> {
    let (bytes, texts) = (StateWriter::new(out), TextsOut::new(&snapshot.names));
    let mut out = Out { bytes, texts };
    out.bytes.raw(MAGIC);
    out.plain(&FORMAT)?;
    out.plain(&build)?;
    mark.put(&mut out)?;
    put_lists(snapshot, &mut out)?;
    out.bytes.finish()
}

/// Opens the bytes of a state; nothing but its mark is decoded yet.
///
/// # Errors
/// Bytes that are damaged, or of another build.
pub fn open<'b>(bytes: &'b [u8], build: &str) -> std::result::Result<Saved<'b>, Refused> {
    let body = bytes::checked(bytes).and_then(|body| body.strip_prefix(MAGIC)).ok_or(Refused::Damaged)?;
    let mut names = Names::default();
    let mut input = In { bytes: StateReader::new(body), texts: TextsIn::default(), names: &mut names };
    let is_ours = input.plain::<u32>() == Some(FORMAT) && input.plain::<String>().as_deref() == Some(build);
    if !is_ours {
        return Err(Refused::OtherBuild);
    }
    let mark = Mark::take(&mut input).ok_or(Refused::Damaged)?;
    Ok(Saved { mark, rest: input.bytes })
}

impl Saved<'_> {
    /// Puts everything of Calico's into `snapshot`, where nothing of it stands yet. `None`: it does not decode, and what
    /// came of it is to be thrown away.
    pub fn put_into(self, snapshot: &mut Gathering) -> Option<()> {
        let mut names = std::mem::take(&mut snapshot.names);
        let mut input = In { bytes: self.rest, texts: TextsIn::default(), names: &mut names };
        let taken = take_lists(snapshot, &mut input).filter(|()| input.bytes.is_empty());
        snapshot.names = names;
        let endpoints = snapshot.host_endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter().copied());
        snapshot.host_endpoint_addresses = endpoints.collect();
        taken
    }
}

/// The lists in their order: handles first, whose texts then have numbers in the order in which they are sorted.
macro_rules! lists {
    ($($list:ident),+ $(,)?) => {
        fn put_lists(snapshot: &Snapshot, out: &mut Out<'_, impl Write>) -> Result<()> {
            $(snapshot.$list.put(out)?;)+
            Ok(())
        }

        fn take_lists(snapshot: &mut Gathering, input: &mut In<'_, '_>) -> Option<()> {
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
