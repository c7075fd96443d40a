//! What of a live node forbids releases, wherever it is.

use std::process::Command;

use ipaudit::model::NodesSeen;
use ipaudit::model::node_evidence::UsedBy;

use super::LiveCase;
use super::servers::{need, unique_name};

/// Whatever the host's end is called, and where there is none: an address in a namespace, and one that is answered for, is in use.
#[test]
fn an_address_in_any_namespace_is_in_use() {
    need!(Namespaces);
    let case = LiveCase::of("clean");
    let namespaces = [unique_name("ipaudit-pod"), unique_name("ipaudit-pod")];
    let [behind, lone] = &namespaces;
    let ip = |args: String| {
        assert!(Command::new("ip").args(args.split(' ')).status().unwrap().success(), "{args}");
    };
    namespaces.iter().for_each(|name| ip(format!("netns add {name}")));
    let peer = format!("-n {behind} link add name eth0 type veth peer name veth1234");
    ip(peer);
    let host = case.lab.shell("ip netns identify");
    ip(format!("-n {behind} link set veth1234 netns {}", host.trim()));
    for (name, dev, address) in [(behind, "eth0", "192.168.90.41"), (lone, "lo", "192.168.90.42")] {
        ip(format!("-n {name} addr add {address}/32 dev {dev}"));
        ip(format!("-n {name} link set lo up"));
    }
    ip(format!("-n {lone} route add local 192.168.90.48/30 dev lo"));
    case.lab.ip("route add local 192.168.90.44/32 dev lo\nroute add 192.168.90.56/29 dev calia4fc3c48bd8\n");
    case.lab.ip_in("shop/web-0", "route add local 192.168.90.45/32 dev lo\n");
    let used = |means: &str| {
        let mut seen = NodesSeen::newest(vec![case.captured(&["--inside", means])], false);
        seen.index();
        let at = |last: u8| -> Vec<UsedBy> {
            let address = format!("192.168.90.{last}").parse().unwrap();
            seen.uses(address).map(|(_, used)| used.by.clone()).collect()
        };
        [41u8, 42, 44, 45, 49, 58].map(|last| at(last).first().cloned())
    };
    let inside = |name: &str| Some(UsedBy::Namespace(name.into()));
    let by_name = [inside(behind), inside(lone), Some(UsedBy::Host), inside(""), inside(lone), Some(UsedBy::Route)];
    let by_number = [inside(""), None, Some(UsedBy::Host), None, None, Some(UsedBy::Route)];
    let (entered, numbered) = (used("netns"), used("nsid"));
    namespaces.iter().for_each(|name| ip(format!("netns del {name}")));
    assert_eq!(entered, by_name);
    assert_eq!(numbered, by_number);
}
