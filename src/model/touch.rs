//! Whom a finding touches: every node, namespace and pool that its subject or its evidence names, not only the one that it
//! belongs to.
//!
//! A duplicate address has holders in several namespaces, on several nodes: a view of one of them that left it out would be
//! a false all-clear.

use super::{Addr, Cidr, Evidence, Fact, Foreign};

/// Evidence, as an audit makes it or as the history keeps it.
pub trait NamingTexts {
    /// Whether one of its texts is so; each comes with the name of its field.
    fn any_text(&self, is: &dyn Fn(&str, &str) -> bool) -> bool;
}

impl NamingTexts for Evidence {
    fn any_text(&self, is: &dyn Fn(&str, &str) -> bool) -> bool {
        self.0.iter().any(|(field, fact)| in_fact(field, fact, is))
    }
}

fn in_fact(field: &str, fact: &Fact, is: &dyn Fn(&str, &str) -> bool) -> bool {
    match fact {
        Fact::Text(text) => is(field, text.raw()),
        Fact::List(list) => list.iter().any(|fact| in_fact(field, fact, is)),
        Fact::Fields(fields) => fields.any_text(is),
        Fact::Null | Fact::Flag(_) | Fact::Number(_) | Fact::Sequence(_) | Fact::Time(_) => false,
    }
}

/// Where a finding is: what it belongs to, and what it is about.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    pub node: Option<&'a Foreign>,
    pub namespace: Option<&'a Foreign>,
    pub pool: Option<&'a Foreign>,
    /// The subject's kind, and the subject.
    pub subject: (&'a str, &'a Foreign),
}

/// What a cluster calls the place that a view is narrowed to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Spellings {
    /// Names of the node beside the one that findings have: Calico's.
    pub nodes: Vec<Foreign>,
    /// Every pool by name and range: an address belongs to the narrowest that covers it.
    pub pools: Vec<(Foreign, Cidr)>,
}

impl Spellings {
    /// Whether a text means this node: its name, or `host:NODE`, which a CIDR may follow.
    pub fn is_node(&self, node: &str, text: &str) -> bool {
        let owner = text.strip_prefix("host:").map(|owner| owner.split(' ').next().unwrap_or(owner));
        let text = owner.unwrap_or(text);
        text == node || self.nodes.iter().any(|name| name.raw() == text)
    }

    /// Whether a text means something of this namespace: `NAMESPACE/NAME`, the key of an endpoint, or the namespace itself.
    pub fn is_namespace(namespace: &str, field: &str, text: &str) -> bool {
        let is_of = |text: &str| text.strip_prefix(namespace).is_some_and(|rest| rest.starts_with('/'));
        let of_key = || text.split_once("/workloadendpoints/").is_some_and(|(_, key)| is_of(key));
        is_of(text) || of_key() || (field.starts_with("namespace") && text == namespace)
    }

    /// Whether a text means this pool, or an address or a range in it.
    pub fn is_pool(&self, pool: &str, field: &str, text: &str) -> bool {
        let word = text.rsplit(' ').next().unwrap_or(text);
        let address = || word.parse::<Addr>().ok().or_else(|| Cidr::parse(word).map(|(range, _)| range.first()));
        (field.contains("pool") && text == pool)
            || address().and_then(|address| self.pool_of(address)).is_some_and(|name| name.raw() == pool)
    }

    fn pool_of(&self, address: Addr) -> Option<&Foreign> {
        let covers = self.pools.iter().filter(|(_, range)| range.contains(address));
        covers.max_by_key(|(_, range)| range.prefix()).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_mean_places() {
        let called = Spellings {
            nodes: vec!["calico-1".into()],
            pools: vec![
                ("wide".into(), Cidr::parse("10.0.0.0/8").unwrap().0),
                ("narrow".into(), Cidr::parse("10.65.0.0/16").unwrap().0),
            ],
        };
        for (text, is) in [
            ("node-1", true),
            ("calico-1", true),
            ("host:node-1", true),
            ("host:calico-1 10.65.0.0/26", true),
            ("node-10", false),
            ("virtual:node-1", false),
            ("shop/node-1", false),
        ] {
            assert_eq!(called.is_node("node-1", text), is, "{text}");
        }
        let key = "/calico/resources/v3/projectcalico.org/workloadendpoints/shop/node--1-k8s-web--0-eth0";
        for (field, text, is) in [
            ("pod", "shop/web-0", true),
            ("key", key, true),
            ("namespace", "shop", true),
            ("container", "shop", false),
            ("pod", "shop-2/web-0", false),
            ("pod", "stage/shop", false),
        ] {
            assert_eq!(Spellings::is_namespace("shop", field, text), is, "{field} {text}");
        }
        for (field, text, is) in [
            ("address", "10.1.2.3", true),
            ("affinity", "host:node-1 10.1.2.0/26", true),
            ("pool", "wide", true),
            ("covering_pools", "wide", true),
            ("container", "wide", false),
            ("address", "10.65.0.1", false),
            ("address", "192.168.0.1", false),
        ] {
            assert_eq!(called.is_pool("wide", field, text), is, "{field} {text}");
        }
    }
}
