//! How a pool fills, in words: numbers that add up to all of it.

use std::time::Duration;

use super::PoolTrend;
use crate::model::Time;
use crate::model::row::PoolNumbers;
use crate::render::age::age;
use crate::render::capacity::{NO_BLOCK, UNATTRIBUTED};
use crate::render::number::grouped;

/// What is said of a pool, a part each; nothing is known of one without points.
pub fn words(pool: &PoolTrend, since: Time, end: Time) -> Vec<String> {
    let (Some((_, first)), Some((_, last))) = (pool.points.first(), pool.points.last()) else { return Vec::new() };
    let grown = last.allocated.saturating_sub(first.allocated);
    let changed = match grown {
        0 => "unchanged".to_owned(),
        1.. => format!("+{}", grouped(grown)),
        _ => grouped(grown),
    };
    let all = grouped(last.addresses);
    let mut words = vec![format!("{} of {all} allocated ({}), {changed}", grouped(last.allocated), percent(last))];
    words.extend(allocated(last));
    words.push(rest(last));
    words.push(match last.blocks {
        0 => NO_BLOCK.to_owned(),
        all => format!("{} of {} blocks free", grouped(last.free_blocks), grouped(all)),
    });
    words.extend(pool.full_in(since, end).map(|left: Duration| format!("full in {} at this rate", age(left))));
    words
}

fn percent(last: &PoolNumbers) -> String {
    match i128::from(last.allocated) * 100 / i128::from(last.addresses.max(1)) {
        0 if last.allocated > 0 => "<1%".to_owned(),
        percent => format!("{percent}%"),
    }
}

/// `27 in use + 2 leaked + 1 unattributed`, the parts of the allocated ones: the last is what is reserved, of another cluster,
/// or of nobody who is known.
fn allocated(last: &PoolNumbers) -> Option<String> {
    let unattributed = last.allocated.checked_sub(last.in_use)?.checked_sub(last.leaked).filter(|n| *n > 0);
    let parts =
        [(Some(last.in_use), "in use"), (Some(last.leaked).filter(|n| *n > 0), "leaked"), (unattributed, UNATTRIBUTED)];
    let parts = parts.into_iter().filter_map(|(number, word)| Some(format!("{} {word}", grouped(number?))));
    (last.allocated > 0).then(|| parts.collect::<Vec<_>>().join(" + "))
}

/// What is not allocated; free is said always.
fn rest(last: &PoolNumbers) -> String {
    let taken = [last.allocated, last.cooling, last.reserved, last.free].map(i128::from).iter().sum::<i128>();
    // Numbers end at 2^63 - 1: of such a pool nobody can say what is missing.
    let unknown = if last.addresses == i64::MAX { 0 } else { i128::from(last.addresses) - taken };
    let parts =
        [(i128::from(last.cooling), "cooling"), (i128::from(last.reserved), "reserved"), (unknown, "not known")];
    let parts = parts.into_iter().filter(|(number, _)| *number > 0);
    let parts = parts.chain([(i128::from(last.free), "free")]);
    parts.map(|(number, word)| format!("{} {word}", grouped(number))).collect::<Vec<_>>().join(" + ")
}
