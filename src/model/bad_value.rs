//! Keys and values that do not parse, and what nobody can know for it.

use super::{Cidr, HandleId, Input, Name};

/// What a value that does not decode hides: nobody may argue from the absence of anything in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dark {
    /// All addresses of a block.
    Range(Cidr),
    /// Everything on a node (Calico's name).
    Node(Name),
    /// A handle of this id exists, though nobody can say what it counts.
    Handle(HandleId),
    /// An affinity for this block exists, though nobody can say whose or in which state.
    Affinity(Cidr),
    /// All of one input: the key itself does not say what it is about.
    All(Input),
}

/// A key or value that does not parse (IPA901).
#[derive(Clone, Debug)]
pub struct BadValue {
    /// The key's bytes.
    pub key: Vec<u8>,
    /// The input that is incomplete for it.
    pub input: Input,
    /// Where in the value, in bytes from its start, when that is known.
    pub offset: Option<usize>,
    /// One line: what is wrong.
    pub reason: String,
    /// What it hides: nothing there is judged.
    pub dark: Vec<Dark>,
    /// Of the key.
    pub mod_revision: i64,
}
