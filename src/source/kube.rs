//! Pods, nodes, services and namespaces from Kubernetes' API.
//!
//! Each kind is listed once, consistently (no `resourceVersion=0`, which may be answered from a stale cache), page
//! by page: while one page is decoded the next one is already being sent. One kind that cannot be listed does
//! not stop the others. Half of a list is kept, because what is in it protects, but the input is then partial:
//! nobody may argue from what is absent.

use std::sync::atomic::Ordering;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::kube_api::{Answer, Failure, KubeApi, encoded};
use crate::decode::clear;
use crate::decode::kube::{Remarks, insert, learn_uid};
use crate::decode::kube_item::Kind;
use crate::decode::kube_page::{Page, with_object};
use crate::model::{Foreign, Gathering, InputState};

/// How often one list is begun anew because the server forgot it (410).
const RESTARTS: u32 = 3;

/// Reads all four kinds into `snapshot`: objects, the state of each input, the cluster's UIDs, the server's name
/// and its clock. Never fails: what could not be read is told by the coverage.
pub async fn read(api: &KubeApi, snapshot: &mut Gathering) -> Remarks {
    let deadline = api.deadline();
    let mut remarks = Remarks::default();
    snapshot.kube.server = api.server.clone();
    let answers = || api.tally.answers.load(Ordering::Relaxed);
    let answered = answers();
    // Why, and what to do about it.
    let mut nobody: Option<(String, Foreign)> = None;
    for kind in Kind::ALL {
        if let Some((detail, hint)) = &nobody {
            snapshot.coverage.set(kind.input(), InputState::Unreachable, detail.clone());
            snapshot.coverage.set_hint(kind.input(), hint.clone());
            continue;
        }
        let end = list(api, kind, deadline, snapshot).await;
        let (state, detail) = note(kind, end, &mut remarks, snapshot);
        if state == InputState::Forbidden {
            ask_for_uid(api, kind, deadline, snapshot).await;
        }
        // A server that has not answered at all will not answer the next question either.
        nobody = (answers() == answered).then(|| (detail, snapshot.coverage.hint(kind.input())));
    }
    snapshot.kube.clocks = api.tally.clocks();
    remarks
}

/// Lists one kind again, in place of what the snapshot has of it. When it cannot be listed to its end,
/// the snapshot keeps what it had, and the reason is returned. Not to be dropped half-way: the snapshot's
/// names are on loan meanwhile.
pub async fn relist(api: &KubeApi, kind: Kind, deadline: Instant, snapshot: &mut Gathering) -> Result<Remarks, String> {
    let mut fresh = Gathering { names: std::mem::take(&mut snapshot.names), ..Gathering::default() };
    let End { remarks, failure, .. } = list(api, kind, deadline, &mut fresh).await;
    snapshot.names = std::mem::take(&mut fresh.names);
    if let Some(failure) = failure {
        return Err(failure.sentence());
    }
    if let Some(hole) = remarks.hole_in(kind.input()) {
        return Err(hole);
    }
    match kind {
        Kind::Pod => snapshot.pods = fresh.pods,
        Kind::Node => snapshot.kube_nodes = fresh.kube_nodes,
        Kind::Service => snapshot.services = fresh.services,
        Kind::Namespace => snapshot.namespaces = fresh.namespaces,
    }
    Ok(remarks)
}

/// How a list ended.
#[derive(Default)]
struct End {
    pages: u32,
    remarks: Remarks,
    failure: Option<Failure>,
}

