//! How a pod is restarted: by deleting it, where something makes it anew. Where nothing does, or nobody knows, its manifest
//! is saved first; a static pod's mirror and a pod that ends already are not deleted at all.

use super::{Draft, shell};
use crate::checks::{World, few};
use crate::model::number::grouped;
use crate::model::{Comeback, Input, Name, Pod};

/// How an advice begins where all who would be restarted end already.
pub const WAIT: &str = "wait for the end of ";
/// The longest part of a file's name that is taken of a pod's: most file systems know 255 bytes.
const STEM: usize = 200;

/// What a pod is restarted with; `None`: deleting it restarts nothing.
pub fn restart_command(comeback: Comeback, namespace: &str, name: &str) -> Option<String> {
    let delete = delete_pod(namespace, name);
    let of_pod = |end: &str| format!("kubectl -n {} get pod {end}", shell(namespace));
    let file = manifest(namespace, name);
    // The shell itself refuses to write over the manifest that an earlier attempt saved.
    let save = || match name.starts_with('-') {
        false => format!("(set -C; {} -o yaml > {file})", of_pod(&shell(name))),
        true => format!("(set -C; {} > {file})", of_pod(&format!("-o yaml -- {}", shell(name)))),
    };
    match comeback {
        Comeback::Controller => Some(delete),
        Comeback::Unknown => Some(format!("{} && {delete}", save())),
        // A pod that was debugged is not created with its ephemeral containers.
        Comeback::Never => Some(format!(
            "{} && ! grep '^  ephemeralContainers:' {file} && {delete} && kubectl create -f {file}",
            save()
        )),
        Comeback::Kubelet => None,
    }
}

/// What must be said of restarting these (`one`: it is a single one), of which all come back alike.
pub fn restart_caveat(comeback: Comeback, whom: &str, one: bool) -> Option<String> {
    let (has, does, it, its) = if one { ("has", "does", "it", "its") } else { ("have", "do", "each", "their") };
    match comeback {
        Comeback::Controller => None,
        Comeback::Never => Some(format!(
            "{whom} {has} no controller and {does} not come back by {}: save {it} to a file, delete it, create it from that",
            if one { "itself" } else { "themselves" }
        )),
        Comeback::Unknown => Some(format!(
            "nothing says whether {whom} {has} a controller: save {it} to a file before it is deleted, and create it from \
             that where it does not come back"
        )),
        Comeback::Kubelet => Some(format!(
            "{whom} {} static, and deleting {} restarts nothing: on {its} node move the manifest out of the kubelet's \
             staticPodPath, wait until the sandbox is gone, and move it back",
            if one { "is" } else { "are" },
            if one { "it" } else { "them" }
        )),
    }
}

/// `pod.shop.web-0.yaml`: where a pod's manifest is saved, a word that no shell reads otherwise.
fn manifest(namespace: &str, name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let plain = |c: char| if is_plain(c) { c } else { '_' };
    let stem: String = format!("{namespace}.{name}").chars().map(plain).take(STEM).collect();
    format!("pod.{stem}.yaml")
}

/// `kubectl -n NAMESPACE delete pod NAME`; no name is taken for a flag: `--all` would delete every pod.
fn delete_pod(namespace: &str, name: &str) -> String {
    let end = if name.starts_with('-') { "-- " } else { "" };
    format!("kubectl -n {} delete pod {end}{}", shell(namespace), shell(name))
}

/// Whether a command deletes pods.
pub fn deletes_pods(command: &str) -> bool {
    let is_kubectls = command.starts_with("kubectl ") || command.starts_with("(set -C; kubectl ");
    is_kubectls && (command.contains(" delete pod ") || command.contains(" delete pods "))
}

/// What is to be done with a pod that its finding has named.
pub fn restart_it(pod: Option<&Pod>) -> &'static str {
    match pod.is_some_and(Pod::is_terminating) {
        true => "wait for the end of the pod, which is Terminating already",
        false => "restart the pod",
    }
}

/// Those of these pods that do not end already: the others are not restarted.
pub fn staying<'p>(pods: impl IntoIterator<Item = &'p Pod>) -> Vec<&'p Pod> {
    pods.into_iter().filter(|pod| !pod.is_terminating()).collect()
}

