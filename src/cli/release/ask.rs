//! What is asked for, and what the operator answers for.

use super::args::ReleaseArgs;
use crate::judge::by_hand;
use crate::judge::choose::Wish;
use crate::judge::only::Only;
use crate::ledger::ScopeFlag;
use crate::plan::file::{Answered, PlanFile};

/// Everything on a command line that decides what may be released.
#[derive(Clone, PartialEq, Debug)]
pub struct Ask {
    pub wish: Wish,
    /// As many as were found: rule 2 asks more of many.
    pub is_bulk: bool,
    pub scope: ScopeFlag,
    pub skip_age: bool,
    pub knows: bool,
    /// As they were said.
    pub nodes_off: Vec<String>,
}

impl Ask {
    /// What a plan's file says: the very things that it names, and what its maker answered for.
    pub fn of_file(file: &PlanFile, scope: ScopeFlag) -> Ask {
        let asked = &file.asked;
        let addresses = file.addresses().unwrap_or_default();
        Ask {
            wish: Wish::Named { handles: asked.handles.clone(), addresses },
            is_bulk: asked.bulk,
            scope: if asked.exclusive { ScopeFlag::Exclusive } else { scope },
            skip_age: asked.skip_age,
            knows: asked.knows,
            nodes_off: asked.nodes_off.clone(),
        }
    }

    /// What a plan's file keeps of it; what is released, the plan says.
    pub fn answered_for(&self) -> Answered {
        Answered {
            bulk: self.is_bulk,
            exclusive: self.scope == ScopeFlag::Exclusive,
            skip_age: self.skip_age,
            knows: self.knows,
            nodes_off: self.nodes_off.clone(),
            ..Answered::default()
        }
    }

    /// What the flags say.
    pub fn of(args: &ReleaseArgs) -> Ask {
        let only = Only { nodes: args.node.clone(), namespaces: args.namespace.clone(), pools: args.pool.clone() };
        let older_than = args.older_than.unwrap_or_default();
        let wish = match args.code {
            Some(code) => Wish::Found { code, older_than, max: args.max, only },
            None => Wish::Named { handles: args.handles(), addresses: args.address.clone() },
        };
        Ask {
            // What is repaired by hand is not released at once.
            is_bulk: args.code.is_some_and(|code| by_hand::check(code).is_none()),
            wish,
            scope: args.with.scope,
            skip_age: args.skip_age,
            knows: args.i_know_what_this_is,
            nodes_off: args.node_is_off.clone(),
        }
    }
}
