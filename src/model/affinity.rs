//! A BlockAffinity: which host claims a block (domain facts, section 4).

use super::{Cidr, Host, Meta, Name, Names};

/// The three steps of a claim's life; only [`AffinityState::Confirmed`] owns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AffinityState {
    /// Also what an empty value or an absent state means.
    Confirmed,
    Pending,
    PendingDeletion,
    /// A word that today's Calico does not know: owns nothing, proves nothing.
    Unknown(Name),
}

impl AffinityState {
    /// As Calico writes it.
    pub fn word(self, names: &Names) -> &str {
        match self {
            AffinityState::Confirmed => "confirmed",
            AffinityState::Pending => "pending",
            AffinityState::PendingDeletion => "pendingDeletion",
            AffinityState::Unknown(word) => names.get(word),
        }
    }
}

/// One affinity object.
#[derive(Clone, Debug)]
pub struct Affinity {
    pub meta: Meta,
    /// Type and host of the key.
    pub host: Host,
    /// The CIDR of the key, host bits masked.
    pub cidr: Cidr,
    /// The key's bytes when they are not the canonical spelling of `cidr`.
    pub odd_key: Option<Box<[u8]>>,
    pub state: AffinityState,
    /// `deleted: true`, which means nothing in etcd.
    pub deleted: bool,
}
