//! The listing as plain values.

use crate::ledger::BlockCount;
use crate::model::{Cidr, Code, Foreign, Severity, Time};
use crate::who::{BlockUsage, Doubt, Occupant};

/// Which blocks are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BlockFilter {
    /// Of this pool.
    pub pool: Option<String>,
    /// Owned or used by this node, by Calico's name or Kubernetes'.
    pub node: Option<String>,
    /// With something wrong in them.
    pub wrong: bool,
    /// That lend addresses; these are then told one by one.
    pub borrowed: bool,
}

impl BlockFilter {
    /// As people would type it.
    pub fn flags(&self) -> Vec<Foreign> {
        let named = [("--pool", &self.pool), ("--node", &self.node)];
        let named = named.into_iter().filter_map(|(flag, name)| Some(format!("{flag} {}", name.as_ref()?).into()));
        let switches = [("--wrong", self.wrong), ("--borrowed", self.borrowed)];
        named.chain(switches.into_iter().filter(|(_, on)| *on).map(|(flag, _)| flag.into())).collect()
    }
}

/// A block that does not decode: nobody can say what is in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HiddenBlock {
    /// As its key says; `None` where that says nothing either.
    pub block: Option<Cidr>,
    pub key: Foreign,
    pub reason: Foreign,
}

/// What is wrong with a pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrongPool {
    pub pool: Foreign,
    pub code: Code,
    pub severity: Severity,
    pub summary: Foreign,
    pub advice: Foreign,
}

/// All listed blocks together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BlockTotals {
    pub blocks: u64,
    /// Addresses in them.
    pub addresses: u64,
    /// `stranded` is `None` when nobody can say it of one of them.
    pub count: BlockCount,
    /// Blocks in which something is wrong.
    pub wrong: u64,
    /// Blocks in which one look only saw something.
    pub suspected: u64,
    /// Pools of these blocks, or the one asked for, with which something is wrong.
    pub wrong_pools: u64,
}

/// What is printed.
#[derive(Clone, Debug)]
pub struct BlockListing {
    /// One line that answers.
    pub answer: Foreign,
    pub judged_at: Time,
    /// The one revision at which etcd was read; `None`: it was not asked.
    pub etcd_revision: Option<i64>,
    pub narrowed_by: Vec<Foreign>,
    pub unknown: Vec<Doubt>,
    pub totals: BlockTotals,
    pub blocks: Vec<BlockUsage>,
    pub undecodable: Vec<HiddenBlock>,
    /// What is wrong with a pool itself, the worst first.
    pub pools: Vec<WrongPool>,
    /// Only when asked for: every address of another node than its block's owner.
    pub borrowed: Option<Vec<Occupant>>,
    /// What was not read: silence about it proves nothing.
    pub unread: Vec<Foreign>,
    pub exit_code: u8,
}

impl BlockListing {
    /// Whether silence proves nothing.
    pub fn is_incomplete(&self) -> bool {
        !(self.unread.is_empty() && self.unknown.is_empty())
    }
}
