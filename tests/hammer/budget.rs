//! How long the hammer strikes, and from which seed: rounds that depend on nothing but seed, name and number.
//!
//! `IPAUDIT_HAMMER` seconds for all tests together (default 30, 120 in CI; a single test that was named gets all of
//! them), `IPAUDIT_HAMMER_SEED`, and `IPAUDIT_HAMMER_ROUND` for one round alone.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

const SEED: u64 = 20_261_129;

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// So many numbers below `limit`, ascending.
    pub fn ascending(&mut self, count: usize, limit: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..count).map(|_| self.below(limit)).collect();
        all.sort_unstable();
        all
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text}: not a number")))
}

fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|v| !v.is_empty() && v != "false")
}

/// Whether the command line of this test binary names a test: then it has the time of all.
fn one_is_named() -> bool {
    // `--test-threads 1` names none.
    std::env::args().skip(1).any(|arg| !arg.starts_with('-') && arg.parse::<u32>().is_err())
}

/// This test's part of the time, `percent` of the whole.
fn time(percent: u64) -> Duration {
    let total = number("IPAUDIT_HAMMER").unwrap_or(if is_ci() { 120 } else { 30 });
    if one_is_named() {
        return Duration::from_secs(total);
    }
    // Tests run beside each other; two at a time are reckoned with, as on a small CI machine.
    let beside = std::thread::available_parallelism().map_or(1, |n| n.get().min(2)) as u64;
    Duration::from_millis(total * beside * percent * 10)
}

/// Strikes round after round until its part of the time (`percent`) is over, but `least` rounds in any case.
pub fn strike(name: &str, percent: u64, least: u64, mut round: impl FnMut(&mut Random)) {
    let seed = number("IPAUDIT_HAMMER_SEED").unwrap_or(SEED);
    let only = number("IPAUDIT_HAMMER_ROUND");
    let (begun, time) = (Instant::now(), time(percent));
    let own = name.bytes().fold(seed, |hash, byte| Random::new(hash ^ u64::from(byte)).next());
    let mut done = 0;
    for count in only.unwrap_or(0).. {
        if only.is_some_and(|only| count > only) || (count >= least && begun.elapsed() >= time) {
            break;
        }
        let mut random = Random::new(own ^ count.wrapping_mul(0x2545_f491_4f6c_dd1d));
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| round(&mut random))) {
            eprintln!(
                "the hammer broke something in round {count}; this repeats it:\n  IPAUDIT_HAMMER_SEED={seed} \
                 IPAUDIT_HAMMER_ROUND={count} cargo test --test hammer {name}"
            );
            resume_unwind(cause);
        }
        done += 1;
    }
    eprintln!("{name}: {done} rounds in {:.1?}, seed {seed}", begun.elapsed());
}
