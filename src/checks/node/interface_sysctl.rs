//! IPA708: settings of the kernel without which a pod has no network.

use super::common::sight::{NodeSight, sights};
use super::common::trouble::{NOT_FORWARDED, pod_or_interface, sysctl};
use crate::checks::evidence::node::verdict_words;
use crate::checks::evidence::{count, shell};
use crate::checks::prelude::*;
use crate::model::Foreign;
use crate::model::foreign::foreign;
use crate::model::hash::HashSet;
use crate::model::node_evidence::{HostLink, Sysctls};

pub static CHECK: Check = Check {
    code: Code(708),
    name: "interface-sysctl",
    severity: Severity::Warning,
    needs: Needs::E,
    steady: Steady::OneMoment,
    subject: SubjectKind::Interface,
    finds: "A workload interface with proxy_arp 0 (its own and that of `all`), with forwarding 0, and where it has an IPv6 \
        address, with proxy_ndp 0, forwarding 0 or IPv6 disabled; or `ip_forward` 0 of the whole node, as `NODE all`, an \
        error where the kernel refuses pods for it; so is IPv6 forwarding 0 of `all`, where pods have IPv6. A proxy_delay that is not 0 is a note: answers come late.",
    matters: "Without them the node neither answers the pod nor hands on its packets. Felix sets them when the interface \
        comes up and when its endpoint is written; no refresh repairs what is changed later.",
    arises: "A sysctl file of the distribution or a hardening tool was applied while pods were running.",
    action: "Set the value right, and find what sets it wrong: it will come again at the next boot. calico-node sets all of \
        them at its start.",
    silent: "rp_filter: its legal values differ. A cluster that sets `IPForwarding` to Disabled wants `ip_forward` as it is. \
        Interfaces without an endpoint (IPA706), where endpoints were read.",
    ties: Ties { harm: Harm::Outage, also: Needs::W, many: "interfaces with wrong settings", ..Ties::ANYBODYS },
    run,
};

/// What stands for the whole node, as below `net/ipv4/conf`.
const NODE: &str = "all";

/// That the node hands on nothing explains a pod that it does not answer for this very reason.
pub fn explains(finding: &Finding, causes: &Causes<'_>) -> Option<Root> {
    let node = finding.evidence.text("node")?.raw();
    let mut reasons = finding.evidence.entries("silent").flat_map(|silent| silent.texts("reasons")).peekable();
    let is_all = reasons.peek().is_some() && reasons.all(|reason| *reason == *verdict_words(NOT_FORWARDED));
    is_all.then(|| causes.no_milder(finding, CHECK.code, &format!("{node} {NODE}"))).flatten()
}

/// One setting that is not what it must be.
struct Wrong {
    setting: &'static str,
    value: i64,
    is_note: bool,
}

impl Wrong {
    /// What sets it right, typed on the node.
    fn cure(&self, interface: &Foreign) -> String {
        match self.setting {
            "ip_forward" => "sysctl -w net.ipv4.ip_forward=1".to_owned(),
            "IPv6 proxy_ndp" => sysctl("ipv6", interface, "proxy_ndp", 1),
            "IPv6 forwarding" => sysctl("ipv6", interface, "forwarding", 1),
            "disable_ipv6" => sysctl("ipv6", interface, "disable_ipv6", 0),
            // Not of one interface but of its neighbours.
            "proxy_delay" => format!("sysctl -w net/ipv4/neigh/{}/proxy_delay=0", shell(interface.raw())),
            setting => sysctl("ipv4", interface, setting, 1),
        }
    }
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for sight in sights(world) {
        let Some(sysctls) = sight.evidence.sysctls.read() else { continue };
        let routed = RoutedFamilies::of(&sight);
        let is_pods = |link: &&HostLink| !sight.knows_endpoints || !sight.endpoints_of(&link.name).is_empty();
        let links: Vec<&HostLink> = sight.workload_links().filter(is_pods).collect();
        // A node whose pods have IPv6 alone hands on nothing else.
        let wants4 = links.is_empty() || links.iter().any(|link| routed.wanted(&sight, &link.name).0);
        let wants6 = links.iter().filter(|link| routed.wanted(&sight, &link.name).1).count();
        let is_off4 = sysctls.ip_forward == Some(0) && wants4;
        let is_off6 = sysctls.all().forwarding6 == Some(0) && wants6 > 0;
        if is_off4 || is_off6 {
            findings.push(of_the_node(&sight, is_off4, if is_off6 { wants6 } else { 0 }));
        }
        for link in links {
            let wrong = wrongs(sysctls, &link.name, routed.wanted(&sight, &link.name));
            if !wrong.is_empty() {
                findings.push(report(&sight, &link.name, &wrong));
            }
        }
    }
}

