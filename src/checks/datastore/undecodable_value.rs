//! IPA901: a key or value that does not parse.

use crate::checks::evidence::{key_text, shell_bytes};
use crate::checks::prelude::*;
use crate::model::BadValue;
use crate::model::snapshot::Dark;

pub static CHECK: Check = Check {
    code: Code(901),
    name: "undecodable-value",
    severity: Severity::Error,
    needs: Needs::NONE,
    steady: Steady::OneMoment,
    subject: SubjectKind::Key,
    finds: "A key or value of Calico's in etcd that does not parse, or an address, network, time or 64-bit number in \
        it that does not, or a block without `cidr`. One finding a key, with the place and the reason.",
    matters: "Calico drops such a value silently from every list: the addresses of an undecodable block are free for \
        whoever claims that block next, and one undecodable block has made `calicoctl ipam release --from-report` \
        delete the handles of 60 live pods. For this audit everything that the value hides stays dark: nothing in its \
        range is judged by what is absent, and nothing is released while there is any.",
    arises: "A foreign tool or a hand wrote to etcd, a write was cut off by a broken client, or a newer Calico uses a \
        form that is not known yet.",
    action: "Look at the value; repair it by hand from a backup or from what the nodes know. Delete it only when it is \
        certain that nothing depends on it.",
    silent: "Fields that are unknown, absent or null; keys of Calico's that are no part of an audit; values that parse \
        and are wrong (they have checks of their own).",
    ties: Ties { many: "values that do not decode", ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    findings.extend(world.snapshot.bad_values.iter().map(|bad| report(world, bad)));
}

fn report(world: &World<'_>, bad: &BadValue) -> Finding {
    let summary = match bad.offset {
        Some(offset) => format!("{}, at byte {offset}", bad.reason),
        None => bad.reason.clone(),
    };
    world
        .draft(&CHECK, key_text(&bad.key), summary)
        .advice("look at the value and repair it; until then nothing is released")
        .fact("reason", bad.reason.as_str())
        .fact("offset", bad.offset)
        .fact("input", bad.input.word())
        .list("hides", &bad.dark, |dark| hidden(world, dark))
        .fact("mod_revision", bad.mod_revision)
        .next(format!("etcdctl get {}", shell_bytes(&bad.key)))
        .with_each(&bad.dark, |draft, dark| match *dark {
            Dark::Range(cidr) | Dark::Affinity(cidr) => draft.in_pool_of(cidr.first()),
            Dark::Node(node) => draft.on_node(node),
            Dark::Handle(_) | Dark::All(_) => draft,
        })
        .done()
}

/// What nobody can judge because of it, in words.
fn hidden(world: &World<'_>, dark: &Dark) -> String {
    match *dark {
        Dark::Range(cidr) => format!("block {cidr}"),
        Dark::Node(node) => format!("node {}", world.text(node)),
        Dark::Handle(id) => format!("handle {}", id.text(&world.snapshot.names)),
        Dark::Affinity(cidr) => format!("an affinity for {cidr}"),
        Dark::All(input) => format!("all {}", input.word()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, undecodable_block, undecodable_endpoint};
    use crate::model::Foreign;

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn one_finding_a_key_with_place_reason_and_what_it_hides() {
        let mut c = Cluster::healthy();
        c.snapshot.bad_values.push(undecodable_block("10.65.0.128/26"));
        let dark = undecodable_endpoint(&mut c.snapshot.names, "node-1");
        c.snapshot.bad_values.push(dark);
        let found = c.find(&CHECK);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].subject.id, "/calico/ipam/v2/assignment/ipv4/block/10.65.0.128-26");
        assert_eq!(
            (found[0].summary.raw(), found[0].pool.as_ref().map(Foreign::raw)),
            ("cut off, at byte 17", Some("default"))
        );
        assert_eq!(found[0].evidence.get("hides"), Some(&vec!["block 10.65.0.128/26"].into()));
        assert_eq!(found[0].evidence.get("offset"), Some(&17_usize.into()));
        assert_eq!(found[0].next, ["etcdctl get /calico/ipam/v2/assignment/ipv4/block/10.65.0.128-26"]);
        assert_eq!(found[1].node.as_ref().map(Foreign::raw), Some("node-1"));
    }

    #[test]
    fn a_key_that_is_not_utf_8_is_spelled_by_its_bytes() {
        let mut c = Cluster::healthy();
        let mut bad = undecodable_block("10.65.0.128/26");
        bad.key = b"/calico/ipam/v2/handle/x.\xff\xfe\r\n".to_vec();
        (bad.offset, bad.dark) = (None, Vec::new());
        c.snapshot.bad_values.push(bad);
        let found = c.find(&CHECK);
        assert_eq!(found[0].subject.id, "/calico/ipam/v2/handle/x.\\xff\\xfe\r\n");
        assert_eq!(found[0].summary, "cut off");
        assert_eq!(found[0].next, [r#"etcdctl get "$(printf '/calico/ipam/v2/handle/x.\377\376\r')${IFS#??}""#]);
    }
}
