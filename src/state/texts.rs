//! Texts of a state: all of them stand behind the things, in the order in which these name them first, and each is a
//! number in whatever names it. So the table of names is filled in one go, and a name is read as a place in a list.

use super::bytes::{StateReader, StateWriter};
use crate::model::hash::HashMap;
use crate::model::{Name, Names};

/// The texts that were named so far.
pub struct TextsOut<'n> {
    names: &'n Names,
    met: HashMap<Name, u32>,
    order: Vec<Name>,
}

impl<'n> TextsOut<'n> {
    pub fn new(names: &'n Names) -> TextsOut<'n> {
        TextsOut { names, met: HashMap::default(), order: Vec::new() }
    }

    /// The number of a name; 0: not given.
    pub fn number(&mut self, name: Name) -> u32 {
        if name.is_none() {
            return 0;
        }
        *self.met.entry(name).or_insert_with(|| {
            self.order.push(name);
            self.order.len() as u32
        })
    }

    /// Writes all of them.
    pub fn put(&self, out: &mut StateWriter<'_>) {
        out.number(self.order.len() as u64);
        for name in &self.order {
            let text = self.names.get(*name);
            out.number(text.len() as u64);
            out.raw(text.as_bytes());
            out.between();
        }
    }
}

/// The texts that were read.
#[derive(Default)]
pub struct TextsIn(Vec<Name>);

impl TextsIn {
    /// All of them, entered into `names`.
    pub fn take(mut input: StateReader<'_>, names: &mut Names) -> Option<TextsIn> {
        let number = input.length()?;
        // The first number is that of what is not given.
        let mut texts = Vec::with_capacity(number + 1);
        texts.push("");
        for _ in 0..number {
            let length = input.length()?;
            texts.push(std::str::from_utf8(input.raw(length)?).ok()?);
        }
        input.is_empty().then(|| TextsIn(names.intern_all(&texts)))
    }

    /// The name of this number.
    pub fn name(&self, number: u64) -> Option<Name> {
        self.0.get(usize::try_from(number).ok()?).copied()
    }
}