/// The whole node hands nothing on, of IPv4, or of IPv6 for so many pods. An error where its kernel refuses pods for it, as
/// that of IPv6 does by this setting alone: it stands before all of them.
fn of_the_node(sight: &NodeSight<'_>, is_off4: bool, pods6: usize) -> Finding {
    let is = |setting, wrong: bool| wrong.then_some(Wrong { setting, value: 0, is_note: false });
    let wrong: Vec<Wrong> = is("ip_forward", is_off4).into_iter().chain(is("IPv6 forwarding", pods6 > 0)).collect();
    let is_pods = |dev: &&Foreign| !sight.knows_endpoints || !sight.endpoints_of(dev).is_empty();
    let refused = sight.evidence.verdicts.each().filter(|v| v.errno == NOT_FORWARDED && sight.evidence.lasts(v.seen));
    let hit: HashSet<&Foreign> = refused.map(|verdict| &verdict.dev).filter(is_pods).filter(|_| is_off4).collect();
    let mut finding = report(sight, &NODE.into(), &wrong);
    if !hit.is_empty() {
        let get = if hit.len() == 1 { "gets" } else { "get" };
        finding.severity = Severity::Error;
        finding.summary = foreign!("{}: {} {get} no answer from the gateway", finding.summary, count(hit.len(), "pod"));
    }
    if pods6 > 0 {
        finding.severity = Severity::Error;
        let pods = count(pods6, "pod");
        finding.summary = foreign!("{}: nothing is handed on of the IPv6 of {pods}", finding.summary);
    }
    finding
}

/// `v4`, `v6`: whether the interface's pod wants the settings of the family.
fn wrongs(sysctls: &Sysctls, interface: &Foreign, (v4, v6): (bool, bool)) -> Vec<Wrong> {
    let (own, all) = (sysctls.dev(interface), sysctls.all());
    let is = |setting, wrong: bool, value| wrong.then_some(Wrong { setting, value, is_note: false });
    let mut wrong = Vec::new();
    if v4 {
        wrong.extend(is("proxy_arp", sysctls.proxy_arp(interface) == Some(false), 0));
        // Where the whole node forwards nothing, that is told once.
        wrong.extend(is("forwarding", own.forwarding == Some(0) && sysctls.ip_forward != Some(0), 0));
    }
    if v6 {
        let no_proxy_ndp = own.proxy_ndp == Some(0) && all.proxy_ndp == Some(0);
        wrong.extend(is("IPv6 proxy_ndp", no_proxy_ndp, 0));
        wrong.extend(is("IPv6 forwarding", own.forwarding6 == Some(0), 0));
        wrong.extend(is("disable_ipv6", own.disable_ipv6.is_some_and(|value| value != 0), 1));
    }
    let delay = own.proxy_delay.filter(|value| v4 && *value != 0);
    wrong.extend(delay.map(|value| Wrong { setting: "proxy_delay", value, is_note: true }));
    wrong
}

/// The interfaces to which an address of a family is routed.
#[derive(Default)]
struct RoutedFamilies<'w> {
    v4: HashSet<&'w Foreign>,
    v6: HashSet<&'w Foreign>,
}

