//! Captures of nodes from the logs of the pods that make them, one on every node: by the API server, with the right to get
//! `pods/log` in their namespace and to list pods.
//!
//! A container's log is cut into lines of 16 KiB by its runtime, and the kubelet puts them together again; but the lines
//! that it counts for `tailLines` are the cut ones (cri-client v1.37, containerd 2.x). So the end of a log is asked for in
//! growing pieces, until a whole capture is in it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::kube_api::{Answer, Failure, KubeApi, encoded};
use super::node_line;
use crate::decode::kube_item::Kind;
use crate::decode::kube_page::Page;
use crate::model::NodeEvidence;

/// Lines of a log, as the runtime cuts them: 128 KiB, a megabyte, 8 MB. The capture of a node with 250 pods has less than 64 KiB.
const TAILS: [u32; 3] = [8, 64, 512];
/// Bytes of a log that are taken.
const LARGEST: u64 = 16 << 20;
/// So often a log is asked for: a kubelet that is down answers nobody, and there are thousands of others.
const ATTEMPTS: u32 = 1;
/// So long one pod's log is waited for in all: those that hang must not use up the time of those behind them.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many pods without a capture are named.
const TOLD: usize = 5;
/// Logs at once.
const IN_FLIGHT: usize = 16;

/// Pods of one namespace by a label selector: `pods:NAMESPACE/SELECTOR`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodsPlace {
    pub namespace: String,
    pub selector: String,
}

/// How such a place begins.
pub const PODS: &str = "pods:";

impl FromStr for PodsPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<PodsPlace, String> {
        let place = text.strip_prefix(PODS).unwrap_or(text);
        match place.split_once('/') {
            // It stands in a path that the API server is asked for.
            Some((namespace, selector)) if !selector.is_empty() && !namespace.is_empty() && !is_label(namespace) => {
                Err(format!("{namespace:?} is no namespace: small letters, digits and -"))
            }
            Some((namespace, selector)) if !namespace.is_empty() && !selector.is_empty() => {
                Ok(PodsPlace { namespace: namespace.to_owned(), selector: selector.to_owned() })
            }
            _ => Err(format!("{PODS}NAMESPACE/SELECTOR is wanted, as in {PODS}ipaudit/app=ipaudit-node")),
        }
    }
}

/// Whether this is a label of DNS, as names of namespaces are.
fn is_label(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= 63 && name.chars().all(is_inner) && !name.starts_with('-') && !name.ends_with('-')
}

impl fmt::Display for PodsPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PODS}{}/{}", self.namespace, self.selector)
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct PodCaptures {
    pub captures: Vec<NodeEvidence>,
    /// A sentence for each pod without a capture.
    pub warnings: Vec<String>,
    /// Why not one was read.
    pub failure: Option<Failure>,
}

/// A pod that makes captures.
struct Maker {
    name: String,
    node: String,
    phase: String,
}

/// Reads the last capture of each pod there. Never fails: what could not be read is told.
pub async fn read(api: &KubeApi, place: &PodsPlace) -> PodCaptures {
    let deadline = api.deadline();
    let mut found = PodCaptures::default();
    let mut makers = match list(api, place, deadline).await {
        Ok(makers) if makers.is_empty() => {
            let (namespace, selector) = (&place.namespace, &place.selector);
            let why = format!("no pod of namespace {namespace} has the labels {selector}");
            found.failure = Some(Failure::unreachable(why));
            return found;
        }
        Ok(makers) => makers,
        Err(failure) => {
            found.failure = Some(failure);
            return found;
        }
    };
    makers.sort_by(|a, b| a.name.cmp(&b.name));
    let logs = api.with_attempts(ATTEMPTS);
    let mut coming = JoinSet::new();
    let mut waiting = makers.into_iter();
    let mut failures: Vec<(String, Failure)> = Vec::new();
    loop {
        while coming.len() < IN_FLIGHT
            && let Some(maker) = waiting.next()
        {
            let (api, place) = (logs.clone(), place.clone());
            coming.spawn(async move {
                let captures = in_time(PATIENCE, of_pod(&api, &place, &maker, deadline)).await;
                (maker, captures)
            });
        }
        match coming.join_next().await {
            None => break,
            Some(Ok((_, Ok(captures)))) => found.captures.extend(captures),
            Some(Ok((maker, Err(failure)))) => {
                let on = if maker.node.is_empty() { String::new() } else { format!(" on {}", maker.node) };
                failures.push((format!("{}/{}{on}", place.namespace, maker.name), failure));
            }
            Some(Err(error)) => failures.push((place.to_string(), Failure::unreachable(error.to_string()))),
        }
    }
    failures.sort_by(|a, b| a.0.cmp(&b.0));
    if found.captures.is_empty() {
        let many = failures.len();
        found.failure = failures.into_iter().next().map(|(_, failure)| failure);
        tracing::debug!(many, "not one capture was read");
        return found;
    }
    let more = failures.len().saturating_sub(TOLD);
    let told = failures.into_iter().take(TOLD);
    found.warnings.extend(told.map(|(pod, failure)| format!("{place}: {pod}: {}", failure.sentence())));
    if more > 0 {
        found.warnings.push(format!("{place}: {more} more pods gave no capture"));
    }
    found
}

