//! Which of the clusters of a history a report leads with, and which of them are no more.
//!
//! A cluster whose datastore was made anew has another GUID: what was recorded of the old one stays in the file, and nobody will
//! ever look at it again. It would lead every morning, with findings that nothing can end.

use std::cmp::Reverse;

use crate::history::query::Pair;
use crate::model::Time;
use crate::render::report::{ClusterReport, Replacement};

/// The one that was audited last comes first, and behind all others what was replaced.
pub fn last_audited_first(clusters: &mut [ClusterReport]) {
    clusters.sort_by_key(|cluster| (cluster.replaced_by.is_some(), Reverse(cluster.last_ever)));
}

/// What has taken a pair's place by `until`: one of the same Kubernetes cluster that was audited from when on nobody audited this one
/// any more. Two that are audited by turns are both there. Audits of which nobody could say the Kubernetes cluster give way to
/// those of the same datastore that could.
pub fn replaced_by(pair: &Pair, all: &[Pair], until: Time) -> Option<Replacement> {
    let last = pair.last_audit?;
    let is_same = |other: &Pair| match pair.apart {
        true => other.guid == pair.guid,
        false => pair.uids.iter().any(|uid| other.uids.contains(uid)),
    };
    let others = all.iter().filter(|other| other.id != pair.id && !other.apart && is_same(other));
    let begins = others.filter_map(|other| {
        let (first, theirs) = (other.first_audit?, other.last_audit?);
        let took_over = if pair.apart { theirs > last } else { first > last };
        (took_over && first <= until).then_some((first, other))
    });
    let (since, other) = begins.min_by_key(|(first, _)| *first)?;
    Some(Replacement { guid: other.guid.clone(), since })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(id: i64, guid: &str, uid: Option<&str>, audited: (i64, i64)) -> Pair {
        Pair {
            id,
            guid: guid.into(),
            uids: uid.into_iter().map(Into::into).collect(),
            apart: uid.is_none(),
            known: uid.is_some(),
            audits: 9,
            first_audit: Some(Time(audited.0)),
            last_audit: Some(Time(audited.1)),
        }
    }

    #[test]
    fn a_datastore_is_replaced_by_the_next_one_of_the_same_kubernetes_cluster() {
        let old = pair(1, "old", Some("k"), (1, 10));
        let by = |others: &[Pair], until| {
            let all = [std::slice::from_ref(&old), others].concat();
            replaced_by(&old, &all, Time(until)).map(|by| by.guid.raw().to_owned())
        };
        let next = pair(2, "next", Some("k"), (11, 20));
        assert_eq!(by(std::slice::from_ref(&next), 30).as_deref(), Some("next"));
        assert_eq!(by(std::slice::from_ref(&next), 10), None, "it was there at that time");
        assert_eq!(by(&[pair(3, "third", Some("k"), (21, 30)), next], 30).as_deref(), Some("next"), "the first one");
        assert_eq!(by(&[pair(2, "turns", Some("k"), (5, 20))], 30), None, "they are audited by turns");
        assert_eq!(by(&[pair(2, "other", Some("l"), (11, 20))], 30), None, "another cluster");
        let apart = pair(2, "next", None, (1, 10));
        let named = pair(3, "next", Some("k"), (1, 12));
        assert_eq!(replaced_by(&apart, &[apart.clone(), named], Time(30)).map(|by| by.since), Some(Time(1)));
    }
}
