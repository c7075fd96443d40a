//! Numbers that look random and are the same in every run.

/// Marsaglia's xorshift, with a multiplication at the end (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        // Never zero, and neighbouring seeds far apart.
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        random.next();
        random
    }

    /// The same for the same text.
    pub fn of(text: &str) -> Random {
        Random::new(text.bytes().fold(7, |sum: u64, byte| sum.wrapping_mul(131).wrapping_add(u64::from(byte))))
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 up to and without `limit`, which is small beside 2^64.
    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            list.swap(i, self.below(i as u64 + 1) as usize);
        }
    }

    /// Numbers below `limit` (a power of two), each at most once.
    pub fn distinct(&mut self, limit: u32) -> impl FnMut() -> u32 + use<> {
        assert!(limit.is_power_of_two());
        // An odd step walks through all of them.
        let (mut at, step) = (self.next() as u32, (self.next() as u32) | 1);
        let mut left = limit;
        move || {
            left = left.checked_sub(1).expect("the pool is used up");
            at = at.wrapping_add(step);
            at % limit
        }
    }

    pub fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            text.push_str(&format!("{:016x}", self.next()));
        }
        text.truncate(digits);
        text
    }

    pub fn uid(&mut self) -> String {
        let hex = self.hex(32);
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    /// Five letters as Kubernetes appends them.
    pub fn suffix(&mut self) -> String {
        self.word(5)
    }

    /// Of the letters that Kubernetes makes names from: no vowels, so no words.
    pub fn word(&mut self, letters: usize) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..letters).map(|_| char::from(LETTERS[self.below(LETTERS.len() as u64) as usize])).collect()
    }
}
