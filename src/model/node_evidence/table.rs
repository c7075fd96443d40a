//! Which route the kernel would take.

use std::collections::BTreeSet;

use super::kernel::{KernelRoute, MAIN_TABLE, RouteKind};
use crate::model::{Addr, Cidr};

/// The places of a list's routes in the order of their ranges; of one range in the kernel's order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RouteOrder {
    places: Vec<u32>,
    /// The prefix lengths that occur.
    lengths: BTreeSet<u8>,
}

impl RouteOrder {
    /// Of this list.
    pub fn of(routes: &[KernelRoute]) -> RouteOrder {
        let mut places: Vec<(Cidr, u32)> = routes.iter().map(|route| route.dst).zip(0..).collect();
        places.sort_unstable();
        let lengths = places.iter().map(|(dst, _)| dst.prefix()).collect();
        RouteOrder { places: places.into_iter().map(|(_, place)| place).collect(), lengths }
    }
}

/// The routes of one family, to be asked for the way to an address.
#[derive(Clone, Copy, Debug)]
pub struct RouteTable<'e> {
    routes: &'e [KernelRoute],
    order: &'e RouteOrder,
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
    /// Of these routes, which have this order.
    pub const fn of(routes: &'e [KernelRoute], order: &'e RouteOrder, readings: u8) -> RouteTable<'e> {
        RouteTable { routes, order, readings }
    }

    /// The routes of exactly this range in the main table that any packet takes, in the kernel's order.
    pub fn exactly(&self, range: Cidr) -> impl Iterator<Item = &'e KernelRoute> + use<'e> {
        // A route that hands the question back to the next table decides nothing here. Behind the main one none has a pod.
        let is_thrown = |route: &KernelRoute| route.kind.known() == Some(RouteKind::Throw) && !route.is_host();
        let counts = move |route: &&KernelRoute| route.table == MAIN_TABLE && !is_thrown(route);
        self.of_range(range).filter(counts)
    }

    /// The host routes of an address, of any reading and in any table.
    pub fn hosts(&self, address: Addr) -> impl Iterator<Item = &'e KernelRoute> + use<'e> {
        Cidr::of_one(address).into_iter().flat_map({
            let table = *self;
            move |range| table.of_range(range)
        })
    }

    /// Whether another table than the main one has a way to an address, but by a default: WireGuard's or a VRF's.
    pub fn is_routed_beside(&self, address: Addr) -> bool {
        let ranges =
            self.order.lengths.iter().filter(|length| **length > 0).filter_map(|&length| Cidr::new(address, length));
        let mut beside = ranges.flat_map(|range| self.of_range(range)).filter(|route| route.table != MAIN_TABLE);
        beside.any(|route| route.kind.known() == Some(RouteKind::Unicast))
    }

    fn of_range(&self, range: Cidr) -> impl Iterator<Item = &'e KernelRoute> + use<'e> {
        let RouteTable { routes, order, .. } = *self;
        let at = move |place: &u32| usize::try_from(*place).ok().and_then(|place| routes.get(place));
        let is_before = |place: &u32| at(place).is_some_and(|route| route.dst < range);
        let from = order.places.partition_point(is_before);
        let rest = order.places.get(from..).unwrap_or_default();
        rest.iter().map_while(at).take_while(move |route| route.dst == range).filter(|route| !route.narrow)
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
        self.order.lengths.iter().rev().find_map(|&length| {
            let routes = self.exactly(Cidr::new(address, length)?);
            // The first of the lowest ones.
            routes.filter(|route| route.seen & reading != 0).min_by_key(|route| route.metric)
        })
    }
}
