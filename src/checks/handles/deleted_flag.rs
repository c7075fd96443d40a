//! IPA207: `deleted: true` in etcd.

use crate::checks::evidence::{Draft, get_key};
use crate::checks::prelude::*;
use crate::model::{Handle, keys};

pub static CHECK: Check = Check {
    code: Code(207),
    name: "deleted-flag",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::H).and(Needs::A),
    steady: Steady::TwoWrites,
    subject: SubjectKind::Key,
    finds: "A block, a handle or an affinity says `deleted: true`.",
    matters: "The flag belongs to the Kubernetes datastore. Calico's etcd client neither sets nor reads it: the object \
        is live, and whoever believes the flag is wrong. All other checks treat it as live too.",
    arises: "A foreign hand: objects copied from a Kubernetes datastore, or edited.",
    action: "Find out who wrote it. Calico drops the flag with its next write of the object.",
    silent: "`deleted: false`, which Calico writes.",
    ties: Ties::ANYBODYS,
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    // Of two spellings of one block or affinity the canonical one is judged; IPA307 tells the other.
    findings.extend(world.ledger.blocks().filter(|b| b.deleted).map(|b| block(world, b)));
    findings.extend(world.snapshot.handles.iter().filter(|h| h.deleted()).map(|h| handle(world, h)));
    findings.extend(world.ledger.affinities().filter(|a| a.deleted).map(|a| affinity(world, a)));
}

fn block(world: &World<'_>, block: &Block) -> Finding {
    let draft = draft(world, &world.block_key(block), "block", block.meta.mod_revision);
    draft.in_pool_of(block.cidr.first()).rests_on_block(block).done()
}

fn handle(world: &World<'_>, handle: &Handle) -> Finding {
    let key = keys::handle_key(&super::common::stored_id(world, handle));
    draft(world, &key, "handle", handle.meta().mod_revision).rests_on_handle(handle).done()
}

fn affinity(world: &World<'_>, affinity: &Affinity) -> Finding {
    let draft = draft(world, &world.affinity_key(affinity), "affinity", affinity.meta.mod_revision);
    draft.in_pool_of(affinity.cidr.first()).rests_on_affinity(affinity).done()
}

fn draft<'w>(world: &'w World<'w>, key: &str, thing: &str, mod_revision: i64) -> Draft<'w> {
    let draft = world.draft(&CHECK, key, format!("says `deleted: true`; the {thing} is live all the same"));
    draft.fact("mod_revision", mod_revision).next(get_key(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn every_kind_is_told_by_its_key() {
        let mut c = Cluster::healthy();
        c.block_mut("10.65.0.0/26").deleted = true;
        c.handle_mut("ipip-tunnel-addr-node-1").deleted = true;
        c.snapshot.affinities[1].deleted = true;
        assert_eq!(
            c.subjects(&CHECK),
            [
                "/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26",
                "/calico/ipam/v2/handle/ipip-tunnel-addr-node-1",
                "/calico/ipam/v2/host/node-2/ipv4/block/10.65.0.64-26",
            ]
        );
    }

    #[test]
    fn the_key_is_the_one_that_was_read() {
        let mut c = Cluster::healthy();
        let odd = "/calico/ipam/v2/assignment/ipv6/block/10.65.0.5-26";
        let block = c.block_mut("10.65.0.0/26");
        (block.deleted, block.odd_key) = (true, Some(odd.as_bytes().into()));
        let mut handle = c.handle_mut("ipip-tunnel-addr-node-1");
        (handle.deleted, handle.odd_id) = (true, Some(b"ipip-tunnel-addr-node-1\r".as_slice().into()));
        drop(handle);
        assert_eq!(c.subjects(&CHECK), [odd, "/calico/ipam/v2/handle/ipip-tunnel-addr-node-1\r"]);
        c.block("10.65.0.0/26", None);
        assert_eq!(c.find(&CHECK).len(), 1, "beside a canonical block the other spelling is IPA307 alone");
    }
}
