//! What an audit reads, and sets of it.

use std::fmt;

use super::word::words;

/// One input of an audit, as `needs` in the catalogue of checks names them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Input {
    Blocks,
    Handles,
    Affinities,
    Endpoints,
    CalicoNodes,
    Pools,
    Config,
    Pods,
    KubeNodes,
    Services,
    Namespaces,
    /// What etcd's members say of themselves (`Status`): nothing of Calico's.
    EtcdStatus,
    /// What nodes' kernels say.
    NodeEvidence,
    History,
}

words!(Input {
    Blocks = "blocks",
    Handles = "handles",
    Affinities = "affinities",
    Endpoints = "endpoints",
    CalicoNodes = "calico-nodes",
    Pools = "pools",
    Config = "config",
    Pods = "pods",
    KubeNodes = "nodes",
    Services = "services",
    Namespaces = "namespaces",
    EtcdStatus = "etcd-status",
    NodeEvidence = "node-evidence",
    History = "history",
});

impl Input {
    /// Whether it comes from Kubernetes' API (or a file in its place).
    pub const fn is_kubernetes(self) -> bool {
        matches!(self, Input::Pods | Input::KubeNodes | Input::Services | Input::Namespaces)
    }

    /// Whether it is of Calico's own data.
    pub const fn is_calicos(self) -> bool {
        !self.is_kubernetes() && !matches!(self, Input::EtcdStatus | Input::NodeEvidence | Input::History)
    }

    /// Whether an audit is whole though nobody asked for it: files and captures of before do not hold etcd's status, and
    /// what it says is no part of what they were made for; nodes are looked at where somebody does.
    pub const fn may_be_absent(self) -> bool {
        matches!(self, Input::EtcdStatus | Input::NodeEvidence)
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of inputs: what a check cannot do without. Its letters are those of the catalogue: blocks, handles, affinities,
/// workload endpoints, Calico nodes, pods, Kubernetes nodes, services, pools (O), configuration, history (D), etcd (T),
/// evidence of nodes (E).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Needs(u16);

impl Needs {
    pub const NONE: Needs = Needs(0);
    pub const B: Needs = Needs(Input::Blocks.bit());
    pub const H: Needs = Needs(Input::Handles.bit());
    pub const A: Needs = Needs(Input::Affinities.bit());
    pub const W: Needs = Needs(Input::Endpoints.bit());
    pub const N: Needs = Needs(Input::CalicoNodes.bit());
    pub const P: Needs = Needs(Input::Pods.bit());
    pub const K: Needs = Needs(Input::KubeNodes.bit());
    pub const S: Needs = Needs(Input::Services.bit());
    pub const O: Needs = Needs(Input::Pools.bit());
    pub const C: Needs = Needs(Input::Config.bit());
    pub const D: Needs = Needs(Input::History.bit());
    pub const T: Needs = Needs(Input::EtcdStatus.bit());
    pub const E: Needs = Needs(Input::NodeEvidence.bit());

    /// Both sets together (usable in constants).
    pub const fn and(self, other: Needs) -> Needs {
        Needs(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn has(self, other: Needs) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is in this set.
    pub const fn has_any(self, other: Needs) -> bool {
        self.0 & other.0 != 0
    }

    /// The inputs of the set, in the order of [`Input::ALL`].
    pub fn inputs(self) -> impl Iterator<Item = Input> {
        Input::ALL.into_iter().filter(move |i| self.0 & i.bit() != 0)
    }
}

/// The catalogue's letters, in the order of [`Input::ALL`].
const LETTERS: [char; Input::ALL.len()] = ['B', 'H', 'A', 'W', 'N', 'O', 'C', 'P', 'K', 'S', 'n', 'T', 'E', 'D'];

/// The catalogue's letters, as `B P K W N`.
impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters: Vec<String> = self.inputs().map(|input| LETTERS[input as usize].to_string()).collect();
        f.write_str(&letters.join(" "))
    }
}
