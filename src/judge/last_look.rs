//! What Kubernetes must say once more right before a write (rule 5): anything but the same answer refuses.

use crate::model::{Foreign, KubeNode, Names, Pod};
use crate::plan::circumstances::{AgainNode, AgainPod, LastLook};
use crate::plan::refusal::Objection;

/// Whether the pod is as it was; `None`: the server says that it does not exist.
///
/// # Errors
/// What has changed.
pub fn pod(wanted: &LastLook, names: &Names, found: Option<&Pod>) -> Result<(), Objection> {
    let id = || Foreign::from(format!("{}/{}", wanted.namespace, wanted.name));
    match (found, &wanted.pod) {
        (None, AgainPod::Absent) => Ok(()),
        (Some(pod), AgainPod::As(before)) if fingerprint(names, pod) == *before => Ok(()),
        (None, AgainPod::As(_)) => Err(Objection::PodGone(id())),
        (Some(_), _) => Err(Objection::PodOther(id())),
    }
}

/// Whether the node of this name is as it was.
///
/// # Errors
/// What has changed.
pub fn node(name: &str, wanted: &AgainNode, names: &Names, found: Option<&KubeNode>) -> Result<(), Objection> {
    let same = match (found, wanted) {
        (Some(found), AgainNode::Ready(uid)) => found.ready == Some(true) && found.uid.text(names) == *uid,
        (None, AgainNode::Absent) => true,
        _ => false,
    };
    if same { Ok(()) } else { Err(Objection::NodeOther(name.into())) }
}

/// What must be the same of a pod at the next look: who it is, whether it can hold an address, and all that it claims.
pub fn fingerprint(names: &Names, pod: &Pod) -> String {
    let addresses = pod.addresses();
    let claims = [&*addresses, pod.network_status(), pod.floating(), pod.no_ipam()];
    let claims = claims.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
    format!(
        "{} {} {} {} {} {}",
        pod.uid.text(names),
        pod.phase.word(),
        names.get(pod.node),
        pod.host_network,
        pod.deleting().is_some(),
        claims.join(" ")
    )
}

#[cfg(test)]
mod tests;
