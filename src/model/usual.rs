//! What Calico usually writes, and how little of it has to be held.
//!
//! A big cluster has 150,000 pods, and of each an endpoint and a handle that say nothing which the pod, its node and its
//! block do not say already: the endpoint's key is `<node>-k8s-<pod>-eth0`, its interface `cali` and eleven digits of a
//! hash, it has one IPv4 address and was made at a whole second; the handle counts one address in one IPv4 block. So the
//! usual form is numbers, and what differs ([`Odd`]) stands beside it, where there is any. Nothing is guessed: a text is
//! in the usual form only when this form spells the very same text again, else it is kept as it is.

use std::cmp::Ordering;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, LazyLock};

use super::{Addr, Cidr, Meta, Name, Names, Time};

/// What a thing has beside its usual form: nothing, nearly always, and then it takes eight bytes.
pub type Odd<T> = Option<Box<T>>;

/// Some values that are mostly one, which needs no list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Few<'a, T> {
    One(T),
    Many(&'a [T]),
    Own(Vec<T>),
}

impl<T> Deref for Few<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Few::One(one) => std::slice::from_ref(one),
            Few::Many(many) => many,
            Few::Own(many) => many,
        }
    }
}

/// The name of a workload endpoint's key.
///
/// Its order is that of numbers, not of text: for that see [`EndpointKey::bytes`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum EndpointKey {
    /// `<node>-k8s-<pod>-eth0`, dashes inside a part doubled: what CNI writes of a pod (domain facts, section 5).
    OfPod { node: Name, pod: Name },
    /// Any other text.
    Other(Name),
}

impl EndpointKey {
    /// The form of `text` for an endpoint of this node and pod; other texts are entered into the table.
    pub fn intern(names: &mut Names, text: &str, node: Name, pod: Name) -> EndpointKey {
        let usual = EndpointKey::OfPod { node, pod };
        if !node.is_none() && !pod.is_none() && usual.is(names, text) {
            return usual;
        }
        EndpointKey::Other(names.intern(text))
    }

    /// Its parts, each with whether its dashes are doubled.
    fn parts(self, names: &Names) -> [(&str, bool); 4] {
        match self {
            EndpointKey::OfPod { node, pod } => {
                [(names.get(node), true), ("-k8s-", false), (names.get(pod), true), ("-eth0", false)]
            }
            EndpointKey::Other(name) => [(names.get(name), false), ("", false), ("", false), ("", false)],
        }
    }

    /// Its text, byte by byte.
    pub fn bytes(self, names: &Names) -> impl Iterator<Item = u8> {
        let double = |byte: u8, doubled: bool| std::iter::repeat_n(byte, if doubled && byte == b'-' { 2 } else { 1 });
        let parts = self.parts(names).into_iter();
        parts.flat_map(move |(text, doubled)| text.bytes().flat_map(move |byte| double(byte, doubled)))
    }

    /// The order of their texts.
    pub fn order(self, other: EndpointKey, names: &Names) -> Ordering {
        let (EndpointKey::OfPod { node, pod }, EndpointKey::OfPod { node: on, pod: of }) = (self, other) else {
            return self.bytes(names).cmp(other.bytes(names));
        };
        let of_nodes = if node == on { Ordering::Equal } else { doubled_order(names.get(node), names.get(on)) };
        of_nodes.then_with(|| doubled_order(names.get(pod), names.get(of)))
    }

    /// Whether this is its text.
    fn is(self, names: &Names, text: &str) -> bool {
        self.bytes(names).eq(text.bytes())
    }

    /// Its text.
    pub fn text(self, names: &Names) -> String {
        let mut text = String::new();
        for (part, doubled) in self.parts(names) {
            match doubled {
                true => text.push_str(&part.replace('-', "--")),
                false => text.push_str(part),
            }
        }
        text
    }

    /// Its text behind what `text` holds.
    pub fn put(self, names: &Names, text: &mut Vec<u8>) {
        for (part, doubled) in self.parts(names) {
            let mut rest = part.as_bytes();
            while let Some(dash) = rest.iter().position(|byte| doubled && *byte == b'-') {
                let (before, behind) = rest.split_at(dash + 1);
                text.extend_from_slice(before);
                text.push(b'-');
                rest = behind;
            }
            text.extend_from_slice(rest);
        }
    }