async fn list(api: &KubeApi, place: &PodsPlace, deadline: Instant) -> Result<Vec<Maker>, Failure> {
    let mut makers = Vec::new();
    let mut next = String::new();
    let (namespace, selector) = (encoded(&place.namespace), encoded(&place.selector));
    loop {
        let mut path =
            format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}&limit={}", api.patience.page);
        if !next.is_empty() {
            path.push_str("&continue=");
            path.extend(encoded(&next));
        }
        let Answer { content, body } = api.get(&path, deadline).await?;
        let page = Page::parse(Kind::Pod, content, &body);
        let page = page.map_err(|why| Failure::unreachable(format!("{}: pods: {why}", api.server)))?;
        next.clone_from(&page.next);
        page.for_each(|item| {
            // One that does not decode has no name to ask by, and its node is told as one without evidence.
            if let Ok(item) = item {
                let own = |text: &str| text.to_owned();
                let (name, node) = (own(&item.metadata.name), own(&item.spec.node_name));
                makers.push(Maker { name, node, phase: own(&item.status.phase) });
            }
        });
        if next.is_empty() {
            return Ok(makers);
        }
    }
}

/// What comes within this time.
async fn in_time<T>(patience: Duration, coming: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late =
        |_| Failure::unreachable(format!("its log did not come within {}", humantime::format_duration(patience)));
    timeout(patience, coming).await.map_err(late)?
}

/// The last capture in one pod's log.
async fn of_pod(
    api: &KubeApi,
    place: &PodsPlace,
    maker: &Maker,
    deadline: Instant,
) -> Result<Vec<NodeEvidence>, Failure> {
    if maker.node.is_empty() {
        return Err(Failure::unreachable("it has no node yet"));
    }
    let (namespace, name) = (encoded(&place.namespace), encoded(&maker.name));
    let mut bad = None;
    for lines in TAILS {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/log?tailLines={lines}&limitBytes={LARGEST}");
        let log = api.get_text(&path, deadline).await?;
        match node_line::last(&log) {
            Some(Ok(mut captures)) => {
                let from = format!("{place}, {}", maker.name);
                for evidence in &mut captures {
                    (evidence.from, evidence.printed_on) = (from.as_str().into(), maker.node.as_str().into());
                }
                return Ok(captures);
            }
            Some(Err(why)) => bad = Some(why.cause),
            None => {}
        }
    }
    let why = match bad {
        Some(cause) => format!("its capture cannot be read: {}", cause.shown()),
        None => format!("its log has no capture (it is {})", maker.phase),
    };
    Err(Failure::unreachable(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_namespace_and_a_selector() {
        let place = |text: &str| text.parse::<PodsPlace>().map(|p| (p.namespace, p.selector)).ok();
        let is = |namespace: &str, selector: &str| Some((namespace.to_owned(), selector.to_owned()));
        assert_eq!(place("pods:ipaudit/app=node"), is("ipaudit", "app=node"));
        let long = "app.kubernetes.io/name=ipaudit-node";
        assert_eq!(place(&format!("pods:ipaudit/{long}")), is("ipaudit", long));
        for bad in ["pods:", "pods:ipaudit", "pods:/app", "pods:ipaudit/", "pods:../x/a=b", "pods:A/a=b"] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn a_log_that_does_not_come_is_waited_for_no_longer() {
        let late = in_time(Duration::ZERO, std::future::pending::<Result<(), Failure>>()).await.unwrap_err();
        assert_eq!(late.sentence(), "its log did not come within 0s");
        assert!(in_time(PATIENCE, std::future::ready(Ok(()))).await.is_ok());
    }
}
