//! Which keys an audit reads, and in which pieces. Pure: no connection here.
//!
//! etcd counts every key from a page's start to its range's end, for every page: small pages over a wide range
//! are quadratic (on 3.4 and on 3.7 alike). So a prefix is cut into half-open ranges that tile it, and a limit
//! holds only inside one of them. The boundaries may be any keys: tiles stay complete when keys come and go.

use crate::decode::keys::{self, ENDPOINTS, HANDLES};
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

impl Wanted {
    /// The same in short pages, between which others get their turn.
    #[must_use]
    pub fn gently(self) -> Wanted {
        Wanted { first: self.first.min(GENTLE_PAGE), most: self.most.min(GENTLE_PAGE), ..self }
    }

    /// Fits after "cannot"; names the prefix, because a missing right is about a prefix.
    pub fn doing(&self) -> String {
        format!("read {} ({}{})", self.input.word(), self.key, if self.prefix { "*" } else { "" })
    }

    /// Keys that a range should have where a prefix can be cut.
    pub fn in_range(&self) -> usize {
        usize::try_from(self.first).unwrap_or_default()
    }
}

/// Most keys in a page that others' writes should not notice: their p99 was measured to double with 5,000.
const GENTLE_PAGE: i64 = 1000;

/// Everything that an audit reads ([`keys::SINGLE_KEYS`] and [`keys::PREFIXES`], in their order), and nothing else under
/// `/calico`: policies and profiles can be far larger.
pub fn wanted() -> impl Iterator<Item = Wanted> {
    let alone = keys::SINGLE_KEYS.iter().map(|&(input, key)| Wanted { input, key, prefix: false, first: 1, most: 1 });
    let all = keys::PREFIXES.iter().map(|&(input, key)| {
        let (first, most) = match input {
            Input::Blocks => (100, 1000),
            Input::Affinities | Input::Handles => (2500, 5000),
            Input::Endpoints => (2500, 10_000),
            _ => (1000, 5000),
        };
        Wanted { input, key, prefix: true, first, most }
    });
    alone.chain(all)
}

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
/// The same of blocks. There are few and big ones, so that counting to the end of the range costs little for every page.
const BLOCK_PAGE_BYTES: i64 = 2 << 20;

/// What is wanted as one piece.
pub fn opening(wanted: &Wanted) -> Span {
    let start = wanted.key.as_bytes().to_vec();
    match wanted.prefix {
        true => {
            let end = prefix_end(&start);
            Span { wanted: *wanted, start, end, limit: wanted.first, opening: true }
        }
        false => Span { wanted: *wanted, start, end: Vec::new(), limit: 0, opening: false },
    }
}

/// A piece cut where the caller knows that it may be; as it is where nobody does.
pub fn cut(span: Span, boundaries: &[Vec<u8>]) -> Vec<Span> {
    match boundaries {
        [] => vec![Span { opening: false, ..span }],
        _ => tile(&span.wanted, span.start, span.end, boundaries, span.limit),
    }
}

/// What a page said: enough to plan the rest of its span.
#[derive(Clone, Copy, Debug)]
pub struct PageMeasure<'a> {
    pub last_key: &'a [u8],
    /// Keys in this page.
    pub keys: i64,
    /// Bytes of keys and values in this page.
    pub bytes: i64,
    /// Keys in the span, from its start to its end.
    pub count: i64,
}

