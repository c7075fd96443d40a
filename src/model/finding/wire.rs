//! What a finding tells, as bytes: texts behind their lengths, facts by the places of their names.

use super::squeeze::{number, take};
use super::{Finding, Look, Rest};
use crate::model::{Addr, Cidr, EndpointKey, Evidence, Fact, Foreign, HandleId, Host, HostKind, Name, Time};

/// Kinds of facts.
mod fact {
    pub const NULL: u8 = 0;
    pub const NO: u8 = 1;
    pub const YES: u8 = 2;
    pub const NUMBER: u8 = 3;
    pub const SEQUENCE: u8 = 4;
    pub const TEXT: u8 = 5;
    pub const TIME: u8 = 6;
    pub const LIST: u8 = 7;
    pub const FIELDS: u8 = 8;
}

/// What is read again; [`STAMPED`] beside it.
mod look {
    pub const BLOCK: u8 = 0;
    pub const HANDLE: u8 = 1;
    pub const AFFINITY: u8 = 2;
    pub const ENDPOINT: u8 = 3;
    pub const ENDPOINTS_OF_POD: u8 = 4;
    pub const CALICO_NODE: u8 = 5;
    pub const SETTINGS: u8 = 6;
    pub const POD: u8 = 7;
    pub const KUBE_NODE: u8 = 8;
    pub const SERVICE: u8 = 9;
    pub const SERVICES: u8 = 10;
}
/// A stamp follows.
const STAMPED: u8 = 0x80;

/// Writes what a finding tells.
pub struct FactsOut<'n> {
    pub bytes: Vec<u8>,
    pub names: FactNames<'n>,
}

/// The names of facts, each written as its place.
pub enum FactNames<'n> {
    /// All that there are.
    These(&'n [&'static str]),
    /// Each is entered when it is met.
    Met(&'n mut Vec<&'static str>),
}

impl FactNames<'_> {
    fn place(&mut self, name: &'static str) -> Option<usize> {
        match self {
            FactNames::These(names) => names.iter().position(|known| *known == name),
            FactNames::Met(names) => names.iter().position(|known| *known == name).or_else(|| {
                names.push(name);
                Some(names.len() - 1)
            }),
        }
    }
}

impl FactsOut<'_> {
    /// `None`: a fact has a name that is not among these.
    pub fn finding(&mut self, finding: &Finding) -> Option<()> {
        self.text(&finding.summary);
        self.text(&finding.advice);
        self.number(finding.next.len());
        finding.next.iter().for_each(|command| self.text(command));
        self.evidence(&finding.evidence)?;
        self.number(finding.rests.len());
        finding.rests.iter().for_each(|rest| self.rest(rest));
        Some(())
    }

    fn number(&mut self, count: usize) {
        number(&mut self.bytes, count as u64);
    }

    fn signed(&mut self, value: i64) {
        number(&mut self.bytes, (value << 1 ^ value >> 63).cast_unsigned());
    }

    fn text(&mut self, text: &Foreign) {
        self.number(text.raw().len());
        self.bytes.extend_from_slice(text.raw().as_bytes());
    }

    fn evidence(&mut self, evidence: &Evidence) -> Option<()> {
        self.number(evidence.0.len());
        evidence.0.iter().try_for_each(|(name, fact)| {
            let place = self.names.place(name)?;
            self.number(place);
            self.fact(fact)
        })
    }

    fn fact(&mut self, fact: &Fact) -> Option<()> {
        let mut kind = |kind: u8| self.bytes.push(kind);
        match fact {
            Fact::Null => kind(fact::NULL),
            Fact::Flag(false) => kind(fact::NO),
            Fact::Flag(true) => kind(fact::YES),
            Fact::Number(number) => {
                kind(fact::NUMBER);
                self.signed(*number);
            }
            Fact::Sequence(sequence) => {
                kind(fact::SEQUENCE);
                number(&mut self.bytes, *sequence);
            }
            Fact::Text(text) => {
                kind(fact::TEXT);
                self.text(text);
            }
            Fact::Time(time) => {
                kind(fact::TIME);
                self.bytes.extend_from_slice(&time.0.to_le_bytes());
            }
            Fact::List(list) => {
                kind(fact::LIST);
                self.number(list.len());
                list.iter().try_for_each(|fact| self.fact(fact))?;
            }
            Fact::Fields(fields) => {
                kind(fact::FIELDS);
                self.evidence(fields)?;
            }
        }
        Some(())
    }

    fn rest(&mut self, rest: &Rest) {
        let stamped = if rest.stamp == 0 { 0 } else { STAMPED };
        let mut kind = |kind: u8| self.bytes.push(kind | stamped);
        match rest.look {
            Look::Block(cidr) => {
                kind(look::BLOCK);
                self.cidr(cidr);
            }
            Look::Handle(HandleId { head, tail, dotted }) => {
                kind(look::HANDLE);
                self.bytes.push(u8::from(dotted));
                self.these([head, tail]);
            }
            Look::Affinity(host, cidr) => {
                kind(look::AFFINITY);
                self.bytes.push(host.kind as u8);
                self.these([host.name]);
                self.cidr(cidr);
            }
            Look::Endpoint(namespace, key) => {
                kind(look::ENDPOINT);
                match key {
                    EndpointKey::OfPod { node, pod } => self.these([namespace, node, pod]),
                    // No node has the empty name.
                    EndpointKey::Other(name) => self.these([namespace, Name::NONE, name]),
                }
            }
            Look::EndpointsOfPod(node, namespace, pod) => {
                kind(look::ENDPOINTS_OF_POD);
                self.these([node, namespace, pod]);
            }
            Look::CalicoNode(name) => {
                kind(look::CALICO_NODE);
                self.these([name]);
            }
            Look::Settings => kind(look::SETTINGS),
            Look::Pod(namespace, name) => {
                kind(look::POD);
                self.these([namespace, name]);
            }
            Look::KubeNode(name) => {
                kind(look::KUBE_NODE);
                self.these([name]);
            }
            Look::Service(namespace, name) => {
                kind(look::SERVICE);
                self.these([namespace, name]);
            }
            Look::Services => kind(look::SERVICES),
        }
        if stamped != 0 {
            self.bytes.extend_from_slice(&rest.stamp.to_le_bytes());
        }
    }

    fn these<const N: usize>(&mut self, names: [Name; N]) {
        names.iter().for_each(|name| self.bytes.extend_from_slice(&name.number().to_le_bytes()));
    }

    fn cidr(&mut self, cidr: Cidr) {
        self.bytes.push(cidr.prefix());
        match cidr.first().to_v4_bits() {
            Some(bits) => {
                self.bytes.push(0);
                self.bytes.extend_from_slice(&bits.to_le_bytes());
            }
            None => {
                self.bytes.push(1);
                self.bytes.extend_from_slice(&cidr.first().bits().to_le_bytes());
            }
        }
    }
}

