//! How a cluster under construction is judged: the past that it is held against, and what a check finds.

use super::Cluster;
use crate::checks::evidence::restarts::{WAIT, deletes_pods};
use crate::checks::{Check, World, run_these};
use crate::ledger::Ledger;
use crate::model::{Block, BlockSequence, Finding, Foreign, KeptFinding, Past, PastEtcd, keys};

/// Whether following the finding makes CNI's ADD or DEL run, by its words.
fn sounds_like_a_restart(finding: &Finding) -> bool {
    let restarts = |command: &Foreign| deletes_pods(command.raw());
    let says = |word: &str| finding.advice.raw().contains(word);
    finding.next.iter().any(restarts)
        || ["restart ", "before restarting", "start a pod", "delete the pod", WAIT].into_iter().any(says)
}

impl Cluster {
    /// A past of one audit, an hour ago, that saw blocks and affinities as they are now.
    pub fn remember(&mut self) -> &mut Past {
        let snapshot = &self.snapshot;
        let names = &snapshot.names;
        let blocks = snapshot.blocks.iter().map(|b| (keys::key_of(names, b), b.meta));
        let affinities = snapshot.affinities.iter().map(|a| (keys::key_of(names, a), a.meta));
        let handles = snapshot.handles.iter().map(|h| (keys::key_of(names, h), h.meta()));
        let endpoints = snapshot.endpoints.iter().map(|e| (keys::key_of(names, e), e.meta()));
        let nodes = snapshot.calico_nodes.iter().map(|n| (keys::key_of(names, n), n.meta));
        let sequence =
            |b: &Block| Some(BlockSequence { create_revision: b.meta.create_revision, highest: b.sequence? });
        let past = Past {
            audits: 1,
            last_audit: Some(self.ago(3_600)),
            pair_known: true,
            keys: blocks.chain(affinities).chain(handles).chain(endpoints).chain(nodes).collect(),
            etcd: Some(PastEtcd {
                revision: self.revision,
                cluster_id: snapshot.etcd.cluster_id,
                ..PastEtcd::default()
            }),
            block_sequences: snapshot.blocks.iter().filter_map(|b| Some((b.cidr, sequence(b)?))).collect(),
            ..Past::default()
        };
        self.snapshot.etcd.revision = self.revision;
        self.past.insert(past)
    }

    /// All findings of one check.
    pub fn find(&mut self, check: &'static Check) -> Vec<Finding> {
        let snapshot = self.snapshot();
        let ledger = Ledger::build(&snapshot, self.scope, self.past.as_ref());
        let world = World { snapshot: &snapshot, ledger: &ledger, past: self.past.as_ref() };
        let outcome = run_these(&world, &[check]);
        assert!(outcome.skipped.is_empty(), "skipped: {:?}", outcome.skipped);
        let findings: Vec<Finding> = outcome.findings.iter().map(KeptFinding::open).collect();
        for f in &findings {
            assert_eq!(f.restarts_pods, sounds_like_a_restart(f), "restarts_pods(…) is missing: {f:?}");
        }
        findings
    }

    /// The subjects of all findings of one check.
    pub fn subjects(&mut self, check: &'static Check) -> Vec<String> {
        self.find(check).into_iter().map(|f| f.subject.id.raw().to_owned()).collect()
    }
}
