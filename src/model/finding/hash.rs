//! Hashes that are the same in every run and build: a stored one can be compared with a new one.

/// Spreads the bits of a number (the finaliser of SplitMix64), so that sums of stamps do not cancel out.
pub const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A 64-bit hash of bytes, the same in every run and build: for value hashes and stamps. Eight bytes a step,
/// since an audit hashes every value that it reads; not made to withstand an attacker.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    let mut hash = mix(bytes.len() as u64 ^ 0x9e37_79b9_7f4a_7c15);
    for word in words {
        hash = (hash.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9fb2_1c65_1e98_df25);
    }
    let mut last = [0u8; 8];
    last[..tail.len()].copy_from_slice(tail);
    mix((hash.rotate_left(23) ^ u64::from_le_bytes(last)).wrapping_mul(0x9fb2_1c65_1e98_df25))
}
