//! What the operator asked for, as handles and addresses of the snapshot.

use std::collections::BTreeSet;

use super::args::ReleaseArgs;
use crate::checks::addresses::leaked_address;
use crate::checks::evidence::shell;
use crate::checks::handles::orphaned_handle;
use crate::checks::{World, run_these};
use crate::model::{Addr, Code, Finding, HandleId, SubjectKind, Time};
use crate::plan::recurring::{self, Recurring};
use crate::plan::rules::limit;

/// One thing to be judged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wanted {
    Handle(HandleId),
    Address(Addr),
}

/// Everything that is to be judged.
#[derive(Debug, Default)]
pub struct Chosen {
    pub wanted: Vec<Wanted>,
    /// Named things that do not exist at all, and what is left out.
    pub nothing: Vec<String>,
    /// Found beyond `--max`.
    pub beyond_max: usize,
    /// What the second look reads again: findings about what is wanted.
    pub findings: Vec<Finding>,
}

/// Chooses by name or by code.
pub fn choose(args: &ReleaseArgs, world: &World<'_>) -> Chosen {
    let findings = run_these(world, &[&leaked_address::CHECK, &orphaned_handle::CHECK]).findings;
    match args.code {
        Some(code) => by_code(args, world, code, findings),
        None => by_name(args, world, findings),
    }
}

fn by_name(args: &ReleaseArgs, world: &World<'_>, findings: Vec<Finding>) -> Chosen {
    let mut chosen = Chosen::default();
    let mut wanted = BTreeSet::new();
    for id in args.handles() {
        match HandleId::find(&world.snapshot.names, &id) {
            Some(id) => drop(wanted.insert(Wanted::Handle(id))),
            None => chosen.nothing.push(format!("{id}: no such handle, and no block has an address of it")),
        }
    }
    wanted.extend(args.address.iter().copied().map(Wanted::Address));
    let mut subjects: BTreeSet<String> = args.address.iter().map(ToString::to_string).collect();
    for wanted in &wanted {
        let id = match wanted {
            Wanted::Handle(id) => Some(*id),
            Wanted::Address(a) => world.ledger.allocations_at(*a).first().and_then(|a| world.ledger.handle_of(a)),
        };
        if let Some(id) = id {
            subjects.extend(world.ledger.allocations_of(id).map(|a| a.address.to_string()));
            subjects.insert(id.text(&world.snapshot.names));
        }
    }
    let about = |f: &Finding| subjects.contains(crate::model::handle::sanitised(&f.subject.id));
    chosen.findings = findings.into_iter().filter(about).collect();
    chosen.wanted = wanted.into_iter().collect();
    chosen
}

/// The oldest first, each handle once. Orphaned handles whose id comes again are left out, and told.
fn by_code(args: &ReleaseArgs, world: &World<'_>, code: Code, findings: Vec<Finding>) -> Chosen {
    let older_than = args.older_than.unwrap_or_default();
    let mut old: Vec<(Time, Finding)> = findings
        .into_iter()
        .filter(|f| f.code == code)
        .filter_map(|f| first_seen(world, &f).map(|since| (since, f)))
        .filter(|(since, _)| world.snapshot.now.since(*since) >= older_than)
        .collect();
    old.sort_by(|a, b| (a.0, &a.1.subject.id).cmp(&(b.0, &b.1.subject.id)));
    let mut chosen = Chosen::default();
    let (mut seen, mut recurring) = (BTreeSet::new(), BTreeSet::new());
    let mut about = Vec::new();
    for (_, finding) in old {
        let Some(wanted) = wanted_of(world, &finding) else { continue };
        if let Wanted::Handle(id) = wanted
            && code == orphaned_handle::CHECK.code
            && Recurring::of(&world.snapshot.names, id).is_some()
        {
            recurring.insert(id);
            continue;
        }
        if seen.insert(wanted) {
            chosen.wanted.push(wanted);
        }
        about.push((wanted, finding));
    }
    let first = recurring.first().map(|id: &HandleId| shell(&id.text(&world.snapshot.names))).unwrap_or_default();
    chosen.nothing.extend(recurring::left_out(recurring.len(), &first));
    let now = limit(chosen.wanted.len(), args.max);
    chosen.beyond_max = chosen.wanted.len() - now;
    chosen.wanted.truncate(now);
    let chosen_ones: BTreeSet<Wanted> = chosen.wanted.iter().copied().collect();
    chosen.findings = about.into_iter().filter(|(w, _)| chosen_ones.contains(w)).map(|(_, f)| f).collect();
    chosen
}

fn first_seen(world: &World<'_>, finding: &Finding) -> Option<Time> {
    let open = &world.past?.open;
    open.get(finding.code, finding.subject.kind, &finding.subject.id).map(|known| known.first_seen)
}

fn wanted_of(world: &World<'_>, finding: &Finding) -> Option<Wanted> {
    if finding.subject.kind == SubjectKind::Handle {
        return HandleId::find(&world.snapshot.names, &finding.subject.id).map(Wanted::Handle);
    }
    let address: Addr = finding.subject.id.parse().ok()?;
    let allocation = world.ledger.allocations_at(address).first()?;
    Some(world.ledger.handle_of(allocation).map_or(Wanted::Address(address), Wanted::Handle))
}
