//! Names that begin with `-` in commands: no program takes one for a flag.
//!
//! What is named comes from keys and values that anybody may have written.

use super::{get_key, shell};
use crate::model::keys::{NODES, POOLS};

/// A name as the last word of a command of `kubectl` or `grep`, which take `--` for the end of their flags.
pub fn operand(name: &str) -> String {
    let end = if name.starts_with('-') { "-- " } else { "" };
    format!("{end}{}", shell(name))
}

/// `calicoctl VERB node NAME`, with `end` behind it. calicoctl knows no `--`: a name that could be a flag is shown by its
/// key.
pub fn calicoctl_node(verb: &str, name: &str, end: &str) -> String {
    of_name(verb, "node", NODES, name, end)
}

/// `calicoctl get ippool NAME -o yaml`, or the pool's key.
pub fn get_pool(name: &str) -> String {
    of_name("get", "ippool", POOLS, name, " -o yaml")
}

/// `ipaudit blocks --pool NAME`: what fills it, block by block.
pub fn blocks_of_pool(name: &str) -> String {
    format!("ipaudit blocks {}", in_pool(name))
}

/// `--pool NAME`, as ipaudit takes it.
pub fn in_pool(name: &str) -> String {
    let gap = if name.starts_with('-') { '=' } else { ' ' };
    format!("--pool{gap}{}", shell(name))
}

fn of_name(verb: &str, kind: &str, prefix: &str, name: &str, end: &str) -> String {
    match name.starts_with('-') {
        true => get_key(&format!("{prefix}{name}")),
        false => format!("calicoctl {verb} {kind} {}{end}", shell(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_a_flag() {
        assert_eq!(operand("node-1"), "node-1");
        assert_eq!(operand("--all x"), "-- '--all x'");
        assert_eq!(calicoctl_node("delete", "a b", ""), "calicoctl delete node 'a b'");
        assert_eq!(
            calicoctl_node("delete", "--config=x", ""),
            "etcdctl get /calico/resources/v3/projectcalico.org/nodes/--config=x"
        );
        assert_eq!(blocks_of_pool("a b"), "ipaudit blocks --pool 'a b'");
        assert_eq!(blocks_of_pool("-p"), "ipaudit blocks --pool=-p");
        assert_eq!(get_pool("pods"), "calicoctl get ippool pods -o yaml");
        assert_eq!(get_pool("-p"), "etcdctl get /calico/resources/v3/projectcalico.org/ippools/-p");
    }
}
