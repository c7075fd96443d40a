//! What explains that a pod is cut off.

use super::trouble::by_duplicate;
use crate::checks::Causes;
use crate::checks::node::{address_on_several_interfaces, missing_interface, missing_route, wrong_interface_route};
use crate::model::{Code, Finding, Foreign, Root};

/// What tells what is wrong with an address' route on a node.
pub fn of_route() -> [Code; 3] {
    [address_on_several_interfaces::CHECK.code, wrong_interface_route::CHECK.code, missing_route::CHECK.code]
}

/// What cuts a pod off explains that it gets no answer: the datastore's word first, then what the kernel does with the
/// address, then the interface.
pub fn by_cut(finding: &Finding, causes: &Causes<'_>) -> Option<Root> {
    let same = |code: Code| causes.no_milder(finding, code, finding.subject.id.raw());
    let of_address = || of_route().into_iter().find_map(same);
    let of_interface = || {
        let node = finding.evidence.text("node")?.raw();
        let id = |interface: &Foreign| format!("{node} {}", interface.raw());
        let mut ids = finding.evidence.texts("interfaces").map(id);
        ids.find_map(|id| causes.no_milder(finding, missing_interface::CHECK.code, &id))
    };
    by_duplicate(finding, causes).or_else(of_address).or_else(of_interface)
}