    /// The name in the table, of what is not in the usual form.
    pub fn other(self) -> Option<Name> {
        if let EndpointKey::Other(name) = self { Some(name) } else { None }
    }
}

/// The order of two texts whose dashes are doubled and behind which a dash and a letter stand, without spelling them: where
/// they differ first, the same bytes differ.
fn doubled_order(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    // Behind the end a dash: a letter follows it there, and here another dash, which is less.
    let ended = |other: u8| if other == b'-' { Ordering::Greater } else { b'-'.cmp(&other) };
    match (a.get(same), b.get(same)) {
        (Some(a), Some(b)) => a.cmp(b),
        (None, Some(b)) => ended(*b),
        (Some(a), None) => ended(*a).reverse(),
        (None, None) => Ordering::Equal,
    }
}

/// The name of an interface on the host.
///
/// Its order is that of numbers, not of text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Interface {
    /// `cali` and eleven hexadecimal digits in lower case, here their number: what CNI writes, of the hash of the pod.
    Cali(u64),
    /// Any other text; [`Name::NONE`]: not given.
    Other(Name),
}

/// What stands before the digits: CNI's `FELIX_INTERFACEPREFIX` where nobody set another one.
const CALI: &str = "cali";
/// Digits of sha1(`namespace.pod`) behind it.
const CALI_DIGITS: usize = 11;

impl Interface {
    /// The form of `text`; other texts are entered into the table.
    pub fn intern(names: &mut Names, text: &str) -> Interface {
        Interface::cali(text).unwrap_or_else(|| Interface::Other(names.intern(text)))
    }

    /// The form of `text`, when it is the usual one or the table has it.
    pub fn find(names: &Names, text: &str) -> Option<Interface> {
        Interface::cali(text).or_else(|| names.find(text).map(Interface::Other))
    }

    fn cali(text: &str) -> Option<Interface> {
        let digits = text.strip_prefix(CALI)?;
        let usual = digits.len() == CALI_DIGITS && digits.bytes().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f'));
        usual.then(|| u64::from_str_radix(digits, 16).ok().map(Interface::Cali)).flatten()
    }

    /// Whether none is given.
    pub const fn is_none(self) -> bool {
        matches!(self, Interface::Other(name) if name.is_none())
    }

    /// The interface, or `None` where none is given.
    pub fn some(self) -> Option<Interface> {
        (!self.is_none()).then_some(self)
    }

    /// Its text.
    pub fn text(self, names: &Names) -> String {
        match self {
            Interface::Cali(number) => format!("{CALI}{number:0width$x}", width = CALI_DIGITS),
            Interface::Other(name) => names.get(name).to_owned(),
        }
    }
}

/// A key's revisions in three quarters of the room: how long after its creation it was last written, and how often it was
/// written, are small numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Revisions {
    mod_revision: i64,
    value_hash: u64,
    /// Revisions between creation and last write.
    age: u32,
    version: u32,
}

impl Revisions {
    /// The usual form; `None` for numbers that do not fit, which etcd does not give.
    pub fn of(meta: Meta) -> Option<Revisions> {
        let age = meta.mod_revision.checked_sub(meta.create_revision).and_then(|age| u32::try_from(age).ok())?;
        let version = u32::try_from(meta.version).ok()?;
        Some(Revisions { mod_revision: meta.mod_revision, value_hash: meta.value_hash, age, version })
    }

    /// Last write, revisions between creation and that, number of writes, hash of the value.
    pub const fn numbers(self) -> (i64, u32, u32, u64) {
        (self.mod_revision, self.age, self.version, self.value_hash)
    }

    /// Of [`Revisions::numbers`]; `None` for a creation before all numbers.
    pub fn of_numbers(mod_revision: i64, age: u32, version: u32, value_hash: u64) -> Option<Revisions> {
        mod_revision.checked_sub(i64::from(age))?;
        Some(Revisions { mod_revision, value_hash, age, version })
    }

    /// As they were.
    pub const fn meta(self) -> Meta {
        Meta {
            create_revision: self.mod_revision - self.age as i64,
            mod_revision: self.mod_revision,
            version: self.version as i64,
            value_hash: self.value_hash,
        }
    }
}

/// A moment at a whole second between 1970 and 2106, as Kubernetes and Calico date their objects; 0: none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WholeSecond(u32);

const NANOSECONDS: i64 = 1_000_000_000;

