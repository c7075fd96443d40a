//! The settings below `/proc/sys/net` that decide whether a pod's packets get anywhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Foreign;

/// The settings of one interface, or of `all`; `None`: not read, or another value at the other reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DevSysctls {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_arp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarding: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rp_filter: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_delay: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_ndp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarding6: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept_ra: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_ipv6: Option<i64>,
}

impl DevSysctls {
    /// The setting at this place below `net`, of a path without the interface: (`ipv4/conf`, `proxy_arp`).
    pub fn slot(&mut self, family: &str, name: &str) -> Option<&mut Option<i64>> {
        match (family, name) {
            ("ipv4/conf", "proxy_arp") => Some(&mut self.proxy_arp),
            ("ipv4/conf", "forwarding") => Some(&mut self.forwarding),
            ("ipv4/conf", "rp_filter") => Some(&mut self.rp_filter),
            ("ipv4/neigh", "proxy_delay") => Some(&mut self.proxy_delay),
            ("ipv6/conf", "proxy_ndp") => Some(&mut self.proxy_ndp),
            ("ipv6/conf", "forwarding") => Some(&mut self.forwarding6),
            ("ipv6/conf", "accept_ra") => Some(&mut self.accept_ra),
            ("ipv6/conf", "disable_ipv6") => Some(&mut self.disable_ipv6),
            _ => None,
        }
    }
}

/// All that was read of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sysctls {
    /// `net/ipv4/ip_forward`.
    pub ip_forward: Option<i64>,
    /// By interface, `all` and `default` among them.
    pub of: BTreeMap<Foreign, DevSysctls>,
}

impl Sysctls {
    /// Those of an interface.
    pub fn dev(&self, name: &Foreign) -> DevSysctls {
        self.of.get(name).copied().unwrap_or_default()
    }

    /// Those of `all`.
    pub fn all(&self) -> DevSysctls {
        self.dev(&"all".into())
    }

    /// Whether the node answers for others on this interface: by `all` or by the interface itself.
    pub fn proxy_arp(&self, name: &Foreign) -> Option<bool> {
        either(self.all().proxy_arp, self.dev(name).proxy_arp)
    }
}

/// One of two that is on is enough; that neither is, must be known of both.
fn either(all: Option<i64>, own: Option<i64>) -> Option<bool> {
    match (all, own) {
        (Some(all), Some(own)) => Some(all != 0 || own != 0),
        (Some(one), None) | (None, Some(one)) if one != 0 => Some(true),
        _ => None,
    }
}
