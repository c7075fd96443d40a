//! Maps and sets for joins, with a hasher made for short keys.
//!
//! The standard library's SipHash costs more than the rest of a look-up when a key is a number or two. This one is
//! seeded too, as keys are foreign. The order of iteration is random in both: whoever shows something sorts it.

pub use hashbrown::{HashMap, HashSet};