/// Reads it again; `None`: it is something else.
pub struct FactsIn<'b> {
    pub bytes: &'b [u8],
    pub names: &'b [&'static str],
}

impl FactsIn<'_> {
    /// Puts it into a finding that tells nothing yet.
    pub fn finding(&mut self, finding: &mut Finding) -> Option<()> {
        finding.summary = self.text()?;
        finding.advice = self.text()?;
        finding.next = self.list(FactsIn::text)?;
        finding.evidence = self.evidence()?;
        finding.rests = self.list(FactsIn::rest)?;
        Some(())
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*chunk)
    }

    fn byte(&mut self) -> Option<u8> {
        self.chunk::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<usize> {
        usize::try_from(take(&mut self.bytes)?).ok()
    }

    fn text(&mut self) -> Option<Foreign> {
        let length = self.number()?;
        let (text, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(std::str::from_utf8(text).ok()?.into())
    }

    fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        (0..self.number()?).map(|_| each(self)).collect()
    }

    fn evidence(&mut self) -> Option<Evidence> {
        let fact = |input: &mut Self| {
            let place = input.number()?;
            Some((*input.names.get(place)?, input.fact()?))
        };
        self.list(fact).map(Evidence)
    }

    fn fact(&mut self) -> Option<Fact> {
        Some(match self.byte()? {
            fact::NULL => Fact::Null,
            fact::NO => Fact::Flag(false),
            fact::YES => Fact::Flag(true),
            fact::NUMBER => {
                let number = take(&mut self.bytes)?;
                Fact::Number((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
            }
            fact::SEQUENCE => Fact::Sequence(take(&mut self.bytes)?),
            fact::TEXT => Fact::Text(self.text()?),
            fact::TIME => Fact::Time(Time(i64::from_le_bytes(self.chunk()?))),
            fact::LIST => Fact::List(self.list(FactsIn::fact)?),
            fact::FIELDS => Fact::Fields(self.evidence()?),
            _ => return None,
        })
    }

    fn rest(&mut self) -> Option<Rest> {
        let kind = self.byte()?;
        let look = match kind & !STAMPED {
            look::BLOCK => Look::Block(self.cidr()?),
            look::HANDLE => {
                let dotted = self.byte()? != 0;
                let [head, tail] = self.these()?;
                Look::Handle(HandleId { head, tail, dotted })
            }
            look::AFFINITY => {
                let kind = *HostKind::ALL.get(usize::from(self.byte()?))?;
                let [name] = self.these()?;
                Look::Affinity(Host { kind, name }, self.cidr()?)
            }
            look::ENDPOINT => match self.these()? {
                [namespace, Name::NONE, name] => Look::Endpoint(namespace, EndpointKey::Other(name)),
                [namespace, node, pod] => Look::Endpoint(namespace, EndpointKey::OfPod { node, pod }),
            },
            look::ENDPOINTS_OF_POD => {
                let [node, namespace, pod] = self.these()?;
                Look::EndpointsOfPod(node, namespace, pod)
            }
            look::CALICO_NODE => Look::CalicoNode(self.these().map(|[name]| name)?),
            look::SETTINGS => Look::Settings,
            look::POD => self.these().map(|[namespace, name]| Look::Pod(namespace, name))?,
            look::KUBE_NODE => Look::KubeNode(self.these().map(|[name]| name)?),
            look::SERVICE => self.these().map(|[namespace, name]| Look::Service(namespace, name))?,
            look::SERVICES => Look::Services,
            _ => return None,
        };
        let stamp = if kind & STAMPED == 0 { 0 } else { u128::from_le_bytes(self.chunk()?) };
        Some(Rest { look, stamp })
    }

    fn these<const N: usize>(&mut self) -> Option<[Name; N]> {
        let mut names = [Name::NONE; N];
        for name in &mut names {
            *name = Name::of_number(u32::from_le_bytes(self.chunk()?));
        }
        Some(names)
    }

    fn cidr(&mut self) -> Option<Cidr> {
        let [prefix, family] = self.chunk()?;
        let first = match family {
            0 => Addr::from_v4_bits(u32::from_le_bytes(self.chunk()?)),
            _ => Addr::from_bits(u128::from_le_bytes(self.chunk()?)),
        };
        Cidr::new(first, prefix)
    }
}