/// Notes in the coverage how much was read of `kind`.
fn note(kind: Kind, end: End, remarks: &mut Remarks, snapshot: &mut Gathering) -> (InputState, String) {
    let hole = end.remarks.hole_in(kind.input());
    let hint = end.failure.as_ref().map(Failure::hint).unwrap_or_default().to_owned();
    let (state, detail) = match (end.failure, hole) {
        (None, None) => (InputState::Complete, String::new()),
        (None, Some(hole)) => (InputState::Partial, hole),
        (Some(failure @ (Failure::Forbidden(_) | Failure::Unauthorized)), _) if end.pages == 0 => {
            (InputState::Forbidden, failure.detail())
        }
        (Some(failure), _) if end.pages == 0 => (InputState::Unreachable, failure.detail()),
        (Some(failure), _) => {
            let pages = if end.pages == 1 { "1 page".to_owned() } else { format!("{} pages", end.pages) };
            let detail = format!("the list broke off after {pages}: {}", failure.detail());
            (InputState::Partial, detail)
        }
    };
    remarks.merge(end.remarks);
    snapshot.coverage.set(kind.input(), state, detail.clone());
    if !hint.is_empty() {
        snapshot.coverage.set_hint(kind.input(), hint);
    }
    (state, detail)
}

/// Lists one kind into the snapshot, which has none of it, from the start again when the server has forgotten the list.
async fn list(api: &KubeApi, kind: Kind, deadline: Instant, snapshot: &mut Gathering) -> End {
    let mut restarts = 0;
    loop {
        let end = pages(api, kind, deadline, snapshot).await;
        match &end.failure {
            Some(Failure::Gone(_)) if restarts < RESTARTS => restarts += 1,
            _ => return end,
        }
        tracing::debug!(kind = kind.plural(), restarts, "the list was forgotten: from the start again");
        clear(snapshot, kind.input());
    }
}

/// One pass over the pages of a list.
async fn pages(api: &KubeApi, kind: Kind, deadline: Instant, snapshot: &mut Gathering) -> End {
    let mut end = End::default();
    // One request at a time; a set, because it stops its task when this future is dropped.
    let mut coming = JoinSet::new();
    ask(&mut coming, api, kind, "", deadline);
    while let Some(answer) = coming.join_next().await {
        let answer = answer.unwrap_or_else(|error| Err(Failure::unreachable(error.to_string())));
        let page = answer.and_then(|Answer { content, body }| {
            Page::parse(kind, content, &body)
                .map_err(|reason| Failure::unreachable(format!("{}: {}: {reason}", api.server, kind.plural())))
        });
        match page {
            Ok(page) => {
                end.pages += 1;
                if !page.next.is_empty() {
                    ask(&mut coming, api, kind, &page.next, deadline);
                }
                take(kind, page, snapshot, &mut end.remarks);
            }
            Err(failure) => {
                end.failure = Some(failure);
                return end;
            }
        }
    }
    end
}

type Coming = JoinSet<Result<Answer, Failure>>;

fn ask(coming: &mut Coming, api: &KubeApi, kind: Kind, next: &str, deadline: Instant) {
    let mut path = format!("/api/v1/{}?limit={}", kind.plural(), api.patience.page);
    if !next.is_empty() {
        path.push_str("&continue=");
        path.extend(encoded(next));
    }
    let api = api.clone();
    coming.spawn(async move { api.get(&path, deadline).await });
}

fn take(kind: Kind, page: Page, snapshot: &mut Gathering, remarks: &mut Remarks) {
    page.for_each(|item| match item {
        Ok(item) => insert(snapshot, kind, item, remarks),
        Err(reason) => {
            remarks.hole(kind.input(), format!("a {} does not decode: {reason}", kind.word().to_lowercase()));
        }
    });
}

/// The UID can be had with the right to get one object where the right to list all is missing.
async fn ask_for_uid(api: &KubeApi, kind: Kind, deadline: Instant, snapshot: &mut Gathering) {
    let path = match kind {
        Kind::Namespace => "/api/v1/namespaces/kube-system",
        Kind::Service => "/api/v1/namespaces/default/services/kubernetes",
        Kind::Pod | Kind::Node => return,
    };
    if let Ok(Answer { content, body }) = api.get(path, deadline).await {
        with_object(kind, content, &body, |item| {
            if let Ok(item) = item {
                learn_uid(&mut snapshot.kube, kind, item);
            }
        });
    }
}