impl WholeSecond {
    /// The usual form, also of no moment at all; `None` for any other.
    pub fn of(time: Option<Time>) -> Option<WholeSecond> {
        let Some(Time(nanoseconds)) = time else { return Some(WholeSecond(0)) };
        let second = u32::try_from(nanoseconds / NANOSECONDS).ok().filter(|second| *second > 0)?;
        (nanoseconds % NANOSECONDS == 0).then_some(WholeSecond(second))
    }

    /// Seconds since 1970; 0: none.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Of [`WholeSecond::number`].
    pub const fn of_number(seconds: u32) -> WholeSecond {
        WholeSecond(seconds)
    }

    /// As it was.
    pub fn time(self) -> Option<Time> {
        (self.0 > 0).then(|| Time(i64::from(self.0) * NANOSECONDS))
    }
}

/// One IPv4 address that is not `0.0.0.0`; 0: none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OneV4(u32);

impl OneV4 {
    /// The usual form of a list of addresses; `None` for any other list.
    pub fn of(addresses: &[Addr]) -> Option<OneV4> {
        let [address] = addresses else { return None };
        address.to_v4_bits().filter(|bits| *bits > 0).map(OneV4)
    }

    /// The address as a number; 0: none.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Of [`OneV4::number`].
    pub const fn of_number(bits: u32) -> OneV4 {
        OneV4(bits)
    }

    /// As it was.
    pub const fn address(self) -> Option<Addr> {
        if self.0 > 0 { Some(Addr::from_v4_bits(self.0)) } else { None }
    }
}

/// One address counted in one IPv4 block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OneOfBlock {
    first: u32,
    /// 0: none.
    prefix: u8,
}

impl OneOfBlock {
    /// The usual form of a handle's counts; `None` for any other.
    pub fn of(counts: &[(Cidr, i64)]) -> Option<OneOfBlock> {
        let [(block, 1)] = counts else { return None };
        let first = block.first().to_v4_bits()?;
        (block.prefix() > 0).then_some(OneOfBlock { first, prefix: block.prefix() })
    }

    /// The block's first address and its prefix length.
    pub const fn numbers(self) -> (u32, u8) {
        (self.first, self.prefix)
    }

    /// Of [`OneOfBlock::numbers`]; `None` for what is no block.
    pub fn of_numbers(first: u32, prefix: u8) -> Option<OneOfBlock> {
        Some(OneOfBlock { first, prefix }).filter(|one| one.counts().is_some())
    }

    /// As it was.
    pub fn counts(self) -> Option<(Cidr, i64)> {
        let block = Cidr::new(Addr::from_v4_bits(self.first), self.prefix).filter(|_| self.prefix > 0)?;
        Some((block, 1))
    }
}

/// Which attribute each ordinal of a block has. An old cluster has tens of thousands of blocks in which nothing is
/// allocated: of the usual size they share one list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AllocatedTo(Arc<[Option<i32>]>);

/// Addresses of a block of /26 or /122, Calico's own sizes.
const USUAL_SIZE: usize = 64;

static NOTHING_ALLOCATED: LazyLock<Arc<[Option<i32>]>> = LazyLock::new(|| Arc::new([None; USUAL_SIZE]));

impl From<Vec<Option<i32>>> for AllocatedTo {
    fn from(slots: Vec<Option<i32>>) -> AllocatedTo {
        match slots.len() == USUAL_SIZE && slots.iter().all(Option::is_none) {
            true => AllocatedTo(Arc::clone(&NOTHING_ALLOCATED)),
            false => AllocatedTo(slots.into()),
        }
    }
}

impl From<&[Option<i32>]> for AllocatedTo {
    fn from(slots: &[Option<i32>]) -> AllocatedTo {
        slots.to_vec().into()
    }
}

impl FromIterator<Option<i32>> for AllocatedTo {
    fn from_iter<I: IntoIterator<Item = Option<i32>>>(slots: I) -> AllocatedTo {
        slots.into_iter().collect::<Vec<_>>().into()
    }
}

impl Deref for AllocatedTo {
    type Target = [Option<i32>];

    fn deref(&self) -> &[Option<i32>] {
        &self.0
    }
}

impl DerefMut for AllocatedTo {
    fn deref_mut(&mut self) -> &mut [Option<i32>] {
        Arc::make_mut(&mut self.0)
    }
}

#[cfg(test)]
mod tests;
