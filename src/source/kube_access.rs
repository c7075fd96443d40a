//! What this user may do in Kubernetes: each list and each `get` that an audit makes is tried.
//!
//! Tried, not reviewed: a SelfSubjectAccessReview needs a right of its own (every user has it by default, hardened
//! clusters take it away), is a POST, and does not go through what stands before the API. A list of one object and a
//! `get` of one that does not exist are answered by whatever decides over the audit's own requests.

use std::path::Path;

use serde::Deserialize;

use super::kube_api::{Failure, KubeApi};
use super::kube_look::get;
use crate::decode::kube_item::Kind;
use crate::environment::stream;
use crate::model::access::{Access, Granter, Need, Right};

/// Nobody's name: no object is called so, and no binding gives rights in a namespace that does not exist.
const NOBODY: &str = "ipaudit-check-access";

/// What to do about a missing right.
const MISSING_RIGHT: &str =
    "the user's ClusterRole needs get and list on pods, nodes, services and namespaces (README, Rights)";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerVersion {
    git_version: String,
}

/// Tries; and the server's version, where it tells.
pub async fn ask(api: &KubeApi) -> (Vec<Right>, Option<String>) {
    let deadline = api.deadline();
    let mut rights: Vec<Right> = Vec::new();
    let mut nobody = None;
    for kind in Kind::ALL {
        for verb in ["list", "get"] {
            let right = right(verb, kind);
            if let Some(failure) = &nobody {
                rights.push(refused(right, failure));
                continue;
            }
            let answer = match verb {
                "list" => api.get(&format!("/api/v1/{}?limit=1", kind.plural()), deadline).await,
                _ => get(api, kind, NOBODY, NOBODY, deadline).await,
            };
            rights.push(match answer {
                Ok(_) | Err(Failure::NotFound { .. }) => right,
                Err(failure) => {
                    let right = refused(right, &failure);
                    // Who has not answered once will not answer the next question either.
                    let silent = right.state == Access::Unreachable && rights.is_empty();
                    nobody = silent.then_some(failure);
                    right
                }
            });
        }
    }
    let version = match nobody {
        Some(_) => None,
        None => api.get("/version", deadline).await.ok(),
    };
    let version = version.and_then(|answer| serde_json::from_slice::<ServerVersion>(&answer.body).ok());
    let version = version.map(|version| version.git_version);
    if nobody_is_silent(&rights) {
        let server = Right::new(Granter::Kubernetes, Need::Nothing, "version", api.server.clone());
        rights.push(match &version {
            Some(version) => server.is(Access::Granted, version.as_str(), ""),
            None => server.is(Access::Unknown, "the server does not tell it to this user", ""),
        });
    }
    (rights, version)
}

fn nobody_is_silent(rights: &[Right]) -> bool {
    rights.iter().any(|right| right.state != Access::Unreachable)
}

fn right(verb: &str, kind: Kind) -> Right {
    let path = match (verb, kind.is_namespaced()) {
        ("get", true) => format!("/api/v1/namespaces/NAMESPACE/{}/NAME", kind.plural()),
        ("get", false) => format!("/api/v1/{}/NAME", kind.plural()),
        _ => format!("/api/v1/{}", kind.plural()),
    };
    Right::new(Granter::Kubernetes, Need::Read, format!("{verb} {}", kind.plural()), path)
}

fn refused(right: Right, failure: &Failure) -> Right {
    let detail = failure.clone().detail();
    match failure {
        Failure::Unauthorized => right.is(Access::Refused, detail, failure.hint()),
        Failure::Forbidden(text) if text.contains("credentials") => {
            right.is(Access::Refused, detail, "has the token or the certificate expired? Is it this cluster's?")
        }
        Failure::Forbidden(_) => right.is(Access::Refused, detail, MISSING_RIGHT),
        _ if !failure.hint().is_empty() => right.is(Access::Unreachable, detail, failure.hint()),
        _ => right.is(Access::Unreachable, detail, "is the API server up and reachable from here?"),
    }
}

/// Where nobody named a cluster, or nobody can tell which one was named.
pub fn unasked(why: &str, hint: Option<&str>) -> Vec<Right> {
    let kinds = Kind::ALL.into_iter();
    let hint = hint.unwrap_or("--kubeconfig FILE, KUBECONFIG, or --kube-objects FILE");
    kinds.map(|kind| right("list", kind).is(Access::NotAsked, why, hint)).collect()
}

/// Files in place of the API.
pub fn files(paths: &[impl AsRef<Path>]) -> Vec<Right> {
    let one = |path: &Path| {
        let right = Right::new(Granter::Kubernetes, Need::Read, "objects", stream::name(path));
        match stream::may_be_opened(path) {
            Ok(()) => right,
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => right.is(Access::Refused, e.to_string(), ""),
            Err(e) => right.is(Access::Unreachable, e.to_string(), "--kube-objects names it"),
        }
    };
    paths.iter().map(|path| one(path.as_ref())).collect()
}
