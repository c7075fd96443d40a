//! Kubernetes' objects, reduced to what checks need (domain facts, section 6).

use std::fmt;

use super::word::words;
use super::{Addr, Cidr, Name, Names, Time};

/// An object's UID: a UUID as its 16 bytes, anything else as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Uid {
    Uuid([u8; 16]),
    Other(Name),
}

impl Uid {
    /// From text; only the canonical lower-case form of a UUID is held as bytes.
    pub fn intern(names: &mut Names, text: &str) -> Uid {
        match uuid(text) {
            Some(bytes) => Uid::Uuid(bytes),
            None => Uid::Other(names.intern(text)),
        }
    }

    /// The text it was made from.
    pub fn text(self, names: &Names) -> String {
        match self {
            Uid::Uuid(bytes) => uuid_text(bytes),
            Uid::Other(name) => names.get(name).to_owned(),
        }
    }
}

/// A UUID as text, in its canonical form.
pub fn uuid_text(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
    }
    text
}

/// The bytes of a UUID; `None` unless it is in its canonical lower-case form.
pub fn uuid(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 || [8, 13, 18, 23].iter().any(|&i| bytes[i] != b'-') {
        return None;
    }
    let mut out = [0u8; 16];
    let mut digits = bytes.iter().enumerate().filter(|(i, _)| !matches!(i, 8 | 13 | 18 | 23)).map(|(_, &b)| b);
    for slot in &mut out {
        let mut nibble = || match digits.next()? {
            d @ b'0'..=b'9' => Some(d - b'0'),
            d @ b'a'..=b'f' => Some(d - b'a' + 10),
            _ => None,
        };
        *slot = nibble()? << 4 | nibble()?;
    }
    Some(out)
}

/// `status.phase` of a pod.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
    /// `Unknown`, empty, or a word of another version.
    Other,
}

impl Phase {
    /// From Kubernetes' word; `Completed`, which some tools write, is finished too.
    pub fn parse(word: &str) -> Phase {
        match word {
            "Pending" => Phase::Pending,
            "Running" => Phase::Running,
            "Succeeded" | "Completed" => Phase::Succeeded,
            "Failed" => Phase::Failed,
            _ => Phase::Other,
        }
    }

    /// Whether the pod has ended and holds no address any more.
    pub const fn is_finished(self) -> bool {
        matches!(self, Phase::Succeeded | Phase::Failed)
    }
}

words!(Phase {
    Pending = "Pending",
    Running = "Running",
    Succeeded = "Succeeded",
    Failed = "Failed",
    Other = "Unknown",
});

/// One Kubernetes node.
#[derive(Clone, Debug)]
pub struct KubeNode {
    pub uid: Uid,
    pub name: Name,
    /// `status.addresses` of type InternalIP.
    pub internal_addresses: Box<[Addr]>,
    /// Condition `Ready`; `None` when the node has no such condition.
    pub ready: Option<bool>,
    /// `status.nodeInfo.bootID`; [`Name::NONE`] when absent.
    pub boot_id: Name,
    /// `spec.podCIDRs`, else `spec.podCIDR`: what host-local IPAM gives addresses from.
    pub pod_cidrs: Box<[Cidr]>,
    /// Label `kubernetes.io/os` (else `status.nodeInfo.operatingSystem`) is `windows`.
    pub windows: bool,
    /// `metadata.creationTimestamp`.
    pub created: Option<Time>,
}

/// One service.
#[derive(Clone, Debug)]
pub struct Service {
    pub uid: Uid,
    pub namespace: Name,
    pub name: Name,
    /// `spec.type` is `LoadBalancer`.
    pub load_balancer: bool,
    /// `spec.loadBalancerClass`; `None` when absent.
    pub class: Option<Name>,
    /// Whether it asks for Calico's addresses: `spec.loadBalancerIP`, or annotation
    /// `projectcalico.org/ipv4pools`, `ipv6pools` or `loadBalancerIPs`.
    pub requests_address: bool,
    /// Of its addresses.
    pub families: Families,
    /// `status.loadBalancer.ingress[].ip`.
    pub ingress: Box<[Addr]>,
    pub deleting: Option<Time>,
}

/// The families of which a service may have an address: those of `spec.ipFamilies`, and both where `ipFamilyPolicy` is
/// one of the dual-stack ones. A server that says nothing of families forbids none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Families {
    pub v4: bool,
    pub v6: bool,
}

impl Families {
    pub const BOTH: Families = Families { v4: true, v6: true };

    /// From Kubernetes' words: `IPv4`, `IPv6`, and a policy as `SingleStack`. A word of another version may mean any.
    pub fn parse<'a>(families: impl Iterator<Item = &'a str>, policy: &str) -> Families {
        let mut of = Families { v4: false, v6: false };
        for family in families {
            match family {
                "IPv4" => of.v4 = true,
                "IPv6" => of.v6 = true,
                _ => return Families::BOTH,
            }
        }
        if (of.v4 || of.v6) && matches!(policy, "" | "SingleStack") { of } else { Families::BOTH }
    }

    /// Kubernetes' words of them.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        [(self.v4, "IPv4"), (self.v6, "IPv6")].into_iter().filter(|(has, _)| *has).map(|(_, word)| word)
    }

    /// The same, and none where both are allowed.
    pub fn limits(self) -> impl Iterator<Item = &'static str> {
        self.words().filter(move |_| self != Families::BOTH)
    }

    /// Whether it is one of them that `address` belongs to.
    pub fn allow(self, address: Addr) -> bool {
        if address.is_v4() { self.v4 } else { self.v6 }
    }
}

/// One namespace.
#[derive(Clone, Debug)]
pub struct Namespace {
    pub uid: Uid,
    pub name: Name,
    pub deleting: Option<Time>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_what_the_service_says() {
        let of = |families: &str, policy: &str| {
            let parsed = Families::parse(families.split_terminator(' '), policy);
            parsed.words().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("IPv4", "SingleStack"), "IPv4");
        assert_eq!(of("IPv6", ""), "IPv6", "servers of before the policy");
        for (families, policy) in [
            ("IPv4", "PreferDualStack"),
            ("IPv4 IPv6", "RequireDualStack"),
            ("IPv4 IPv6", "SingleStack"),
            ("", ""),
            ("", "SingleStack"),
            ("IPv9", "SingleStack"),
            ("IPv4", "TripleStack"),
        ] {
            assert_eq!(of(families, policy), "IPv4 IPv6", "{families} {policy}");
        }
        let v6 = Families { v4: false, v6: true };
        assert!(v6.allow("fd00::1".parse().unwrap()) && !v6.allow("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn uids_come_back_as_they_were() {
        let mut names = Names::default();
        for text in
            ["6f1c2a9e-0000-4abc-8def-0123456789ab", "6F1C2A9E-0000-4abc-8def-0123456789ab", "config-mirror-1", ""]
        {
            assert_eq!(Uid::intern(&mut names, text).text(&names), text);
        }
        assert!(matches!(Uid::intern(&mut names, "6f1c2a9e-0000-4abc-8def-0123456789ab"), Uid::Uuid(_)));
    }
}
