//! Releases among everybody's writes: whatever is asked for, and whenever Calico is between two of its writes, no live
//! address is freed, no handle of one is lost, and nothing is done twice.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::acts::{self, Kind, assigned, released, show};
use super::budget::{Random, strike};
use super::calico::handle_key;
use super::calico::owners::Owner;
use super::cluster::{BLOCKS, Cluster, Machine, Run, SERVICES, Service, timestamp};
use super::gate::Event;
use super::invariants;
use super::play::{Act, Play};
use super::servers::http2::TXN;
use super::servers::proxy::Then;
use super::servers::{self, EtcdVersion};

/// Requests of a release between which others write: four lists, two reads of everything, looks, writes.
const STAGES: usize = 14;

/// Counts the requests at which something may happen: of the pinned reads the first alone.
fn stage(event: &Event, stages: &AtomicUsize, pinned: &AtomicUsize) -> Option<usize> {
    if *event == Event::Pinned && pinned.fetch_add(1, Ordering::SeqCst) > 0 {
        return None;
    }
    Some(stages.fetch_add(1, Ordering::SeqCst) + 1)
}

/// What befalls a run beside the writes of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    None,
    /// The answer to its n-th write does not arrive; the next connection works, or none does.
    LostAnswer(usize, Then),
    /// It dies at its n-th stage.
    Killed(usize),
    /// It dies at the n-th pass of a named place.
    KilledAt(&'static str, usize),
}

fn blow(random: &mut Random) -> Blow {
    match random.below(4) {
        0 => Blow::LostAnswer(1 + random.below(3), Then::Reconnect),
        1 => Blow::LostAnswer(1 + random.below(3), Then::Refuse),
        2 => Blow::Killed(8 + random.below(16)),
        _ => {
            let place = random.pick(&["begun", "intend", "intended", "settle", "settled", "finish", "finished"]);
            Blow::KilledAt(place, 1 + random.below(2))
        }
    }
}

