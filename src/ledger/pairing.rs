//! Whether this API server and this datastore belong together: the answer (the catalogue's word "Pairing").

/// What IPA905 says of a cluster whose Calico left this etcd for the Kubernetes datastore.
pub(super) const ABANDONED: &str = "this cluster's Calico keeps its data in Kubernetes, not in this etcd";

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pairing {
    /// They belong together; why we think so.
    Paired(&'static str),
    /// They do not (IPA905); what speaks against it.
    Mismatch(String),
    /// Nobody can tell: an input is missing.
    Unknown(String),
}

impl Pairing {
    /// Whether checks that need Kubernetes may run.
    pub fn holds(&self) -> bool {
        matches!(self, Pairing::Paired(_))
    }

    /// Whether they do not because Calico left this etcd for the Kubernetes datastore.
    pub fn is_abandoned(&self) -> bool {
        matches!(self, Pairing::Mismatch(why) if why == ABANDONED)
    }
}