impl<'w> RoutedFamilies<'w> {
    fn of(sight: &NodeSight<'w>) -> RoutedFamilies<'w> {
        let mut routed = RoutedFamilies::default();
        for (dev, route) in sight.workload_routes() {
            if route.dst.is_v4() {
                routed.v4.insert(dev)
            } else {
                routed.v6.insert(dev)
            };
        }
        routed
    }

    /// Whether the pod of an interface has addresses of IPv4 and of IPv6, by its endpoints or by routes; of which nobody says
    /// anything, it has the former.
    fn wanted(&self, sight: &NodeSight<'_>, interface: &Foreign) -> (bool, bool) {
        let lists = |v4: bool| {
            let mut addresses = sight.endpoints_of(interface).iter().flat_map(|e| e.addresses().to_vec());
            addresses.any(|address| address.is_v4() == v4)
        };
        let v6 = self.v6.contains(interface) || lists(false);
        (self.v4.contains(interface) || lists(true) || !v6, v6)
    }
}

fn report(sight: &NodeSight<'_>, interface: &Foreign, wrong: &[Wrong]) -> Finding {
    let world = sight.world;
    let words: Vec<String> = wrong.iter().map(|w| format!("{} is {}", w.setting, w.value)).collect();
    let whose = if *interface == *NODE { "of the node".into() } else { pod_or_interface(sight, interface) };
    let entry = |w: &Wrong| Evidence::new().with("setting", w.setting).with("value", w.value);
    let is_note = wrong.iter().all(|w| w.is_note);
    world
        .draft(&CHECK, sight.id(interface.raw()), format!("{}, {}", words.join(", "), whose.raw()))
        .severity(if is_note { Severity::Note } else { Severity::Warning })
        .advice("set it right, on the node itself, and find what sets it: no refresh of Felix repairs it")
        .fact("interfaces", vec![interface])
        .list("settings", wrong, entry)
        .at_node(sight.evidence)
        .with_each(wrong, |d, w| d.next(w.cure(interface)))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::testing::{Cluster, addr};
    use crate::model::node_evidence::{DevSysctls, Dump};

    fn with(change: impl Fn(&mut DevSysctls)) -> Vec<Finding> {
        let mut c = seen();
        let interface = c.interface_of("web-0");
        change(c.node_mut().sysctls_of(interface.raw()));
        c.find(&CHECK)
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(seen().find(&CHECK).is_empty());
    }

    #[test]
    fn each_setting_that_is_wrong_is_told() {
        let told = |found: &[Finding]| found[0].summary.raw().to_owned();
        assert_eq!(told(&with(|own| own.proxy_arp = Some(0))), "proxy_arp is 0, shop/web-0");
        let both = with(|own| (own.proxy_arp, own.forwarding) = (Some(0), Some(0)));
        assert_eq!(
            (told(&both).as_str(), both[0].severity),
            ("proxy_arp is 0, forwarding is 0, shop/web-0", Severity::Warning)
        );
        let late = with(|own| own.proxy_delay = Some(80));
        assert_eq!((told(&late).as_str(), late[0].severity), ("proxy_delay is 80, shop/web-0", Severity::Note));
    }

    #[test]
    fn values_that_are_legal_unknown_or_of_no_use_here_are_not() {
        assert!(with(|own| own.rp_filter = Some(2)).is_empty());
        assert!(with(|own| *own = DevSysctls::default()).is_empty());
        assert!(
            with(|own| (own.proxy_ndp, own.forwarding6, own.disable_ipv6) = (Some(0), Some(0), Some(1))).is_empty()
        );
        let mut c = seen();
        c.node_mut().sysctls = Dump::NotAsked;
        assert!(c.find(&CHECK).is_empty());
        let mut c = seen();
        c.node_mut().sysctls_of("all").proxy_arp = Some(1);
        let interface = c.interface_of("web-0");
        c.node_mut().sysctls_of(interface.raw()).proxy_arp = Some(0);
        assert!(c.find(&CHECK).is_empty(), "conf/all answers for it");
    }

    #[test]
    fn a_pod_with_an_ipv6_address_needs_its_settings() {
        let mut c = Cluster::healthy();
        let both = [addr("10.65.0.1"), addr("fd00:65::1")];
        (c.endpoint_mut("web-0").addresses, c.pod_mut("web-0").addresses) = (both.into(), both.into());
        c.see("node-1");
        let interface = c.interface_of("web-0");
        c.node_mut().sysctls_of(interface.raw()).proxy_ndp = Some(0);
        assert_eq!(c.find(&CHECK)[0].summary, "IPv6 proxy_ndp is 0, shop/web-0");
    }

    /// Whatever the interfaces say, the kernel looks at `all`.
    #[test]
    fn a_node_that_hands_on_no_ipv6_is_an_error_with_the_pods_that_have_it() {
        let mut c = Cluster::healthy();
        let both = [addr("10.65.0.1"), addr("fd00:65::1")];
        (c.endpoint_mut("web-0").addresses, c.pod_mut("web-0").addresses) = (both.into(), both.into());
        c.see("node-1");
        c.node_mut().sysctls_of("all").forwarding6 = Some(0);
        let [found] = c.find(&CHECK).try_into().unwrap();
        assert_eq!((found.subject.id.raw(), found.severity), ("node-1 all", Severity::Error));
        let words = "IPv6 forwarding is 0, of the node: nothing is handed on of the IPv6 of 1 pod";
        assert_eq!((found.summary.raw(), found.next[0].raw()), (words, "sysctl -w net/ipv6/conf/all/forwarding=1"));
        // Without IPv6 nobody needs it.
        let mut c = seen();
        c.node_mut().sysctls_of("all").forwarding6 = Some(0);
        assert!(c.find(&CHECK).is_empty());
    }

    /// Nothing of a pod with an IPv6 address alone goes by IPv4.
    #[test]
    fn a_pod_of_ipv6_alone_wants_no_setting_of_ipv4() {
        let mut c = Cluster::healthy();
        for pod in ["web-0", "web-1"] {
            let own = [addr(if pod == "web-0" { "fd00:65::1" } else { "fd00:65::2" })];
            (c.endpoint_mut(pod).addresses, c.pod_mut(pod).addresses) = (own.into(), own.into());
        }
        c.see("node-1");
        if let Dump::Read(sysctls) = &mut c.node_mut().sysctls {
            sysctls.ip_forward = Some(0);
            sysctls.of.values_mut().for_each(|dev| (dev.forwarding, dev.proxy_arp) = (Some(0), Some(0)));
        }
        let of_web = |c: &mut Cluster| {
            let names = ["web-0", "web-1"].map(|pod| format!("node-1 {}", c.interface_of(pod).raw()));
            c.subjects(&CHECK).into_iter().filter(|id| names.contains(id)).count()
        };
        assert_eq!(of_web(&mut c), 0);
        c.endpoint_mut("web-0").addresses = [addr("fd00:65::1"), addr("10.65.0.1")].into();
        assert_eq!(of_web(&mut c), 1, "one that has both wants both");
    }

    #[test]
    fn each_setting_comes_with_what_sets_it_right() {
        let found = with(|dev| (dev.proxy_arp, dev.forwarding, dev.proxy_delay) = (Some(0), Some(0), Some(80)));
        let dev = found[0].subject.id.raw().split(' ').next_back().unwrap().to_owned();
        let cures = [
            format!("sysctl -w net/ipv4/conf/{dev}/proxy_arp=1"),
            format!("sysctl -w net/ipv4/conf/{dev}/forwarding=1"),
            format!("sysctl -w net/ipv4/neigh/{dev}/proxy_delay=0"),
        ];
        assert_eq!(found[0].next.iter().map(Foreign::raw).collect::<Vec<_>>(), cures);
    }

    #[test]
    fn a_node_that_forwards_nothing_is_told_once() {
        let mut c = seen();
        if let Dump::Read(sysctls) = &mut c.node_mut().sysctls {
            sysctls.ip_forward = Some(0);
            sysctls.of.values_mut().for_each(|dev| dev.forwarding = Some(0));
        }
        assert_eq!(c.subjects(&CHECK), ["node-1 all"]);
    }
}
