//! Which route the kernel would take.

use std::collections::BTreeSet;

use super::kernel::{KernelRoute, MAIN_TABLE, RouteKind};
use crate::model::hash::HashMap;
use crate::model::{Addr, Cidr};

/// The main table's routes of one family, to be asked for the way to an address.
#[derive(Debug)]
pub struct RouteTable<'e> {
    by_range: HashMap<Cidr, Vec<&'e KernelRoute>>,
    /// The prefix lengths that occur.
    lengths: BTreeSet<u8>,
    readings: u8,
}

/// The way to an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way<'e> {
    /// Every reading saw this very route in force.
    By(&'e KernelRoute),
    /// No reading saw any.
    Nowhere,
    /// The readings saw different ones: it is being changed.
    Unsettled,
}

impl<'e> Way<'e> {
    /// The route, where there is one.
    pub const fn route(self) -> Option<&'e KernelRoute> {
        if let Way::By(route) = self { Some(route) } else { None }
    }
}

impl<'e> RouteTable<'e> {
    /// Of these routes those of the main table.
    pub fn of(routes: impl IntoIterator<Item = &'e KernelRoute>, readings: u8) -> RouteTable<'e> {
        let mut table = RouteTable { by_range: HashMap::default(), lengths: BTreeSet::new(), readings };
        // A route that hands the question back to the next table decides nothing here.
        let counts = |route: &&KernelRoute| route.table == MAIN_TABLE && route.kind.known() != Some(RouteKind::Throw);
        for route in routes.into_iter().filter(counts) {
            table.lengths.insert(route.dst.prefix());
            table.by_range.entry(route.dst).or_default().push(route);
        }
        table
    }

    /// The routes of exactly this range, in the kernel's order.
    pub fn exactly(&self, range: Cidr) -> &[&'e KernelRoute] {
        self.by_range.get(&range).map(Vec::as_slice).unwrap_or_default()
    }

    /// The way to an address: the narrowest range, of this the lowest metric, of equal ones the first.
    pub fn way(&self, address: Addr) -> Way<'e> {
        let mut ways = (0..self.readings.clamp(1, 7)).map(|reading| self.at(address, 1 << reading));
        let first = ways.next().flatten();
        let is_same = |way: Option<&'e KernelRoute>| match (way, first) {
            (Some(one), Some(other)) => std::ptr::eq(one, other),
            (None, None) => true,
            _ => false,
        };
        match (ways.all(is_same), first) {
            (false, _) => Way::Unsettled,
            (true, Some(route)) => Way::By(route),
            (true, None) => Way::Nowhere,
        }
    }

    fn at(&self, address: Addr, reading: u8) -> Option<&'e KernelRoute> {
        self.lengths.iter().rev().find_map(|&length| {
            let routes = self.exactly(Cidr::new(address, length)?);
            // The first of the lowest ones.
            routes.iter().copied().filter(|route| route.seen & reading != 0).min_by_key(|route| route.metric)
        })
    }
}
