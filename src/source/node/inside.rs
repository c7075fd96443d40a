//! Pods' network namespaces, looked into by the strongest means that was granted.
//!
//! Which namespace is which pod's is the kernel's word: the host's end of every pod's interface names the namespace of the
//! other end by a number, and the same number is told, to anybody, of a process and of a file.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use netlink_packet_route::nsid::NsidAttribute;

use super::messages::{self, IpFamily, LinkNames};
use super::netlink::{Kernel, KernelList, NotAnswered, kernel};
use super::ns::{self, NamespaceFile};
use super::proc::{Proc, ProcessOwner};
use crate::model::node_evidence::{
    Dump, HostAddress, HostLink, Inside, InsideFailed, KernelNeighbour, LookInside, Means, PodInside, is_reachable,
};
use crate::model::{Addr, Foreign, Term};

/// Where named namespaces are.
pub const NAMED: &str = "/run/netns";

/// What came of it, and where nothing did, why, by means.
pub struct LookedInside {
    pub inside: Inside,
    pub denied: Vec<(Means, String)>,
}

/// Which pods there are to look into: by the number of their namespace the host's end of their interface.
pub type WantedPods<'l> = BTreeMap<i32, &'l HostLink>;

/// What one means says of all pods; an error says why it says nothing at all.
type ByMeans = Result<Vec<Result<PodInside, InsideFailed>>, String>;

/// Looks into the pods of these links.
pub fn look(how: LookInside, proc: &Proc, links: &[&HostLink]) -> LookedInside {
    let mut wanted = WantedPods::new();
    for link in links {
        if let Some(nsid) = link.nsid {
            wanted.entry(nsid).or_insert(link);
        }
    }
    if wanted.is_empty() && how == LookInside::Auto {
        return LookedInside { inside: Inside::default(), denied: Vec::new() };
    }
    chosen(how, |means| match means {
        _ if wanted.is_empty() => Ok(Vec::new()),
        Means::Netns => by_entering(proc, &wanted),
        Means::Nsid => by_number(&wanted),
        Means::Proc | Means::Pasted => by_files(proc, &wanted),
    })
}

/// What the means that was said gives. Where none was, the strongest that sees every pod, else the one that sees most.
fn chosen(how: LookInside, by: impl Fn(Means) -> ByMeans) -> LookedInside {
    let means: &[Means] = match how {
        LookInside::None => &[],
        LookInside::Auto => &[Means::Netns, Means::Nsid, Means::Proc],
        LookInside::Netns => &[Means::Netns],
        LookInside::Nsid => &[Means::Nsid],
        LookInside::Proc => &[Means::Proc],
    };
    let mut denied = Vec::new();
    let mut best: Option<(usize, Inside)> = None;
    for &means in means {
        match by(means) {
            Err(why) => denied.push((means, why)),
            Ok(pods) => {
                let read = pods.iter().filter(|pod| pod.is_ok()).count();
                let is_all = read == pods.len();
                if is_all || best.as_ref().is_none_or(|(most, _)| read > *most) {
                    best = Some((read, gathered(means, pods)));
                }
                if is_all {
                    break;
                }
            }
        }
    }
    if let Some((_, inside)) = best {
        return LookedInside { inside, denied: Vec::new() };
    }
    let mut inside = Inside::default();
    // One that was asked for by its name was not had; of all nobody said that any should be.
    if let (false, Some((means, why))) = (how == LookInside::Auto, denied.first()) {
        inside.means = Some(Term::Known(*means));
        inside.pods = Dump::NotRead(why.as_str().into());
    }
    LookedInside { inside, denied }
}

fn gathered(means: Means, pods: Vec<Result<PodInside, InsideFailed>>) -> Inside {
    let (mut read, mut failed) = (Vec::new(), Vec::new());
    for pod in pods {
        match pod {
            Ok(pod) => read.push(pod),
            Err(one) => failed.push(one),
        }
    }
    Inside { means: Some(Term::Known(means)), pods: Dump::Read(read), failed }
}

fn failed(link: &HostLink, why: impl Into<Foreign>) -> InsideFailed {
    InsideFailed { interface: link.name.clone(), why: why.into() }
}

fn of(link: &HostLink) -> PodInside {
    PodInside { nsid: link.nsid, host_link: Some(link.index), ..PodInside::default() }
}

/// By the number of a process' namespace the oldest process in it, of those namespaces that are wanted.
pub fn processes(proc: &Proc, host: &mut Kernel, wanted: &WantedPods<'_>) -> Result<BTreeMap<i32, u32>, String> {
    let mut found = BTreeMap::new();
    for pid in proc.processes().map_err(|e| format!("/proc cannot be listed: {e}"))? {
        if let Some(nsid) = nsid_of(host, NsidAttribute::Pid(pid)).filter(|nsid| wanted.contains_key(nsid)) {
            found.entry(nsid).or_insert(pid);
            if found.len() == wanted.len() {
                break;
            }
        }
    }
    Ok(found)
}

