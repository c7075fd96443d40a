//! What was read of one thing, or why not.

use super::kernel::HostLink;
use crate::model::Foreign;

/// One thing that was asked of the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Dump<T> {
    Read(T),
    /// A part of it, and why not the rest. Nobody argues from what it lacks, nor accuses by what it has: it only protects.
    Partly(T, Foreign),
    /// It was asked for and not had; why.
    NotRead(Foreign),
    /// Nobody asked for it.
    #[default]
    NotAsked,
}

impl<T> Dump<T> {
    /// What was read, whole.
    pub const fn read(&self) -> Option<&T> {
        if let Dump::Read(read) = self { Some(read) } else { None }
    }

    /// What was had of it, whole or not: for whatever only protects, or names.
    pub const fn had(&self) -> Option<&T> {
        if let Dump::Read(had) | Dump::Partly(had, _) = self { Some(had) } else { None }
    }

    /// Why it could not be read whole, if it was asked for.
    pub const fn failure(&self) -> Option<&Foreign> {
        if let Dump::Partly(_, why) | Dump::NotRead(why) = self { Some(why) } else { None }
    }

    /// What is made of what was had.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Dump<U> {
        match self {
            Dump::Read(read) => Dump::Read(make(read)),
            Dump::Partly(had, why) => Dump::Partly(make(had), why),
            Dump::NotRead(why) => Dump::NotRead(why),
            Dump::NotAsked => Dump::NotAsked,
        }
    }
}

impl<T> Dump<Vec<T>> {
    /// Of what was read whole thing by thing; nothing where it was not.
    pub fn each(&self) -> impl Iterator<Item = &T> + use<'_, T> {
        self.read().into_iter().flatten()
    }

    /// What was had of it, thing by thing.
    pub fn each_had(&self) -> impl Iterator<Item = &T> + use<'_, T> {
        self.had().into_iter().flatten()
    }

    /// A list of which something may be missing: `why`, if anything is. Without a single entry it was not read.
    pub fn of(list: Vec<T>, why: Option<Foreign>) -> Dump<Vec<T>> {
        match why {
            None => Dump::Read(list),
            Some(why) if list.is_empty() => Dump::NotRead(why),
            Some(why) => Dump::Partly(list, why),
        }
    }
}

impl Dump<Vec<HostLink>> {
    /// The links of a kernel: none has not at least one, so an empty list is no answer.
    pub fn of_links(self) -> Dump<Vec<HostLink>> {
        match self {
            Dump::Read(links) if links.is_empty() => Dump::NotRead("not one interface, and every kernel has lo".into()),
            links => links,
        }
    }
}

/// What is told of a list of `all` entries of which `bad` ones are not understood, the first for this reason.
pub fn not_understood(bad: usize, all: usize, why: &str) -> String {
    let are = if bad == 1 { "is" } else { "are" };
    format!("{bad} of {all} entries {are} not understood: {why}")
}