fn spawn(cluster: &Cluster, args: &[&str], blow: Blow) -> Child {
    let mut command = cluster.command("release", &cluster.gate.endpoint());
    command.args(["--yes", "-o", "json"]).args(args);
    if let Blow::KilledAt(place, pass) = blow {
        command.env("IPAUDIT_KILL_AT", format!("{place}:{pass}"));
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A release while the play goes on; the play is not over at its end.
fn release_among(cluster: &Cluster, args: &[&str], play: &Arc<Play>, blow: Blow) -> Run {
    let (stages, pinned, writes) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let (pid, proxy, acting) = (Arc::new(AtomicU32::new(0)), cluster.proxy.clone(), play.clone());
    let (victim, alone) = (pid.clone(), Mutex::new(()));
    cluster.tell(Some(Arc::new(move |event: &Event| {
        let _alone = alone.lock();
        if *event == Event::Writing {
            let write = writes.fetch_add(1, Ordering::SeqCst) + 1;
            if let Blow::LostAnswer(wanted, then) = blow
                && wanted == write
            {
                proxy.lose_answer(TXN, then);
            }
        }
        let Some(at) = stage(event, &stages, &pinned) else { return };
        acting.reach(at);
        if blow == Blow::Killed(at) {
            let _ = std::process::Command::new("kill").args(["-KILL", &pid_of(&victim)]).status();
        }
    })));
    let child = spawn(cluster, args, blow);
    pid.store(child.id(), Ordering::SeqCst);
    let run = Run::of(child.wait_with_output().unwrap());
    cluster.tell(None);
    cluster.proxy.open();
    run
}

/// The child is known a moment after it began.
fn pid_of(pid: &AtomicU32) -> String {
    loop {
        match pid.load(Ordering::SeqCst) {
            0 => std::thread::yield_now(),
            pid => return pid.to_string(),
        }
    }
}

/// Machines, tunnels and services whose address is given back and taken again under the same handle, while a release of
/// that handle runs: Calico's late decrement must meet the handle that it knows.
fn ids_again(name: &str, percent: u64, asked: &[&[&str]]) {
    let cluster = Cluster::new(EtcdVersion::V3_7);
    strike(name, percent, 16, |random| {
        cluster.begin();
        let (giving, taking) = again(&cluster, random);
        assert_eq!(cluster.audit().code, 0);
        let handle = giving.handle.clone();
        let args: Vec<&str> = random.pick(asked).iter().map(|arg| if *arg == "ID" { &handle } else { *arg }).collect();
        let play = Arc::new(Play::default());
        // The block is written before anybody looks or while somebody does. Then the id comes again, by turns when the
        // release is over, and the handle is counted down last.
        let first = 1 + random.below(3);
        let begins = if random.chance(50) { STAGES } else { first + 1 };
        let due = random.ascending(taking.steps, STAGES + 1 - begins).iter().map(|at| begins + at).collect();
        let last = begins + random.below(STAGES + 2 - begins);
        play.enter(taking, due);
        play.enter(giving, vec![first, last]);
        let run = release_among(&cluster, &args, &play, Blow::None);
        play.finish();
        let story = format!("{args:?}\n{}\n{run:?}", play.story());
        assert!(matches!(run.code, 0 | 1), "{story}");
        invariants::hold(&cluster, &story);
        invariants::nothing_else(&cluster, &story);
        cluster.history_is_whole();
    });
}

#[test]
fn ids_that_come_again_while_they_are_given_back() {
    servers::need!(Etcd3_7);
    let bulk = ["--code", "IPA201", "--older-than", "0s", "--skip-age"];
    let asked: [&[&str]; 3] = [&["--handle", "ID"], &["--handle", "ID", "--skip-age"], &bulk];
    ids_again("ids_that_come_again_while_they_are_given_back", 7, &asked);
}

/// The operator's word lets such an orphan go after three audits; it never skips them.
#[test]
fn ids_that_come_again_against_the_operators_word() {
    servers::need!(Etcd3_7);
    let word = ["--handle", "ID", "--i-know-what-this-is", "--skip-age"];
    ids_again("ids_that_come_again_against_the_operators_word", 4, &[&word, &word[..3]]);
}

/// Somebody who lives: one act gives the address back, the other one takes it again under the same handle.
fn again(cluster: &Arc<Cluster>, random: &mut Random) -> (Act, Act) {
    let (cidr, node) = *random.pick(&BLOCKS);
    let play = Play::default();
    let making = *random.pick(&[Kind::MachineMade, Kind::ServiceMade, Kind::TunnelUp]);
    play.enter(acts::choose(making, cluster, random).unwrap(), vec![]);
    play.finish();
    if making == Kind::MachineMade {
        play.enter(acts::choose(Kind::MachineStopped, cluster, random).unwrap(), vec![]);
        play.finish();
    }
    let (c, d) = (cluster.clone(), cluster.clone());
    let mut alive = cluster.alive();
    let give = move |c: Arc<Cluster>, handle: String, cidr: String| {
        let name = format!("{handle} is given back");
        Act::new(name, 2, handle.clone(), move |p| released(&c, p, &handle, &cidr))
    };
    match making {
        Kind::MachineMade => {
            let machine = alive.machines.remove(0);
            let owner = Owner::machine("shop", &machine.name, "", node, &timestamp());
            let giving = give(c, machine.handle(), machine.cidr.clone());
            let taking = Act::new(format!("{} is there again", machine.name), 3, machine.handle(), move |p| {
                let address = assigned(&d, p, &owner, cidr);
                let (node, cidr) = (node.to_owned(), cidr.to_owned());
                d.alive().machines.push(Machine { node, cidr, address, ..machine });
            });
            (giving, taking)
        }
        Kind::ServiceMade => {
            let service = alive.services.remove(0);
            let owner = Owner::service("shop", &service.name, &service.uid, &timestamp());
            let giving = give(c, service.handle(), SERVICES.to_owned());
            cluster.kube.change("services", "shop", &service.name, |s| s["status"] = serde_json::json!({}));
            let taking = Act::new(format!("{} is served again", service.name), 3, service.handle(), move |p| {
                let address = assigned(&d, p, &owner, SERVICES);
                d.alive().services.push(Service { address, ..service });
            });
            (giving, taking)
        }
        _ => {
            let place = alive.tunnels.iter().position(|t| t.address.is_some()).unwrap();
            let mut tunnel = alive.tunnels.remove(place);
            let owner = Owner::tunnel(tunnel.tunnel, &tunnel.node);
            let giving = give(c, tunnel.handle(), tunnel.cidr.clone());
            let taking = Act::new(format!("{} is up again", tunnel.handle()), 3, tunnel.handle(), move |p| {
                let address = assigned(&d, p, &owner, &tunnel.cidr);
                show(&d, tunnel.tunnel, &tunnel.node, Some(&address));
                tunnel.address = Some(address);
                d.alive().tunnels.push(tunnel);
            });
            (giving, taking)
        }
    }
}

/// What a release may be asked for: leaks and orphans, those who live, those who are in the middle of something.
fn wanted(cluster: &Cluster, random: &mut Random, acting: &[String]) -> Vec<String> {
    let mut all: Vec<String> = acting.to_vec();
    {
        let alive = cluster.alive();
        all.extend(alive.leaked.iter().map(|p| p.workload.handle()));
        all.extend(alive.orphans.iter().cloned());
    }
    all.extend(invariants::living(cluster).into_iter().map(|(handle, ..)| handle).take(3));
    all.retain(|_| random.chance(70));
    all.dedup();
    all
}

/// A cluster of all kinds, with some who have left addresses or handles behind.
fn littered(cluster: &Arc<Cluster>, random: &mut Random) -> String {
    cluster.begin();
    let play = Play::default();
    for kind in [Kind::PodMade, Kind::MachineMade, Kind::ServiceMade, Kind::TunnelUp, Kind::PodMade] {
        if let Some(act) = acts::choose(kind, cluster, random) {
            play.enter(act, vec![]);
            play.finish();
        }
    }
    for number in 0..2 + random.below(2) {
        let (cidr, node) = *random.pick(&BLOCKS);
        cluster.leak(&format!("leaked{number}"), node, cidr);
        cluster.orphan(random.pick(&BLOCKS).0);
    }
    // What is released in bulk is held against an earlier audit.
    let audit = cluster.audit();
    assert!(matches!(audit.code, 0 | 1), "{audit:?}");
    play.story()
}

/// Leaks and orphans that are gone are forgotten: both their writes are done, or none.
fn forget_the_gone(cluster: &Cluster, story: &str) {
    let held = invariants::allocated(cluster, story);
    let is_there = |handle: &str| cluster.value(&handle_key(handle)).is_some();
    let mut alive = cluster.alive();
    alive.leaked.retain(|pod| {
        let handle = pod.workload.handle();
        assert_eq!(held.contains_key(&handle), is_there(&handle), "{handle} is half released\n{story}");
        is_there(&handle)
    });
    alive.orphans.retain(|id| is_there(id));
}

/// Every leak and orphan goes in the end, each recorded as done once, and no release is left open.
fn clean_up(cluster: &Cluster, story: &str) {
    // One at least: a run that writes settles what a killed one has left open.
    cluster.orphan(BLOCKS[0].0);
    let names: Vec<String> = {
        let alive = cluster.alive();
        alive.leaked.iter().map(|p| p.workload.handle()).chain(alive.orphans.iter().cloned()).collect()
    };
    let run = cluster.release(&["--handle", &names.join(","), "--skip-age"]);
    assert_eq!(run.code, 0, "what is left behind goes when nobody disturbs: {run:?}\n{story}");
    forget_the_gone(cluster, story);
    invariants::hold(cluster, story);
    invariants::nothing_else(cluster, story);
    assert!(cluster.alive().leaked.is_empty() && cluster.alive().orphans.is_empty(), "{story}");
    let mut done: BTreeMap<String, usize> = BTreeMap::new();
    for release in cluster.release(&["--list"]).json()["releases"].as_array().unwrap() {
        assert_ne!(release["outcome"], "open", "{release}\n{story}");
        for subject in release["subjects"].as_array().unwrap() {
            assert!(!subject["outcome"].is_null(), "left open: {subject}\n{story}");
            if subject["kind"] == "handle" && subject["outcome"] == "applied" {
                *done.entry(subject["id"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
    }
    for (handle, times) in &done {
        // A container's id never comes again; a machine's does.
        let again = handle.contains(".vmi.") || !handle.starts_with("k8s-pod-network.");
        assert!(*times == 1 || again, "{handle}: {times} times\n{story}");
    }
    cluster.history_is_whole();
}

fn rounds(name: &str, percent: u64, kinds: &[Kind], blows: bool) {
    let cluster = Cluster::new(EtcdVersion::V3_7);
    strike(name, percent, 3, |random| {
        let mut story = littered(&cluster, random);
        for _ in 0..3 {
            let play = Arc::new(Play::default());
            let mut acting = Vec::new();
            for _ in 0..random.below(4) {
                if let Some(act) = acts::choose(*random.pick(kinds), &cluster, random) {
                    acting.push(act.handle.clone());
                    let due = random.ascending(act.steps, STAGES);
                    play.enter(act, due);
                }
            }
            let names = wanted(&cluster, random, &acting).join(",");
            let code = *random.pick(&["IPA110", "IPA201"]);
            let args = match names.is_empty() || random.chance(20) {
                true => vec!["--code", code, "--older-than", "0s", "--skip-age"],
                false => vec!["--handle", &names, "--skip-age"],
            };
            let blow = if blows { blow(random) } else { Blow::None };
            let run = release_among(&cluster, &args, &play, blow);
            play.finish();
            story =
                format!("{story}\n{args:?} {blow:?}\n{}\n{} {}{}", play.story(), run.status, run.stdout, run.stderr);
            // Who was asked for may not be there yet.
            let nobody = run.code == 2 && run.stderr.contains("there is no handle ");
            let is_blow = blow != Blow::None && matches!(run.code, -1 | 3);
            assert!(matches!(run.code, 0 | 1) || nobody || is_blow, "{story}");
            forget_the_gone(&cluster, &story);
            invariants::hold(&cluster, &story);
            invariants::nothing_else(&cluster, &story);
        }
        clean_up(&cluster, &story);
    });
}

#[test]
fn releases_while_adds_and_dels_are_held_between_their_writes() {
    servers::need!(Etcd3_7);
    rounds("releases_while_adds_and_dels_are_held_between_their_writes", 6, &acts::PODS, false);
}

#[test]
fn releases_among_everything() {
    servers::need!(Etcd3_7);
    rounds("releases_among_everything", 8, &acts::ALL.concat(), false);
}

#[test]
fn releases_that_lose_answers_or_are_killed() {
    servers::need!(Etcd3_7);
    rounds("releases_that_lose_answers_or_are_killed", 9, &acts::PODS, true);
}
