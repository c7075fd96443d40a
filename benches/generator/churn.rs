//! The same cluster a little later: some of its pods were deleted and others created in their places, and Calico gave
//! the addresses back and out again.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::random::Random;
use super::{BLOCK_SIZE, Block, Change, Changes, Cluster, Fate, Holder, Pod};

impl Cluster {
    /// Replaces so many of its pods; the new ones are half a minute old. A pod of a StatefulSet keeps its name.
    pub fn churn(&mut self, pods: usize) -> Changes {
        self.rounds += 1;
        let mut random = Random::new(self.seed.rotate_left(43) ^ self.rounds as u64);
        let mut living: Vec<usize> = self.living().map(|(i, _)| i).collect();
        random.shuffle(&mut living);
        living.truncate(pods);
        let (mut blocks, mut changes) = (BTreeSet::new(), Changes::default());
        for old in living {
            let new = self.pods.len();
            blocks.insert(self.replace(old, &mut random));
            changes.pods.push((old, new));
        }
        changes.puts.extend(blocks.into_iter().map(|block| self.block_key(block)));
        for &(old, new) in &changes.pods {
            let endpoint = self.endpoint(new, &self.pods[new]);
            let (gone, _) = self.endpoint(old, &self.pods[old]);
            if gone != endpoint.0 {
                changes.deletes.push(gone);
            }
            changes.deletes.push(self.handle_key(Holder::Pod(old)));
            let block = &self.blocks[self.block_of(self.pods[new].address)];
            changes.puts.push((self.handle_key(Holder::Pod(new)), super::datastore::handle(&block.cidr())));
            changes.puts.push(endpoint);
        }
        changes
    }

    /// The block that was written twice.
    fn replace(&mut self, old: usize, random: &mut Random) -> usize {
        let (at, new) = (self.block_of(self.pods[old].address), self.pods.len());
        let Pod { name, app, stateful, namespace, node, address, .. } = &self.pods[old];
        let name = match (stateful, name.rsplit_once('-')) {
            (false, Some((owner, _))) => format!("{owner}-{}", random.suffix()),
            _ => name.clone(),
        };
        let freed = (u32::from(*address) - u32::from(self.blocks[at].start)) as usize;
        let pod = Pod {
            name,
            app: app.clone(),
            stateful: *stateful,
            namespace: *namespace,
            node: *node,
            address: Ipv4Addr::UNSPECIFIED,
            container: random.hex(64),
            created: self.now_seconds() - 30,
            fate: Fate::Lives,
        };
        let address = self.blocks[at].replace(freed, Holder::Pod(new));
        self.pods.push(Pod { address, ..pod });
        self.pods[old].fate = Fate::Gone;
        at
    }

    fn block_of(&self, address: Ipv4Addr) -> usize {
        self.blocks.partition_point(|block| block.start <= address) - 1
    }
}

impl Block {
    fn replace(&mut self, freed: usize, to: Holder) -> Ipv4Addr {
        let was = self.holders[freed].take().expect("an address of a pod");
        self.free.push(freed);
        let given = self.free.remove(0);
        self.holders[given] = Some(to);
        self.changes.push(Change { freed, was, given, to });
        Ipv4Addr::from(u32::from(self.start) + given as u32)
    }

    /// Holders and queue as they were at first.
    pub(super) fn first(&self) -> ([Option<Holder>; BLOCK_SIZE], Vec<usize>) {
        let (mut holders, mut free) = (self.holders, self.free.clone());
        for change in self.changes.iter().rev() {
            holders[change.given] = None;
            free.insert(0, change.given);
            let last = free.pop();
            assert_eq!(last, Some(change.freed));
            holders[change.freed] = Some(change.was);
        }
        (holders, free)
    }
}
