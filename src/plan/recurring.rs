//! Orphaned handles whose id comes again.
//!
//! A container's id never comes again, so its orphaned handle is nobody's for ever. The id of a tunnel, a KubeVirt
//! machine, a LoadBalancer service or a very old pod (`<namespace>.<pod>`, a StatefulSet's) is taken again by the next
//! allocation of the same thing. Calico releases in two writes, first the block and then the handle (domain facts,
//! section 3). While such a release waits between the two, its handle looks orphaned; when it goes and comes again
//! meanwhile, the late decrement counts down the handle of an address that is in use. The fence stops an ADD that is
//! under way, and nothing stops that: so these go by the operator's word alone, one at a time, and never without age.

use std::time::Duration;

use super::circumstances::{Refusal, Word};
use super::rules::{self, Verdict};
use crate::checks::handles::orphaned_handle;
use crate::model::{HandleId, Names, Observation};

/// Whose handle it is, when its id comes again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recurring {
    Tunnel,
    Machine,
    LoadBalancer,
    Windows,
    /// Anything else that is no container's: `<namespace>.<pod>`, or an id of which nobody knows what made it.
    Other,
}

impl Recurring {
    /// By the form of the id; `None`: a container's.
    pub fn of(names: &Names, id: HandleId) -> Option<Recurring> {
        match () {
            () if !id.comes_again(names) => None,
            () if id.is_tunnel(names) => Some(Recurring::Tunnel),
            () if id.is_vm(names) => Some(Recurring::Machine),
            () if id.is_load_balancer(names) => Some(Recurring::LoadBalancer),
            () if id.is_windows(names) => Some(Recurring::Windows),
            () => Some(Recurring::Other),
        }
    }

    /// Fits after "it is".
    pub const fn words(self) -> &'static str {
        match self {
            Recurring::Tunnel => "a tunnel's handle",
            Recurring::Machine => "a KubeVirt machine's handle",
            Recurring::LoadBalancer => "a LoadBalancer service's handle",
            Recurring::Windows => "the handle of Windows' reservations",
            Recurring::Other => "no container's handle (<network>.<container id>)",
        }
    }
}

/// Rule 7: a handle whose id comes again goes by the operator's word alone.
pub fn automatically(id: &str, recurring: Option<Recurring>, knows: bool) -> Verdict {
    match recurring.filter(|_| !knows) {
        None => Ok(()),
        Some(whose) => {
            let words = format!(
                "it is {}, whose id comes again; only alone, by --handle with --i-know-what-this-is",
                whose.words()
            );
            Err(Refusal::new(7, id, words))
        }
    }
}

/// Rule 4: `--skip-age` waives it for a container's handle only.
pub fn observed(
    id: &str,
    recurring: Option<Recurring>,
    seen: Option<Observation>,
    grace: Duration,
    word: &Word,
) -> Verdict {
    match recurring {
        None => rules::observed(id, seen, grace, word.skip_age),
        Some(_) => rules::observed_in_any_case(id, seen, grace),
    }
}

/// What `--code IPA201` says of those that it leaves out; the first one's id as a shell takes it.
pub fn left_out(count: usize, first: &str) -> Option<String> {
    let (which, others) = match count {
        0 => return None,
        1 => ("1 orphaned handle is left out, whose id comes again".to_owned(), String::new()),
        many => (
            format!("{many} orphaned handles are left out, whose ids come again"),
            format!("; `ipaudit audit --code {} --all` lists them all", orphaned_handle::CHECK.code),
        ),
    };
    Some(format!(
        "{which} (tunnels, KubeVirt machines, LoadBalancer services, very old pods). One at a time: `ipaudit release \
         --handle {first} --i-know-what-this-is`{others}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Time;

    const POD: &str = "k8s-pod-network.3f2c0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7";
    const GRACE: Duration = Duration::from_secs(900);

    fn of(id: &str) -> Option<Recurring> {
        let mut names = Names::default();
        let id = HandleId::intern(&mut names, id).unwrap();
        Recurring::of(&names, id)
    }

    #[test]
    fn an_id_comes_again_unless_it_is_a_containers() {
        for (id, whose) in [
            (POD, None),
            ("other.net.3f2c0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7", None),
            ("ipip-tunnel-addr-node-1", Some(Recurring::Tunnel)),
            ("vxlan-v6-tunnel-addr-worker-3.rack-b", Some(Recurring::Tunnel)),
            ("k8s-pod-network.vmi.vms.cursed", Some(Recurring::Machine)),
            ("k8s-pod-network.vmi._0a1b", Some(Recurring::Machine)),
            ("lb-po9BrpGzD9yQStPVKeEgsqQcsEwMrNJNtotNFXNg4", Some(Recurring::LoadBalancer)),
            ("windows-reserved-ipam-handle", Some(Recurring::Windows)),
            ("shop.ancient-0", Some(Recurring::Other)),
            ("k8s-pod-network.cnitool-77383ca0a0715733ca6f", Some(Recurring::Other)),
            ("by-hand", Some(Recurring::Other)),
            (".3f2c0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7", Some(Recurring::Other)),
        ] {
            assert_eq!(of(id), whose, "{id}");
        }
    }

    #[test]
    fn rule_7_a_handle_whose_id_comes_again_goes_by_the_operators_word_alone() {
        assert!(automatically(POD, None, false).is_ok());
        let refused = automatically("shop.ancient-0", of("shop.ancient-0"), false).unwrap_err();
        assert_eq!(refused.rule, 7);
        assert!(refused.words.contains("whose id comes again; only alone, by --handle"), "{}", refused.words);
        assert!(automatically("shop.ancient-0", of("shop.ancient-0"), true).is_ok());
    }

    #[test]
    fn rule_4_is_not_waived_for_a_handle_whose_id_comes_again() {
        let seen = |audits| Some(Observation { audits, first: Time(0), last: Time(900_000_000_000) });
        let word = |skip_age| Word { skip_age, knows: true, ..Word::default() };
        let rule = |recurring, seen, skip| observed("h", recurring, seen, GRACE, &word(skip)).err().map(|r| r.rule);
        assert_eq!((rule(None, None, true), rule(None, None, false)), (None, Some(4)));
        let tunnel = Some(Recurring::Tunnel);
        assert_eq!((rule(tunnel, None, true), rule(tunnel, seen(2), true)), (Some(4), Some(4)));
        assert_eq!((rule(tunnel, seen(3), true), rule(tunnel, seen(3), false)), (None, None));
        let words = observed("h", tunnel, None, GRACE, &word(true)).unwrap_err().words;
        assert!(!words.contains("or --skip-age"), "{words}");
    }

    #[test]
    fn what_is_left_out_is_counted_and_its_way_is_named() {
        assert_eq!(left_out(0, ""), None);
        assert!(left_out(1, "lb-x").unwrap().starts_with("1 orphaned handle is left out"));
        let many = left_out(12, "lb-x").unwrap();
        assert!(many.starts_with("12 orphaned handles"), "{many}");
        assert!(many.contains("`ipaudit release --handle lb-x --i-know-what-this-is`"), "{many}");
    }
}