/// The number of a namespace; `None` also of a process that is gone.
pub fn nsid_of(host: &mut Kernel, of: NsidAttribute) -> Option<i32> {
    host.ask(&messages::nsid(of), messages::NEW_NSID, messages::nsid_of).ok().flatten()
}

/// What a namespace's file is called where it has a name; a process' file has none.
pub fn name_of(path: &Path) -> Foreign {
    let name = path.strip_prefix(NAMED).ok().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_default().into()
}

/// The files of a folder of named namespaces, and why these are not all. That there is no such folder hides nothing.
pub fn names_in(folder: &Path) -> (Vec<PathBuf>, Option<String>) {
    let (mut paths, mut hidden) = (Vec::new(), None);
    let mut unread = |e: &std::io::Error| {
        hidden.get_or_insert_with(|| format!("{}: {e}", folder.display()));
    };
    match std::fs::read_dir(folder) {
        Ok(entries) => {
            entries.for_each(|entry| entry.map_or_else(|e| unread(&e), |entry| paths.push(entry.path())));
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => unread(&e),
    }
    (paths, hidden)
}

/// The namespaces themselves: named ones, then those of processes.
fn by_entering(proc: &Proc, wanted: &WantedPods<'_>) -> ByMeans {
    let mut host = kernel();
    let mut places: BTreeMap<i32, NamespaceFile> = BTreeMap::new();
    let mut take = |path: &Path, host: &mut Kernel| {
        let number = |file: &std::fs::File| {
            let fd = u32::try_from(file.as_raw_fd()).ok()?;
            nsid_of(host, NsidAttribute::Fd(fd))
        };
        let (place, nsid) = NamespaceFile::of(path, number)?;
        if let Some(nsid) = nsid.filter(|nsid| wanted.contains_key(nsid)) {
            places.entry(nsid).or_insert(place);
        }
        Ok::<(), std::io::Error>(())
    };
    let (named, mut hidden) = names_in(Path::new(NAMED));
    for path in named {
        if let Err(e) = take(&path, &mut host) {
            hidden.get_or_insert(format!("{}: {e}", path.display()));
        }
    }
    let pids = processes(proc, &mut host, wanted).unwrap_or_else(|why| {
        hidden.get_or_insert(why);
        BTreeMap::new()
    });
    for pid in pids.values() {
        let path = proc.namespace(*pid);
        if let Err(e) = take(&path, &mut host)
            && e.kind() != ErrorKind::NotFound
        {
            hidden.get_or_insert(format!("{}: {e}", path.display()));
        }
    }
    if places.is_empty() {
        return Err(hidden.unwrap_or_else(|| format!("no pod's namespace is in {NAMED} or a visible process'")));
    }
    let (numbers, places): (Vec<i32>, Vec<NamespaceFile>) = places.into_iter().unzip();
    let link = |at: usize| numbers.get(at).and_then(|nsid| wanted.get(nsid)).copied();
    let looked = ns::visit(&places, |at| link(at).map(from_within)).map_err(|e| e.to_string())?;
    let mut pods: BTreeMap<i32, Result<PodInside, InsideFailed>> = BTreeMap::new();
    for ((nsid, place), looked) in numbers.iter().zip(&places).zip(looked) {
        let Some(link) = wanted.get(nsid) else { continue };
        let read = match looked {
            Ok(Some(read)) => read,
            Ok(None) => continue,
            // What forbids one forbids all.
            Err(e) if e.kind() == ErrorKind::PermissionDenied => return Err(format!("{}: {e}", place.path.display())),
            Err(e) => Err(failed(link, format!("{}: {e}", place.path.display()))),
        };
        let named = read.map(|pod| PodInside { netns: name_of(&place.path), ..pod });
        let owned = named.map(|pod| match pids.get(nsid) {
            Some(pid) => owned(pod, proc.owner(*pid)),
            None => pod,
        });
        pods.insert(*nsid, owned);
    }
    let missing =
        || hidden.clone().unwrap_or_else(|| "its namespace has neither a name nor a visible process".to_owned());
    Ok(wanted.iter().map(|(nsid, link)| pods.remove(nsid).unwrap_or_else(|| Err(failed(link, missing())))).collect())
}

fn owned(pod: PodInside, owner: ProcessOwner) -> PodInside {
    PodInside { uid: owner.uid, container: owner.container, ..pod }
}

/// What the namespace that this thread is in says, of the pod at the other end of this link.
fn from_within(link: &HostLink) -> Result<PodInside, InsideFailed> {
    let mut kernel = kernel();
    let links = kernel.dump(&messages::links(None), messages::NEW_LINK, messages::link);
    let mut names = LinkNames::of(&links.had);
    let mut pod = of(link);
    pod.mac = mac_at(link, &links.had);
    pod.addresses = addresses(&mut kernel, None, &mut names).map_err(|refusal| failed(link, refusal.why))?;
    pod.routes = both(|family| {
        let read = |body: &[u8]| messages::route(body, family, &mut names);
        kernel.dump(&messages::routes(family), messages::NEW_ROUTE, read)
    });
    pod.neighbours = both(|family| {
        let read = |body: &[u8]| messages::neighbour(body, family, &mut names);
        let list = kernel.dump(&messages::neighbours(family), messages::NEW_NEIGHBOUR, read);
        list.map(|(_, neighbour): (u32, KernelNeighbour)| neighbour)
    });
    Ok(pod)
}

/// The MAC of the other end of a link, of its namespace's interfaces.
fn mac_at(link: &HostLink, inner: &[HostLink]) -> Option<u64> {
    inner.iter().find(|inner| Some(inner.index) == link.peer).and_then(|inner| inner.mac)
}

/// The addresses by which a namespace can be reached: this thread's, or the one of this number. An error where nothing was had.
pub fn addresses(
    kernel: &mut Kernel,
    nsid: Option<i32>,
    names: &mut LinkNames,
) -> Result<Dump<Vec<Addr>>, NotAnswered> {
    let (mut all, mut failure) = (Vec::new(), None);
    for family in [IpFamily::V4, IpFamily::V6] {
        let read = |body: &[u8]| messages::own_address(body, family, names);
        let own = kernel.dump(&messages::addresses(family, nsid), messages::NEW_ADDRESS, read);
        all.extend(own.had.iter().map(|own: &HostAddress| own.address).filter(|address| is_reachable(*address)));
        failure = failure.or(own.failure);
    }
    match failure {
        Some(refusal) if all.is_empty() => Err(refusal),
        failure => Ok(Dump::of(all, failure.map(|refusal| refusal.why.into()))),
    }
}

/// A list of both families; where one of them is not whole, the list is not.
pub fn both<T>(mut read: impl FnMut(IpFamily) -> KernelList<T>) -> Dump<Vec<T>> {
    let (mut all, mut why) = (Vec::new(), None);
    for family in [IpFamily::V4, IpFamily::V6] {
        let listed = read(family);
        all.extend(listed.had);
        why = why.or(listed.failure.map(|refusal| Foreign::from(refusal.why)));
    }
    Dump::of(all, why)
}

/// The kernel asked for the addresses of namespaces by their numbers.
fn by_number(wanted: &WantedPods<'_>) -> ByMeans {
    let mut host = kernel();
    let mut pods = Vec::new();
    for (nsid, link) in wanted {
        match of_number(&mut host, *nsid, link) {
            Ok(pod) => pods.push(Ok(pod)),
            // What forbids one forbids all.
            Err(refusal) if refusal.is_forbidden() => return Err(refusal.why),
            Err(refusal) => pods.push(Err(failed(link, refusal.why))),
        }
    }
    Ok(pods)
}

fn of_number(host: &mut Kernel, nsid: i32, link: &HostLink) -> Result<PodInside, NotAnswered> {
    let mut pod = of(link);
    pod.addresses = addresses(host, Some(nsid), &mut LinkNames::default())?;
    // Without its links the pod has no MAC, and its addresses all the same.
    let links = host.dump(&messages::links(Some(nsid)), messages::NEW_LINK, messages::link);
    pod.mac = mac_at(link, &links.had);
    Ok(pod)
}

/// Files below `/proc/PID/net`.
fn by_files(proc: &Proc, wanted: &WantedPods<'_>) -> ByMeans {
    let mut host = kernel();
    let pids = processes(proc, &mut host, wanted)?;
    if pids.is_empty() {
        return Err("no process of a pod is visible".to_owned());
    }
    let mut of_pid = |pid: u32, nsid: i32, link: &HostLink| -> std::io::Result<PodInside> {
        let pod = PodInside {
            addresses: Dump::Read(proc.addresses(pid)?),
            routes: file(proc.routes(pid)),
            neighbours: file(proc.neighbours(pid)),
            ..owned(of(link), proc.owner(pid))
        };
        // The number may be another process' by now.
        match nsid_of(&mut host, NsidAttribute::Pid(pid)) == Some(nsid) {
            true => Ok(pod),
            false => Err(std::io::Error::new(ErrorKind::NotFound, "the process has ended")),
        }
    };
    let mut refused = None;
    let pod = |(nsid, link): (&i32, &&HostLink)| {
        let pid = pids.get(nsid).ok_or_else(|| failed(link, "no process of it is visible"))?;
        of_pid(*pid, *nsid, link).map_err(|e| {
            let why = format!("/proc/{pid}/net: {e}");
            if e.kind() == ErrorKind::PermissionDenied {
                refused.get_or_insert_with(|| why.clone());
            }
            failed(link, why)
        })
    };
    let pods = wanted.iter().map(pod).collect();
    granted(pods, refused)
}

/// A list of a pod's; that it cannot be read costs the pod nothing else.
fn file<T>(read: std::io::Result<Vec<T>>) -> Dump<Vec<T>> {
    read.map_or_else(|e| Dump::NotRead(e.to_string().into()), Dump::Read)
}

/// What a means gave; that it was refused where it gave nothing at all (with `hidepid=1` every pod is).
fn granted(pods: Vec<Result<PodInside, InsideFailed>>, refused: Option<String>) -> ByMeans {
    match refused {
        Some(why) if pods.iter().all(Result::is_err) => Err(why),
        _ => Ok(pods),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is chosen where the means give so many pods of four; `None`: it was not granted.
    fn told(how: LookInside, [netns, nsid, proc]: [Option<usize>; 3]) -> (Option<&'static str>, usize, usize, usize) {
        let looked = chosen(how, |means| {
            let read = match means {
                Means::Netns => netns,
                Means::Nsid => nsid,
                Means::Proc | Means::Pasted => proc,
            };
            let read = read.ok_or_else(|| "Operation not permitted".to_owned())?;
            let pod =
                |at| if at < read { Ok(PodInside::default()) } else { Err(failed(&HostLink::default(), "hidden")) };
            Ok((0..4).map(pod).collect())
        });
        let means = looked.inside.means.as_ref().and_then(Term::known).map(Means::word);
        let read = looked.inside.pods.read().map_or(0, Vec::len);
        (means, read, looked.inside.failed.len(), looked.denied.len())
    }

    #[test]
    fn the_strongest_means_that_sees_all_pods_is_taken_else_the_one_that_sees_most() {
        let auto = |granted| told(LookInside::Auto, granted);
        assert_eq!(auto([Some(4), Some(4), Some(4)]), (Some("netns"), 4, 0, 0));
        assert_eq!(auto([None, Some(4), Some(4)]), (Some("nsid"), 4, 0, 0));
        assert_eq!(auto([None, None, Some(3)]), (Some("proc"), 3, 1, 0));
        assert_eq!(auto([Some(1), None, Some(4)]), (Some("proc"), 4, 0, 0));
        assert_eq!(auto([Some(2), Some(3), Some(1)]), (Some("nsid"), 3, 1, 0));
        assert_eq!(auto([None, None, None]), (None, 0, 0, 3), "and that is no reading that failed");
        assert_eq!(told(LookInside::None, [Some(4); 3]), (None, 0, 0, 0));
    }

    #[test]
    fn names_that_cannot_be_listed_are_told_and_where_there_are_none_nothing_is_hidden() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("netns");
        assert_eq!(names_in(&place), (Vec::new(), None));
        std::fs::write(&place, "").unwrap();
        let (names, hidden) = names_in(&place);
        assert!(names.is_empty() && hidden.unwrap().contains("netns: Not a directory"));
    }

    #[test]
    fn what_is_asked_for_by_its_name_and_not_granted_is_not_read() {
        assert_eq!(told(LookInside::Proc, [Some(4), Some(4), Some(2)]), (Some("proc"), 2, 2, 0));
        let refused = chosen(LookInside::Nsid, |_| Err("Operation not permitted".to_owned()));
        assert_eq!(refused.inside.pods, Dump::NotRead("Operation not permitted".into()));
    }

    #[test]
    fn a_means_that_was_refused_at_every_pod_gives_nothing() {
        let one = || Err(failed(&HostLink::default(), "/proc/7/net: Operation not permitted"));
        let why = || Some("/proc/7/net: Operation not permitted".to_owned());
        let looked = chosen(LookInside::Proc, |_| granted(vec![one(), one()], why()));
        assert_eq!(looked.inside.pods.failure().map(Foreign::raw), why().as_deref());
        // Those that could be looked into are something; and one that is gone was refused by nobody.
        assert!(granted(vec![one(), Ok(PodInside::default())], why()).is_ok());
        assert!(granted(vec![one()], None).is_ok());
    }
}