/// The pieces that are left of `span` after a page that was not the last.
pub fn rest(span: &Span, page: &PageMeasure<'_>) -> Vec<Span> {
    let mut start = page.last_key.to_vec();
    start.push(0);
    let average = (page.bytes / page.keys.max(1)).max(1);
    let bytes = if span.wanted.input == Input::Blocks { BLOCK_PAGE_BYTES } else { PAGE_BYTES };
    let limit = (bytes / average).clamp(1, span.wanted.most);
    if span.opening && span.wanted.key == HANDLES {
        let boundaries = handle_boundaries(page.last_key, page.count, span.wanted.first);
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
///
/// `in_range`: a range of 2,500 is 0.6 MB, short enough that other people's writes do not wait for it.
fn handle_boundaries(last_key: &[u8], count: i64, in_range: i64) -> Vec<Vec<u8>> {
    let ranges = u32::try_from(count / in_range.max(1) + 1).unwrap_or(u32::MAX).min(256);
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

/// Where to cut the endpoints when it is known how many pods each namespace has: about `keys` in a range.
pub fn endpoint_boundaries<'a>(pods: impl IntoIterator<Item = (&'a str, usize)>, keys: usize) -> Vec<Vec<u8>> {
    let mut namespaces: Vec<(Vec<u8>, usize)> =
        pods.into_iter().map(|(name, pods)| (format!("{ENDPOINTS}{name}/").into_bytes(), pods)).collect();
    // In the order of keys, which is not that of names: "a-b/" comes before "a/".
    namespaces.sort_unstable();
    let mut boundaries = Vec::new();
    let mut since = 0;
    for (key, pods) in namespaces {
        if since > 0 && since + pods > keys {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_that_is_read_is_an_input_of_etcds() {
        assert!(wanted().all(|w| INPUTS.contains(&w.input)));
    }

    #[test]
    fn a_prefix_ends_before_its_neighbour() {
        assert_eq!(prefix_end(b"/a/"), b"/a0");
        assert_eq!(prefix_end(b"a\xff\xff"), b"b");
        assert_eq!(prefix_end(b"\xff"), [0]);
    }

    #[test]
    fn namespaces_are_gathered_into_ranges() {
        let cuts = |pods: &[(&str, usize)]| {
            let boundaries = endpoint_boundaries(pods.iter().copied(), 2500);
            let text = |b: Vec<u8>| String::from_utf8(b).unwrap().strip_prefix(ENDPOINTS).unwrap().to_owned();
            boundaries.into_iter().map(text).collect::<Vec<_>>()
        };
        assert!(cuts(&[("a", 10), ("b", 20)]).is_empty());
        assert_eq!(cuts(&[("b", 9000), ("a", 1)]), ["b/"]);
        // A key's "/" sorts after "-": "a-b" comes first.
        assert_eq!(cuts(&[("a", 2000), ("a-b", 2000), ("c", 400), ("d", 200)]), ["a/", "d/"]);
        assert!(cuts(&[("big", 5000)]).is_empty());
    }

    #[test]
    fn handles_are_cut_by_their_number_and_network() {
        let key = |id: &str| format!("{HANDLES}{id}").into_bytes();
        assert_eq!(
            handle_boundaries(&key("k8s-pod-network.00af"), 2600, 2500)[..2],
            [key("k8s-pod-network.00"), key("k8s-pod-network.80")]
        );
        assert_eq!(
            handle_boundaries(&key("other.3c"), 5000, 2500)[3..],
            [key("other.00"), key("other.55"), key("other.aa")]
        );
        assert_eq!(handle_boundaries(&key("x.1"), i64::MAX, 2500).len(), 512);
        // Neither a key from elsewhere nor an id without a network confuses it.
        assert_eq!(handle_boundaries(b"/elsewhere", 0, 0).len(), 2);
    }

    #[test]
    fn a_page_is_measured_by_the_one_before() {
        let blocks = wanted().find(|w| w.input == Input::Blocks).unwrap();
        let span = opening(&blocks);
        let next = |bytes: i64| {
            rest(&span, &PageMeasure { last_key: b"/calico/ipam/v2/assignment/k", keys: 100, bytes, count: 9 })
        };
        assert_eq!(next(100 * 15_000)[0].limit, 139);
        assert_eq!(next(100 * 200)[0].limit, 1000);
        assert_eq!(next(100 * 10_000_000)[0].limit, 1);
        assert_eq!(next(1)[0].start, b"/calico/ipam/v2/assignment/k\0");
        let gently = opening(&wanted().find(|w| w.input == Input::Handles).unwrap().gently());
        assert_eq!((gently.limit, gently.wanted.most, gently.wanted.in_range()), (1000, 1000, 1000));
    }

    proptest! {
        /// Whatever the boundaries, each key of the prefix lies in exactly one piece, and no other key in any.
        #[test]
        fn pieces_tile_the_prefix(
            boundaries in proptest::collection::vec("(/calico/resources/v3/projectcalico.org/workloadendpoint(s/[a-c-]{0,3}/?|t|s))?", 0..12),
            key in "/calico/resources/v3/projectcalico.org/workloadendpoints?/?[a-c/-]{0,5}",
        ) {
            let wanted = wanted().find(|w| w.key == ENDPOINTS).unwrap();
            let boundaries: Vec<Vec<u8>> = boundaries.into_iter().map(String::into_bytes).collect();
            let pieces = cut(opening(&wanted), &boundaries);
            let holds = pieces.iter().filter(|s| s.start.as_slice() <= key.as_bytes() && key.as_bytes() < s.end.as_slice());
            prop_assert_eq!(holds.count(), usize::from(key.starts_with(ENDPOINTS)));
        }

        /// The pieces left after the first page of handles hold each later key once.
        #[test]
        fn the_rest_of_the_handles_is_complete(last in "[a-z0-9.-]{1,20}", key in "[a-z0-9.-]{1,20}", count in 0i64..3_000_000) {
            let wanted = wanted().find(|w| w.key == HANDLES).unwrap();
            let span = opening(&wanted);
            let (last_key, key) = (format!("{HANDLES}{last}").into_bytes(), format!("{HANDLES}{key}").into_bytes());
            let pieces = rest(&span, &PageMeasure { last_key: &last_key, keys: 2500, bytes: 500_000, count });
            let holds = pieces.iter().filter(|s| s.start <= key && key < s.end).count();
            prop_assert_eq!(holds, usize::from(key > last_key));
        }
    }
}
