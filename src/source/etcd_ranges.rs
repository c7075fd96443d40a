//! Which keys an audit reads, and in which pieces. Pure: no connection here.
//!
//! etcd counts every key from a page's start to its range's end, for every page: small pages over a wide range
//! are quadratic (on 3.4 and on 3.7 alike). So a prefix is cut into half-open ranges that tile it, and a limit
//! holds only inside one of them. The boundaries may be any keys: tiles stay complete when keys come and go.

use crate::model::Input;

/// A prefix or one key that an audit reads (domain facts, section 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    pub input: Input,
    pub key: &'static str,
    /// Whether everything that starts with `key` is wanted, or that key alone.
    pub prefix: bool,
    /// Keys in the first page, when nothing is known about their size yet.
    pub first: i64,
    /// Most keys in a page.
    pub most: i64,
}

const fn key(input: Input, key: &'static str) -> Wanted {
    Wanted { input, key, prefix: false, first: 1, most: 1 }
}

const fn prefix(input: Input, key: &'static str, first: i64, most: i64) -> Wanted {
    Wanted { input, key, prefix: true, first, most }
}

pub const BLOCKS: &str = "/calico/ipam/v2/assignment/";
pub const HANDLES: &str = "/calico/ipam/v2/handle/";
pub const ENDPOINTS: &str = "/calico/resources/v3/projectcalico.org/workloadendpoints/";

/// Everything that an audit reads, and nothing else under `/calico`: policies and profiles can be far larger.
///
/// The single keys come first: reading one of them fixes the revision.
/// Host endpoints only protect addresses that endpoints would accuse, so they count as endpoints.
pub const WANTED: [Wanted; 14] = [
    key(Input::Config, "/calico/resources/v3/projectcalico.org/clusterinformations/default"),
    key(Input::Config, "/calico/ipam/v2/config"),
    key(Input::Config, "/calico/resources/v3/projectcalico.org/ipamconfigurations/default"),
    key(Input::Config, "/calico/resources/v3/projectcalico.org/kubecontrollersconfigurations/default"),
    prefix(Input::Pools, "/calico/resources/v3/projectcalico.org/ippools/", 1000, 5000),
    prefix(Input::Pools, "/calico/resources/v3/projectcalico.org/ipreservations/", 1000, 5000),
    prefix(Input::CalicoNodes, "/calico/resources/v3/projectcalico.org/nodes/", 1000, 5000),
    prefix(Input::Affinities, "/calico/ipam/v2/host/", 2500, 5000),
    prefix(Input::Affinities, "/calico/ipam/v2/virtual/", 2500, 5000),
    prefix(Input::Affinities, "/calico/ipam/v2/@/", 2500, 5000),
    prefix(Input::Blocks, BLOCKS, 100, 1000),
    prefix(Input::Handles, HANDLES, 2500, 5000),
    prefix(Input::Endpoints, "/calico/resources/v3/projectcalico.org/hostendpoints/", 1000, 5000),
    prefix(Input::Endpoints, ENDPOINTS, 2500, 10_000),
];

/// The inputs that come from etcd.
pub const INPUTS: [Input; 7] = [
    Input::Blocks,
    Input::Handles,
    Input::Affinities,
    Input::Endpoints,
    Input::CalicoNodes,
    Input::Pools,
    Input::Config,
];

/// A piece to read: from `start` up to but not including `end`, a page of `limit` at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    pub wanted: Wanted,
    pub start: Vec<u8>,
    /// Empty for a single key.
    pub end: Vec<u8>,
    pub limit: i64,
    /// The first page of a whole prefix: what it says of the number of keys decides how the rest is cut.
    pub opening: bool,
}

/// Bytes that a page should have: what is in memory at once is this times the reads in flight.
const PAGE_BYTES: i64 = 8 << 20;
/// Handles in one range: 0.6 MB, short enough that other people's writes do not wait for it.
const HANDLES_IN_RANGE: i64 = 2500;

