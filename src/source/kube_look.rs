//! The second look at Kubernetes' objects: GET, one by one, what a finding rests on.
//!
//! Without `resourceVersion`, so each answer is the newest. Absent means that the server said so about exactly this
//! object; anything else that is not the object itself is unknown, and unknown is not absent.

use std::collections::HashMap;

use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use super::kube::relist;
use super::kube_api::{Answer, Failure, KubeApi, encoded};
use crate::decode::kube::{Remarks, node, pod, replace, service};
use crate::decode::kube_item::{Item, Kind};
use crate::decode::kube_page::with_object;
use crate::model::{Gathering, KubeNode, Name, Names, Pod};

/// What a look at one object saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen<T> {
    Present(T),
    /// The server says that it does not exist.
    Absent,
    /// The look failed; why.
    Unknown(String),
}

/// What is to be looked at again.
#[derive(Clone, Debug, Default)]
pub struct Suspects {
    /// Namespace and name.
    pub pods: Vec<(Name, Name)>,
    pub nodes: Vec<Name>,
    /// Namespace and name.
    pub services: Vec<(Name, Name)>,
}

/// An object that could not be looked at again: the snapshot still has what the first look saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unlooked {
    pub kind: Kind,
    /// [`Name::NONE`] for nodes.
    pub namespace: Name,
    pub name: Name,
    pub reason: String,
}

/// Looks at one pod.
pub async fn get_pod(api: &KubeApi, names: &mut Names, namespace: &str, name: &str) -> Seen<Pod> {
    let answer = get(api, Kind::Pod, namespace, name, api.deadline()).await;
    seen(Kind::Pod, namespace, name, answer, |item, remarks| pod(names, item, remarks))
}

/// Looks at one node.
pub async fn get_node(api: &KubeApi, names: &mut Names, name: &str) -> Seen<KubeNode> {
    let answer = get(api, Kind::Node, "", name, api.deadline()).await;
    seen(Kind::Node, "", name, answer, |item, remarks| node(names, item, remarks))
}

/// Looks at all suspects again, a few at once, and puts what it sees into `snapshot`, in order. Many suspects of
/// one kind are looked at with one list. Returns those that could not be looked at.
pub async fn look_again(api: &KubeApi, snapshot: &mut Gathering, suspects: &Suspects) -> Vec<Unlooked> {
    let deadline = api.deadline();
    let mut unlooked = Vec::new();
    let nodes: Vec<(Name, Name)> = suspects.nodes.iter().map(|node| (Name::NONE, *node)).collect();
    let kinds = [(Kind::Node, &nodes), (Kind::Service, &suspects.services), (Kind::Pod, &suspects.pods)];
    for (kind, suspects) in kinds {
        if suspects.len() > api.patience.single_looks {
            if let Err(reason) = relist(api, kind, deadline, snapshot).await {
                unlooked.extend(not_seen(kind, suspects, &reason));
            }
        } else {
            look(api, kind, suspects, deadline, snapshot, &mut unlooked).await;
        }
    }
    unlooked
}

async fn look(
    api: &KubeApi,
    kind: Kind,
    suspects: &[(Name, Name)],
    deadline: Instant,
    snapshot: &mut Gathering,
    unlooked: &mut Vec<Unlooked>,
) {
    let asked: Vec<((Name, Name), String, String)> = suspects
        .iter()
        .map(|&(namespace, name)| {
            ((namespace, name), snapshot.text(namespace).to_owned(), snapshot.text(name).to_owned())
        })
        .collect();
    let mut answers = stream::iter(asked)
        .map(|(key, namespace, name)| async move {
            let answer = get(api, kind, &namespace, &name, deadline).await;
            (key, namespace, name, answer)
        })
        .buffered(api.patience.in_flight.max(1));
    let (mut pods, mut nodes, mut services) = (HashMap::new(), HashMap::new(), HashMap::new());
    let names = &mut snapshot.names;
    let mut done = 0;
    while let Some((key, namespace, name, answer)) = answers.next().await {
        done += 1;
        let nobody = matches!(answer, Err(Failure::Unreachable { .. }));
        let failed = match kind {
            Kind::Pod => keep(&mut pods, key, seen(kind, &namespace, &name, answer, |item, r| pod(names, item, r))),
            Kind::Service => {
                keep(&mut services, key, seen(kind, &namespace, &name, answer, |item, r| service(names, item, r)))
            }
            Kind::Node => {
                keep(&mut nodes, key.1, seen(kind, &namespace, &name, answer, |item, r| node(names, item, r)))
            }
            Kind::Namespace => None,
        };
        let Some(reason) = failed else { continue };
        // Where nobody answers, each of the rest would wait as long for the same.
        let lost = if nobody { suspects.get(done - 1..) } else { suspects.get(done - 1..done) };
        unlooked.extend(not_seen(kind, lost.unwrap_or_default(), &reason));
        if nobody {
            break;
        }
    }
    drop(answers);
    replace(&mut snapshot.pods, pods, |pod| (pod.namespace, pod.name));
    replace(&mut snapshot.kube_nodes, nodes, |node| node.name);
    replace(&mut snapshot.services, services, |service| (service.namespace, service.name));
}

fn not_seen<'a>(kind: Kind, lost: &'a [(Name, Name)], reason: &'a str) -> impl Iterator<Item = Unlooked> + 'a {
    lost.iter().map(move |&(namespace, name)| Unlooked { kind, namespace, name, reason: reason.to_owned() })
}

/// Keeps what was seen; the reason when nothing was.
fn keep<K: std::hash::Hash + Eq, T>(map: &mut HashMap<K, Option<T>>, key: K, seen: Seen<T>) -> Option<String> {
    let now = match seen {
        Seen::Present(object) => Some(object),
        Seen::Absent => None,
        Seen::Unknown(reason) => return Some(reason),
    };
    map.insert(key, now);
    None
}

pub(super) async fn get(
    api: &KubeApi,
    kind: Kind,
    namespace: &str,
    name: &str,
    deadline: Instant,
) -> Result<Answer, Failure> {
    let (plural, name) = (kind.plural(), encoded(name));
    let path = match kind.is_namespaced() {
        true => format!("/api/v1/namespaces/{}/{plural}/{name}", encoded(namespace)),
        false => format!("/api/v1/{plural}/{name}"),
    };
    api.get(&path, deadline).await
}

/// What an answer says about the object that was asked for.
fn seen<T>(
    kind: Kind,
    namespace: &str,
    name: &str,
    answer: Result<Answer, Failure>,
    make: impl FnOnce(&Item<'_>, &mut Remarks) -> Option<T>,
) -> Seen<T> {
    let Answer { content, body } = match answer {
        Ok(answer) => answer,
        Err(Failure::NotFound { plural, name: gone }) if plural == kind.plural() && gone == name => {
            return Seen::Absent;
        }
        Err(failure) => return Seen::Unknown(failure.sentence()),
    };
    with_object(kind, content, &body, |item| {
        let item = match item {
            Ok(item) => item,
            Err(reason) => return Seen::Unknown(reason),
        };
        if (&*item.metadata.namespace, &*item.metadata.name) != (namespace, name) {
            return Seen::Unknown(format!("the answer is about {:?}", &*item.metadata.name));
        }
        let mut remarks = Remarks::default();
        match (make(item, &mut remarks), remarks.hole_in(kind.input())) {
            (Some(object), None) => Seen::Present(object),
            (_, Some(hole)) => Seen::Unknown(hole),
            (None, None) => Seen::Unknown("the answer names nothing".to_owned()),
        }
    })
}
