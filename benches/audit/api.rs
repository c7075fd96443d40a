//! Whole audits with the pods from a real API server, which keeps them in an etcd of its own.

use std::time::Duration;

use super::audits::{audit, programs, run_beside};
use super::generator::Changes;
use super::measure::Measured;
use super::options::Options;
use super::print::say;
use super::servers::kube_users::ADMIN;
use super::servers::skip::{Need, have};
use super::servers::{self, ApiServer, EtcdVersion};
use super::table::{Row, Store};
use super::world::World;

const AT_ONCE: usize = 5_000;

/// `None` where no API server is installed.
pub fn measure(world: &mut World, version: EtcdVersion, options: &Options) -> Option<Store> {
    if !have(Need::ApiServer, "the bench of the API server") {
        return None;
    }
    say(&format!("{} pods: loading an API server", world.name));
    let api = Api::with(world);
    let config = api.server.kubeconfig(ADMIN).display().to_string();
    let mut first = Vec::new();
    let mut repeated = Vec::new();
    let mut suspects = Vec::new();
    for (mark, program) in programs(options) {
        let row = |name: &str, file: &str| {
            let db = world.file(&format!("{file}{mark}.db"));
            audit(world, format!("{name}{mark}"), &program, &["--db", &db, "--kubeconfig", &config])
        };
        let fresh = row("API, first", "api-first");
        let db = world.file(&format!("api-first{mark}.db"));
        first.push(Row::new(Measured { fresh: Some(db.into()), ..fresh }));
        repeated.push(Row::new(row("API, repeated", "api")));
        suspects.push(Row::new(row("API, repeated, 400 suspects", "api-suspects")));
    }
    let others = api.pids();
    let all = |rows: &mut [Row], world: &World, counted: bool| {
        for row in rows {
            let cost = run_beside(row, world, &others);
            row.costs.extend(counted.then_some(cost));
        }
    };
    all(&mut repeated, world, false);
    api.hide(world, true);
    all(&mut suspects, world, false);
    api.hide(world, false);
    for round in 0..=options.rounds {
        say(&format!("{} pods, API: round {round} of {}", world.name, options.rounds));
        let counted = round > 0 || options.quick;
        all(&mut first, world, counted);
        let changes = world.churn();
        api.follow(world, &changes);
        all(&mut repeated, world, counted);
        api.hide(world, true);
        all(&mut suspects, world, counted);
        api.hide(world, false);
    }
    let rows = first.into_iter().chain(repeated).chain(suspects).collect();
    Some(Store::of(world, version, ", pods from the API".to_owned(), rows))
}

struct Api {
    server: ApiServer,
}

impl Api {
    /// Every object is written into its etcd as it would have written it, and served by it.
    fn with(world: &World) -> Api {
        let api = Api { server: ApiServer::start() };
        let mut batch = Vec::with_capacity(AT_ONCE);
        for (key, value) in world.cluster.stored_objects() {
            batch.push((registry(&key), value));
            if batch.len() == AT_ONCE {
                api.put(std::mem::take(&mut batch));
            }
        }
        api.put(batch);
        api.wait(world.cluster.pods());
        api
    }

    fn put(&self, pairs: Vec<(Vec<u8>, Vec<u8>)>) {
        self.server.with_etcd(|etcd| etcd.put_many(pairs));
    }

    fn delete(&self, keys: &[String]) {
        let keys: Vec<String> = keys.iter().map(|key| format!("/registry/{key}")).collect();
        self.server.with_etcd(|etcd| etcd.delete_many(&keys));
    }

    /// Until it serves so many pods.
    fn wait(&self, pods: usize) {
        servers::eventually("the API server knows its pods", Duration::from_secs(300), || {
            let page = self.server.admin_get("/api/v1/pods?limit=1");
            let listed = page["items"].as_array().map_or(0, Vec::len) as u64;
            listed + page["metadata"]["remainingItemCount"].as_u64().unwrap_or_default() == pods as u64
        });
    }

    /// What became of the pods.
    fn follow(&self, world: &World, changes: &Changes) {
        let gone: Vec<String> = changes.pods.iter().map(|(old, _)| world.cluster.stored_pod(*old).0).collect();
        self.delete(&gone);
        let made = changes.pods.iter().map(|(_, new)| world.cluster.stored_pod(*new));
        self.put(made.map(|(key, value)| (registry(&key), value)).collect());
        self.wait(world.cluster.pods());
    }

    /// Takes so many pods away that they are suspects, or gives them back.
    fn hide(&self, world: &World, hidden: bool) {
        let pods = world.cluster.spread(world.suspects());
        let stored = pods.iter().map(|i| world.cluster.stored_pod(*i));
        match hidden {
            true => self.delete(&stored.map(|(key, _)| key).collect::<Vec<_>>()),
            false => self.put(stored.map(|(key, value)| (registry(&key), value)).collect()),
        }
        let left = world.cluster.pods() - if hidden { pods.len() } else { 0 };
        self.wait(left);
    }

    fn pids(&self) -> Vec<u32> {
        vec![self.server.pid(), self.server.with_etcd(|etcd| etcd.pid())]
    }
}

fn registry(key: &str) -> Vec<u8> {
    format!("/registry/{key}").into_bytes()
}