/// The first pieces of what is wanted; `boundaries` cut the endpoints where the caller knows them.
pub fn opening(wanted: &Wanted, boundaries: &[Vec<u8>]) -> Vec<Span> {
    let start = wanted.key.as_bytes().to_vec();
    if !wanted.prefix {
        return vec![Span { wanted: *wanted, start, end: Vec::new(), limit: 0, opening: false }];
    }
    let end = prefix_end(wanted.key.as_bytes());
    if wanted.key == ENDPOINTS && !boundaries.is_empty() {
        return tile(wanted, start, end, boundaries, wanted.first);
    }
    vec![Span { wanted: *wanted, start, end, limit: wanted.first, opening: true }]
}

/// What a page said: enough to plan the rest of its span.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    pub last_key: &'a [u8],
    /// Keys in this page.
    pub keys: i64,
    /// Bytes of keys and values in this page.
    pub bytes: i64,
    /// Keys in the span, from its start to its end.
    pub count: i64,
}

/// The pieces that are left of `span` after a page that was not the last.
pub fn rest(span: &Span, page: &Page<'_>) -> Vec<Span> {
    let mut start = page.last_key.to_vec();
    start.push(0);
    let average = (page.bytes / page.keys.max(1)).max(1);
    let limit = (PAGE_BYTES / average).clamp(1, span.wanted.most);
    if span.opening && span.wanted.key == HANDLES {
        let boundaries = handle_boundaries(page.last_key, page.count);
        return tile(&span.wanted, start, span.end.clone(), &boundaries, limit);
    }
    vec![Span { start, limit, opening: false, ..span.clone() }]
}

/// Half-open ranges that cover `start..end` without a gap; boundaries outside of it, or twice, do no harm.
fn tile(wanted: &Wanted, start: Vec<u8>, end: Vec<u8>, boundaries: &[Vec<u8>], limit: i64) -> Vec<Span> {
    let mut cuts: Vec<Vec<u8>> = boundaries.iter().filter(|b| **b > start && **b < end).cloned().collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts.push(end);
    let mut from = start;
    let mut spans = Vec::with_capacity(cuts.len());
    for to in cuts {
        spans.push(Span { wanted: *wanted, start: from, end: to.clone(), limit, opening: false });
        from = to;
    }
    spans
}

/// Container ids are hashes, so equal steps through `00`..`ff` make ranges of equal size. The network's name is
/// `k8s-pod-network` nearly everywhere; where the first page shows another one, that is cut too.
fn handle_boundaries(last_key: &[u8], count: i64) -> Vec<Vec<u8>> {
    let ranges = u32::try_from(count / HANDLES_IN_RANGE + 1).unwrap_or(u32::MAX).min(256);
    let id = last_key.strip_prefix(HANDLES.as_bytes()).unwrap_or_default();
    let seen = id.split(|b| *b == b'.').next().filter(|network| network.len() < id.len()).unwrap_or_default();
    let mut boundaries = Vec::new();
    for network in [b"k8s-pod-network".as_slice(), seen] {
        for step in 0..ranges {
            let digits = format!(".{:02x}", step * 256 / ranges);
            boundaries.push([HANDLES.as_bytes(), network, digits.as_bytes()].concat());
        }
    }
    boundaries
}

/// Where to cut the endpoints when it is known how many pods each namespace has: a few thousand keys a range.
pub fn endpoint_boundaries<'a>(pods: impl IntoIterator<Item = (&'a str, usize)>) -> Vec<Vec<u8>> {
    const ENDPOINTS_IN_RANGE: usize = 2500;
    let mut namespaces: Vec<(Vec<u8>, usize)> =
        pods.into_iter().map(|(name, pods)| (format!("{ENDPOINTS}{name}/").into_bytes(), pods)).collect();
    // In the order of keys, which is not that of names: "a-b/" comes before "a/".
    namespaces.sort_unstable();
    let mut boundaries = Vec::new();
    let mut since = 0;
    for (key, pods) in namespaces {
        if since > 0 && since + pods > ENDPOINTS_IN_RANGE {
            boundaries.push(key);
            since = 0;
        }
        since += pods;
    }
    boundaries
}

/// The first key behind everything that starts with `prefix`.
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    // Only 0xff: etcd's word for "to the end of everything".
    vec![0]
}