impl World<'_> {
    /// `restart shop/web-0`, of several `restart WORDS`; where all of them end already, `wait for the end of …`.
    pub fn restart_words(&self, pods: &[&Pod], several: impl FnOnce(usize) -> String) -> String {
        let ids = |pods: &[&Pod]| pods.iter().map(|pod| self.pod_id(pod)).collect::<Vec<_>>();
        match staying(pods.iter().copied()).as_slice() {
            [] if !pods.is_empty() => {
                let is = if pods.len() == 1 { "which is" } else { "which are" };
                format!("{WAIT}{}, {is} Terminating already", few(&ids(pods), ", "))
            }
            [one] => format!("restart {}", self.pod_id(one)),
            many => format!("restart {}", several(many.len())),
        }
    }
}

impl Draft<'_> {
    /// Commands that restart pods, in this order, and what must be said of it. One that ends already is waited for.
    pub fn restart(self, pods: &[&Pod]) -> Self {
        let world = self.world;
        let stays = staying(pods.iter().copied());
        let mut draft = self.restarts_pods(!pods.is_empty());
        for pod in &stays {
            let command = restart_command(pod.comeback(), world.text(pod.namespace), world.text(pod.name));
            draft = draft.with_each(command, Draft::next);
        }
        draft.ends(pods, &stays).restarts_later(pods)
    }

    /// What must be said of restarting pods that are restarted later, by no command yet.
    pub fn restarts_later(self, pods: &[&Pod]) -> Self {
        let stays = staying(pods.iter().copied());
        let nodes: Vec<Name> = pods.iter().filter(|pod| !pod.mirror).map(|pod| pod.node).collect();
        self.comes_back(&stays).stops_machines(&stays).may_hang_on(&nodes)
    }

    /// The same of one pod, where there is one.
    pub fn restart_each<'p>(self, pods: impl IntoIterator<Item = &'p Pod>) -> Self {
        let pods: Vec<&Pod> = pods.into_iter().collect();
        if pods.is_empty() { self } else { self.restart(&pods) }
    }

    /// Of pods that end already: how to see why one hangs, where nothing else is to be done.
    fn ends(self, pods: &[&Pod], stays: &[&Pod]) -> Self {
        let world = self.world;
        let ending: Vec<&Pod> = pods.iter().copied().filter(|pod| pod.is_terminating()).collect();
        let ids: Vec<String> = ending.iter().map(|pod| world.pod_id(pod)).collect();
        let draft = match stays.is_empty() || ids.is_empty() {
            true => self,
            false => self.caveat(format!("Terminating already: {}", few(&ids, ", "))),
        };
        let looks = ending.into_iter().filter(|_| stays.is_empty()).take(1);
        draft.with_each(looks, |d, pod| d.next(describe_pod(world.text(pod.namespace), world.text(pod.name))))
    }

    fn comes_back(self, stays: &[&Pod]) -> Self {
        let world = self.world;
        self.with_each(Comeback::ALL, |draft, comeback| {
            let of: Vec<String> =
                stays.iter().filter(|pod| pod.comeback() == comeback).map(|pod| world.pod_id(pod)).collect();
            let whom = match of.as_slice() {
                [] => return draft,
                [own] if draft.is_about(own) => "it".to_owned(),
                many if many.len() == stays.len() && many.len() > 2 => {
                    format!("all {} of them", grouped(many.len() as u64))
                }
                some => few(some, ", "),
            };
            draft.with_each(restart_caveat(comeback, &whom, of.len() == 1), Draft::caveat)
        })
    }

    /// A machine ends with the pod that runs it.
    fn stops_machines(self, stays: &[&Pod]) -> Self {
        let world = self.world;
        let mut machines: Vec<&str> =
            stays.iter().filter_map(|pod| pod.vmi().some()).map(|name| world.text(name)).collect();
        machines.dedup();
        match machines.as_slice() {
            [] => self,
            [one] => {
                self.caveat(format!("the machine {one} stops with it: start it again where its runStrategy does not"))
            }
            many => self.caveat(format!(
                "the machines {} stop: start them again where their runStrategy does not",
                few(many, ", ")
            )),
        }
    }

    /// A pod ends when its kubelet says so, and one that is cut off says nothing.
    pub(super) fn may_hang_on(self, nodes: &[Name]) -> Self {
        let world = self.world;
        if !world.snapshot.coverage.complete(Input::KubeNodes) {
            return self;
        }
        let is_off = |node: &Name| world.ledger.kube_node(*node).is_some_and(|node| node.ready == Some(false));
        let mut nodes: Vec<&str> = nodes.iter().copied().filter(is_off).map(|node| world.text(node)).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let are = match nodes.as_slice() {
            [] => return self,
            [_] => "is",
            _ => "are",
        };
        self.caveat(format!(
            "{} {are} not Ready, and no pod there ends before its kubelet says so: ask whether the machine is off; only \
             then is --force safe, and that is your decision",
            few(&nodes, ", ")
        ))
    }
}

