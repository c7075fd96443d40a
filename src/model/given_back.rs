//! What a release of ours gave back, or an undo put back, as the history remembers it.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::keys::{BLOCKS, ENDPOINTS, HANDLES, block_key};
use super::{Cidr, Foreign, SubjectKind, Time};

/// What releases have taken away and no undo has put back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TakenAway {
    /// Addresses and handles, by kind and subject, and the release that took each.
    pub subjects: HashMap<(&'static str, Foreign), i64>,
    /// Those of the handles that no address went with.
    pub orphans: HashSet<Foreign>,
    /// Endpoints, blocks and handles whose keys went with them.
    pub deleted: HashSet<(&'static str, Foreign)>,
}

/// The kind and the subject of what stands under a key that releases delete.
pub fn thing_of_key(key: &[u8]) -> Option<(SubjectKind, Foreign)> {
    let key = std::str::from_utf8(key).ok()?;
    if let Some(endpoint) = key.strip_prefix(ENDPOINTS) {
        return Some((SubjectKind::Endpoint, endpoint.into()));
    }
    if let Some(handle) = key.strip_prefix(HANDLES) {
        return Some((SubjectKind::Handle, handle.into()));
    }
    let (_, cidr) = key.strip_prefix(BLOCKS)?.rsplit_once('/')?;
    let (cidr, _) = Cidr::parse(&cidr.replacen('-', "/", 1))?;
    // Under another spelling of its key the block may stand twice.
    (block_key(cidr) == key).then(|| (SubjectKind::Block, cidr.to_string().into()))
}

/// One thing that was written by a release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct GivenBack {
    /// The number of the release.
    pub release: i64,
    /// It was an undo of this one, and put the thing back.
    pub undoes: Option<i64>,
    /// When its transaction was known to be done, by the clock of the machine that did it.
    pub at: Time,
    pub kind: SubjectKind,
    /// The address, or the handle's id.
    pub subject: Foreign,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_went_with_it() {
        let said = |key: &str| thing_of_key(key.as_bytes()).map(|(kind, subject)| (kind, subject.raw().to_owned()));
        let is = |kind, subject: &str| Some((kind, subject.to_owned()));
        let name = "shop/node--1-k8s-web--0-eth0";
        assert_eq!(said(&format!("{ENDPOINTS}{name}")), is(SubjectKind::Endpoint, name));
        assert_eq!(said(&format!("{HANDLES}net.a")), is(SubjectKind::Handle, "net.a"));
        for cidr in ["10.65.0.64/26", "fd00:65::/122"] {
            let key = block_key(Cidr::parse(cidr).unwrap().0);
            assert_eq!(said(&key), is(SubjectKind::Block, cidr));
        }
        for other in ["ipv4/block/10.65.0.1-26", "ipv6/block/10.65.0.0-26", "ipv4/block/x", "x"] {
            assert_eq!(said(&format!("{BLOCKS}{other}")), None, "{other}");
        }
        assert_eq!(thing_of_key(b"/calico/\xff"), None);
    }
}
