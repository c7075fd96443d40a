//! What was read of one thing, or why not.

use crate::model::Foreign;

/// One thing that was asked of the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Dump<T> {
    Read(T),
    /// It was asked for and not had, or not whole; why.
    NotRead(Foreign),
    /// Nobody asked for it.
    #[default]
    NotAsked,
}

impl<T> Dump<T> {
    /// What was read.
    pub const fn read(&self) -> Option<&T> {
        if let Dump::Read(read) = self { Some(read) } else { None }
    }

    /// Why it could not be read, if it was asked for.
    pub const fn failure(&self) -> Option<&Foreign> {
        if let Dump::NotRead(why) = self { Some(why) } else { None }
    }
}

impl<T> Dump<Vec<T>> {
    /// What was read, thing by thing; nothing where nothing was.
    pub fn each(&self) -> impl Iterator<Item = &T> + use<'_, T> {
        self.read().into_iter().flatten()
    }
}