/// Shows a pod with its events.
pub fn describe_pod(namespace: &str, name: &str) -> String {
    let end = if name.starts_with('-') { "-- " } else { "" };
    format!("kubectl -n {} describe pod {end}{}", shell(namespace), shell(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::addresses::{address_allocated_twice, duplicate_endpoint_address, unallocated_address_in_use};
    use crate::checks::endpoints::pod_without_endpoint;
    use crate::checks::testing::Cluster;
    use crate::model::{Finding, InputState};

    /// shop/web-2 on node-2 holds an address that IPAM believes to be free.
    fn freed() -> Cluster {
        let mut c = Cluster::healthy();
        c.free("10.65.0.65");
        c
    }

    fn one(c: &mut Cluster) -> Finding {
        let mut found = c.find(&unallocated_address_in_use::CHECK);
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    const SAVES: &str = "(set -C; kubectl -n shop get pod web-2 -o yaml > pod.shop.web-2.yaml) && ";

    #[test]
    fn a_pod_that_nobody_makes_anew_is_saved_and_created_again() {
        let mut c = freed();
        let of_controller = one(&mut c).advice;
        let mut pod = c.pod_mut("web-2");
        (pod.controller, pod.bare) = (None, true);
        drop(pod);
        let found = one(&mut c);
        let caveat = "shop/web-2 has no controller and does not come back by itself: save it to a file, delete it, create it \
            from that";
        assert_eq!(found.advice, format!("{}; {caveat}", of_controller.raw()));
        let rest = "! grep '^  ephemeralContainers:' pod.shop.web-2.yaml && kubectl -n shop delete pod web-2 && kubectl create \
            -f pod.shop.web-2.yaml";
        assert_eq!(found.next, [format!("{SAVES}{rest}"), "ipaudit who 10.65.0.65".to_owned()]);
        assert!(deletes_pods(found.next[0].raw()));
    }

    #[test]
    fn unknown_is_said_and_saved() {
        let mut c = freed();
        c.pod_mut("web-2").controller = None;
        let found = one(&mut c);
        let caveat = "; nothing says whether shop/web-2 has a controller: save it to a file before it is deleted, and create \
            it from that where it does not come back";
        assert!(found.advice.raw().ends_with(caveat), "{:?}", found.advice);
        assert_eq!(found.next[0], format!("{SAVES}kubectl -n shop delete pod web-2"));
    }

    #[test]
    fn a_static_pods_mirror_is_not_deleted() {
        let mut c = freed();
        c.pod_mut("web-2").mirror = true;
        let found = one(&mut c);
        assert!(
            found.advice.raw().contains("; shop/web-2 is static, and deleting it restarts nothing: on its node move")
        );
        assert_eq!(found.next, ["ipaudit who 10.65.0.65"]);
    }

    #[test]
    fn a_node_that_is_not_ready_confirms_no_end() {
        let mut c = freed();
        let node = c.name("node-2");
        c.snapshot.kube_nodes.iter_mut().filter(|n| n.name == node).for_each(|n| n.ready = Some(false));
        let caveat = "; node-2 is not Ready, and no pod there ends before its kubelet says so: ask whether the machine is off; \
            only then is --force safe, and that is your decision";
        let found = one(&mut c);
        assert!(found.advice.raw().ends_with(caveat), "{:?}", found.advice);
        assert_eq!(found.next[0], "kubectl -n shop delete pod web-2");
        c.snapshot.kube_nodes.iter_mut().for_each(|n| n.ready = None);
        assert!(!one(&mut c).advice.raw().contains("Ready"), "nobody knows");
    }

    #[test]
    fn the_subject_itself_is_not_named_twice() {
        let mut c = Cluster::healthy();
        c.remove_endpoint("web-2");
        c.each_pod(|pod| pod.controller = None);
        let found = c.find(&pod_without_endpoint::CHECK);
        assert!(
            found[0].advice.raw().starts_with("restart the pod; nothing says whether it has a controller: save it")
        );
    }

    #[test]
    fn of_several_each_is_said_what_it_needs() {
        let mut c = Cluster::healthy();
        let at = crate::checks::testing::addr("10.65.0.2");
        for pod in ["web-0", "web-2", "web-3"] {
            c.pod_mut(pod).addresses = [at].into();
            c.endpoint_mut(pod).addresses = [at].into();
        }
        c.pod_mut("web-0").deleting = Some(c.snapshot.now);
        let mut pod = c.pod_mut("web-3");
        (pod.controller, pod.bare) = (None, true);
        drop(pod);
        let found = c.find(&duplicate_endpoint_address::CHECK);
        let says = "IPAM gave it to shop/web-1: keep that, restart the other 2; Terminating already: shop/web-0; shop/web-3 \
            has no controller and does not come back by itself: save it to a file, delete it, create it from that";
        assert_eq!(found[0].advice, says);
        let restart: Vec<&str> = found[0].evidence.texts("restart").map(|pod| pod.raw()).collect();
        assert_eq!(restart, ["shop/web-2", "shop/web-3"]);
        let ending: Vec<&str> = found[0].evidence.texts("ending").map(|pod| pod.raw()).collect();
        assert_eq!((ending, found[0].next.len()), (vec!["shop/web-0"], 3));
    }

    #[test]
    fn many_are_counted() {
        let mut c = Cluster::healthy();
        let at = crate::checks::testing::addr("10.65.0.2");
        for pod in ["web-0", "web-2", "web-3"] {
            c.endpoint_mut(pod).addresses = [at].into();
            let mut pod = c.pod_mut(pod);
            (pod.addresses, pod.controller, pod.bare) = ([at].into(), None, true);
        }
        let advice = &c.find(&duplicate_endpoint_address::CHECK)[0].advice;
        let says =
            "restart the other 3; all 3 of them have no controller and do not come back by themselves: save each";
        assert!(advice.raw().contains(says), "{advice:?}");
    }

    #[test]
    fn who_ends_already_is_waited_for() {
        let mut c = Cluster::healthy();
        c.block("10.65.0.0/28", Some("node-2"));
        let small = c.snapshot.blocks.pop().unwrap();
        c.snapshot.blocks.insert(0, small);
        c.workload("shop", "web-4", "node-2", &["10.65.0.1"]);
        c.pod_mut("web-4").deleting = Some(c.snapshot.now);
        let found = c.find(&address_allocated_twice::CHECK);
        let says = "empty the smaller block: wait for the end of shop/web-4, which is Terminating already; never release this \
            address";
        assert_eq!(found[0].advice, says);
        assert_eq!(found[0].next[0], "kubectl -n shop describe pod web-4");
    }

    #[test]
    fn of_nodes_that_were_not_read_nothing_is_said() {
        let mut c = Cluster::healthy();
        c.remove_endpoint("web-2");
        c.snapshot.kube_nodes.iter_mut().for_each(|n| n.ready = Some(false));
        c.snapshot.coverage.set(Input::KubeNodes, InputState::Partial, "");
        let snapshot = c.snapshot();
        let ledger = crate::ledger::Ledger::build(&snapshot, c.scope, None);
        let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
        let pods: Vec<&Pod> = snapshot.pods.iter().collect();
        let draft = world.draft(&pod_without_endpoint::CHECK, "x", "").restart(&pods);
        assert_eq!(draft.done().advice, "");
    }

    #[test]
    fn no_pod_is_taken_for_a_flag_and_no_file_for_a_path() {
        let delete = |name: &str| restart_command(Comeback::Controller, "shop", name).unwrap();
        assert_eq!(delete("--all"), "kubectl -n shop delete pod -- --all");
        assert_eq!(delete("web-0"), "kubectl -n shop delete pod web-0");
        assert_eq!(describe_pod("shop", "-a"), "kubectl -n shop describe pod -- -a");
        let saved = restart_command(Comeback::Unknown, "a b", "-/../x").unwrap();
        let says = "(set -C; kubectl -n 'a b' get pod -o yaml -- -/../x > pod.a_b.-_.._x.yaml) && kubectl -n 'a b' delete pod \
            -- -/../x";
        assert_eq!(saved, says);
        assert!(manifest("shop", &"x".repeat(253)).len() < 255);
    }
}
