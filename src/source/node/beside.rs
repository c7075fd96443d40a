//! Network namespaces that are not behind a workload interface, or behind none at all: what they have in use forbids releases,
//! and nothing is judged by it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsRawFd;
use std::path::Path;

use netlink_packet_route::nsid::NsidAttribute;

use super::inside::{NAMED, WantedPods, addresses, both, name_of, names_in, nsid_of, processes};
use super::messages::{self, LinkNames};
use super::netlink::kernel;
use super::ns::{self, NamespaceFile};
use super::proc::Proc;
use crate::model::node_evidence::{Dump, HostLink, InUse, LookInside, PodInside, UsedBy};
use crate::model::{Cidr, Foreign};

/// What namespaces show in use, each with the host's end of an interface of theirs where there is one.
type Uses = Vec<(Cidr, InUse)>;

/// What is in use behind these links, those of pods left out, and where no link leads. Each namespace is asked by the strongest means that
/// was granted; one that none of them reaches says nothing.
pub fn look(how: LookInside, proc: &Proc, links: &[&HostLink], pods: &[&HostLink]) -> Uses {
    let of_pods: BTreeSet<i32> = pods.iter().filter_map(|link| link.nsid).collect();
    let mut wanted = WantedPods::new();
    for link in links {
        if let Some(nsid) = link.nsid.filter(|nsid| !of_pods.contains(nsid)) {
            wanted.entry(nsid).or_insert(link);
        }
    }
    let may = |means: LookInside| how == LookInside::Auto || how == means;
    let mut uses = Uses::new();
    if may(LookInside::Netns) {
        uses.extend(by_entering(proc, &mut wanted, &of_pods));
    }
    if may(LookInside::Nsid) {
        uses.extend(by_number(&mut wanted));
    }
    if may(LookInside::Proc) {
        uses.extend(by_files(proc, &wanted));
    }
    uses
}

fn used(inside: &PodInside, link: Option<&HostLink>, name: Foreign) -> Uses {
    let interface = link.map(|link| link.name.clone()).unwrap_or_default();
    let used = InUse { interface, by: UsedBy::Namespace(name) };
    inside.has().map(|range| (range, used.clone())).collect()
}

/// Every namespace with a name or a visible process but this one; those that could be entered are wanted no more.
fn by_entering(proc: &Proc, wanted: &mut WantedPods<'_>, of_pods: &BTreeSet<i32>) -> Uses {
    let mut host = kernel();
    let mut known: BTreeSet<(u64, u64)> = BTreeSet::new();
    let Ok((own, ())) = NamespaceFile::of(Path::new("/proc/self/ns/net"), |_| ()) else { return Uses::new() };
    known.insert(own.which());
    let (mut places, mut names, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    let mut take = |path: &Path, name: &dyn Fn() -> Foreign| {
        let mut number = |file: &std::fs::File| {
            let fd = u32::try_from(file.as_raw_fd()).ok()?;
            nsid_of(&mut host, NsidAttribute::Fd(fd))
        };
        let Ok((place, fd)) = NamespaceFile::of(path, std::fs::File::try_clone) else { return };
        if !known.insert(place.which()) {
            return;
        }
        let nsid = fd.ok().and_then(|file| number(&file));
        if nsid.is_none_or(|nsid| !of_pods.contains(&nsid)) {
            names.push(name());
            numbers.push(nsid);
            places.push(place);
        }
    };
    let (named, _) = names_in(Path::new(NAMED));
    named.iter().for_each(|path| take(path, &|| name_of(path)));
    for pid in proc.processes().unwrap_or_default() {
        take(&proc.namespace(pid), &|| {
            let owner = proc.owner(pid);
            if owner.container.is_empty() { owner.uid } else { owner.container }
        });
    }
    let Ok(looked) = ns::visit(&places, |_| from_within()) else { return Uses::new() };
    let mut uses = Uses::new();
    for ((inside, nsid), name) in looked.into_iter().zip(numbers).zip(names) {
        // One that cannot be entered may be asked by another means.
        if let Ok(Some(inside)) = inside {
            uses.extend(used(&inside, nsid.and_then(|nsid| wanted.remove(&nsid)), name));
        }
    }
    uses
}

/// What the namespace that this thread is in has.
fn from_within() -> Option<PodInside> {
    let mut kernel = kernel();
    let mut names = LinkNames::default();
    let addresses = addresses(&mut kernel, None, &mut names).ok()?;
    let routes = both(|family| {
        let read = |body: &[u8]| Ok(messages::route(body, family, &mut names)?.filter(|route| route.is_answered_for()));
        kernel.dump(&messages::routes(family), messages::NEW_ROUTE, read)
    });
    Some(PodInside { addresses, routes, ..PodInside::default() })
}

fn by_number(wanted: &mut WantedPods<'_>) -> Uses {
    let mut host = kernel();
    let mut seen = BTreeMap::new();
    for nsid in wanted.keys() {
        if let Ok(addresses) = addresses(&mut host, Some(*nsid), &mut LinkNames::default()) {
            seen.insert(*nsid, PodInside { addresses, ..PodInside::default() });
        }
    }
    seen.iter().flat_map(|(nsid, inside)| used(inside, wanted.remove(nsid), Foreign::default())).collect()
}

fn by_files(proc: &Proc, wanted: &WantedPods<'_>) -> Uses {
    if wanted.is_empty() {
        return Uses::new();
    }
    let pids = processes(proc, &mut kernel(), wanted).unwrap_or_default();
    let mut uses = Uses::new();
    for (nsid, pid) in pids {
        let owner = proc.owner(pid);
        let name = if owner.container.is_empty() { owner.uid } else { owner.container };
        if let Ok(addresses) = proc.addresses(pid) {
            let inside = PodInside { addresses: Dump::Read(addresses), ..PodInside::default() };
            uses.extend(used(&inside, wanted.get(&nsid).copied(), name));
        }
    }
    uses
}
