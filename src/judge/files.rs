//! What no release gives back that reads Kubernetes from files: every address. Right before a write pods and nodes are asked
//! for once more (rule 5), and a file says the same for ever. An orphaned handle asks Kubernetes nothing.

use super::choose::Wish;
use crate::checks::{self, World};
use crate::ledger::Allocation;
use crate::model::HandleId;
use crate::plan::refusal::{Objection, Refusal};

/// All of a wish, where nothing of it could go: then that is the one reason, and no audit and no word helps. Empty: something
/// may, or is not there at all.
pub fn all_of(wish: &Wish, world: &World<'_>) -> Vec<Refusal> {
    let (handles, addresses) = match wish {
        Wish::Found { code, .. } => {
            let leaks = checks::find(*code).is_some_and(|check| check.ties.releasable && check.ties.proves_leak);
            return leaks.then(|| Refusal::of_run(Objection::FilesAgain)).into_iter().collect();
        }
        Wish::Named { handles, addresses } => (handles, addresses),
    };
    let ledger = world.ledger;
    let of_handle = |id: HandleId| ledger.allocations_of(id).collect::<Vec<&Allocation>>();
    let by_handle = handles.iter().map(|text| {
        let held = HandleId::find(&world.snapshot.names, text).map(of_handle).unwrap_or_default();
        refusals(text, &held)
    });
    let by_address = addresses.iter().map(|address| {
        let found = ledger.allocations_at(*address).first();
        match found.and_then(|allocation| ledger.handle_of(allocation)) {
            Some(id) => refusals(&id.text(&world.snapshot.names), &of_handle(id)),
            None => refusals(&address.to_string(), &found.into_iter().collect::<Vec<_>>()),
        }
    });
    let each: Vec<Vec<Refusal>> = by_handle.chain(by_address).collect();
    if each.iter().any(Vec::is_empty) {
        return Vec::new();
    }
    let mut all: Vec<Refusal> = Vec::new();
    each.into_iter().flatten().for_each(|refusal| {
        if !all.contains(&refusal) {
            all.push(refusal);
        }
    });
    all
}

/// The addresses of one handle, or one that has none.
pub fn refusals(subject: &str, allocations: &[&Allocation]) -> Vec<Refusal> {
    let refusal = |allocation: &&Allocation| {
        let address = allocation.address.to_string();
        let of_handle = (subject != address).then(|| subject.into());
        Refusal { of_handle, ..Refusal::new(address, Objection::FilesAgain) }
    };
    allocations.iter().map(refusal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::addresses::leaked_address;
    use crate::checks::affinities::affinity_without_block;
    use crate::checks::handles::orphaned_handle;
    use crate::checks::testing::Cluster;
    use crate::judge::only::Only;
    use crate::ledger::{Ledger, ScopeFlag};
    use crate::model::Code;

    fn told(wish: &Wish) -> Vec<String> {
        let mut c = Cluster::healthy();
        c.handle("k8s-pod-network.dead", &[]);
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
        let refused = all_of(wish, &World { snapshot: &snapshot, ledger: &ledger, past: None });
        assert!(refused.iter().all(|refusal| refusal.objection == Objection::FilesAgain), "{refused:?}");
        refused.iter().map(|refusal| refusal.subject.raw().to_owned()).collect()
    }

    fn found(code: Code) -> Wish {
        Wish::Found { code, older_than: std::time::Duration::ZERO, max: 9, only: Only::default() }
    }

    fn named(handles: &[&str], addresses: &[&str]) -> Wish {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Wish::Named { handles: handles.iter().map(ToString::to_string).collect(), addresses }
    }

    #[test]
    fn addresses_stay_and_what_asks_kubernetes_nothing_may_go() {
        assert_eq!(told(&found(leaked_address::CHECK.code)), ["run"]);
        assert!(told(&found(orphaned_handle::CHECK.code)).is_empty());
        assert!(told(&found(affinity_without_block::CHECK.code)).is_empty(), "its cure is told");
        let handle = Cluster::handle_id("shop", "web-0");
        assert_eq!(told(&named(&[&handle], &["10.65.0.1", "10.65.0.64"])), ["10.65.0.1", "10.65.0.64"], "each once");
        // One of them may go, or was given back already.
        assert!(told(&named(&[&handle, "k8s-pod-network.dead"], &[])).is_empty());
        assert!(told(&named(&[&handle], &["10.65.0.60"])).is_empty());
    }
}
