//! A handle: how many addresses of which block belong to one id (domain facts, section 3).

use super::usual::{Few, Odd, OneOfBlock, Revisions};
use super::{Cidr, Meta, Name, Names};

/// A handle's id in sanitised form (up to the first `\r`), split at its last dot so that a container's id,
/// which endpoints name too, is held once: `k8s-pod-network` + `3f2c…`. An id without a dot is all tail.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct HandleId {
    /// What stands before the last dot: the network of a pod's handle; [`Name::NONE`] without a dot.
    pub head: Name,
    /// What stands behind the last dot: the container of a pod's handle.
    pub tail: Name,
    /// Whether there is a dot (`.x` and `x` are two ids).
    pub dotted: bool,
}

impl HandleId {
    /// The id of `text`, sanitised; `None` when nothing is left before the first `\r`.
    pub fn intern(names: &mut Names, text: &str) -> Option<HandleId> {
        let text = sanitised(text);
        if text.is_empty() {
            return None;
        }
        Some(match text.rsplit_once('.') {
            Some((head, tail)) => HandleId { head: names.intern(head), tail: names.intern(tail), dotted: true },
            None => HandleId { head: Name::NONE, tail: names.intern(text), dotted: false },
        })
    }

    /// The id of `text` when the table knows its parts.
    pub fn find(names: &Names, text: &str) -> Option<HandleId> {
        let text = sanitised(text);
        Some(match text.rsplit_once('.') {
            Some((head, tail)) => HandleId { head: names.find(head)?, tail: names.find(tail)?, dotted: true },
            None => HandleId { head: Name::NONE, tail: names.find(text)?, dotted: false },
        })
    }

    /// The sanitised id as text.
    pub fn text(self, names: &Names) -> String {
        self.pieces(names).concat()
    }

    /// What its text is made of.
    pub fn pieces(self, names: &Names) -> [&str; 3] {
        [names.get(self.head), if self.dotted { "." } else { "" }, names.get(self.tail)]
    }

    /// Whether it marks ordinals reserved for Windows (any case).
    pub fn is_windows(self, names: &Names) -> bool {
        !self.dotted && names.get(self.tail).eq_ignore_ascii_case("windows-reserved-ipam-handle")
    }

    /// Whether it is a KubeVirt machine's: `<network>.vmi.<namespace>.<vm>` or `<network>.vmi._<hash>`.
    pub fn is_vm(self, names: &Names) -> bool {
        self.dotted && names.get(self.head).split('.').skip(1).any(|part| part == "vmi")
    }

    /// Whether the id can be taken again by another allocation. A container's, `<network>.<container id>`, never is: that
    /// is 64 random hexadecimal digits in every runtime. All others are made of names (domain facts, section 3), those of
    /// very old pods (`<namespace>.<pod>`) too, and what nobody knows counts with them.
    pub fn comes_again(self, names: &Names) -> bool {
        let digits = names.get(self.tail).as_bytes();
        let is_container = digits.len() == 64 && digits.iter().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f'));
        let has_network = self.dotted && !names.get(self.head).is_empty();
        !(has_network && is_container) || self.is_vm(names) || self.is_tunnel(names)
    }

    /// Whether it has the form of a LoadBalancer service's (`lb-…`).
    pub fn is_load_balancer(self, names: &Names) -> bool {
        !self.dotted && names.get(self.tail).starts_with("lb-")
    }

    /// The kind of tunnel that it has the form of; what tells that stands before the first dot.
    pub fn tunnel(self, names: &Names) -> Option<super::Tunnel> {
        let first = if self.dotted { self.head } else { self.tail };
        super::Tunnel::of_handle(names.get(first)).map(|(tunnel, _)| tunnel)
    }

    /// Whether it has the form of a node's tunnel (`…-tunnel-addr-<node>`; the node's name may hold dots).
    pub fn is_tunnel(self, names: &Names) -> bool {
        self.tunnel(names).is_some()
    }
}

/// What counts of a handle id: the part before the first `\r` (domain facts, section 3).
pub fn sanitised(id: &str) -> &str {
    id.split('\r').next().unwrap_or_default()
}

/// One handle object, as its key and value say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandleFields {
    pub meta: Meta,
    /// The sanitised id of its key.
    pub id: HandleId,
    /// The id's bytes as they stand in the key, when they are not the sanitised id.
    pub odd_id: Option<Box<[u8]>>,
    /// How many addresses of each block it counts; block names masked, sorted by block, never merged.
    pub counts: Box<[(Cidr, i64)]>,
    /// `deleted: true`, which means nothing in etcd.
    pub deleted: bool,
}

/// One handle object in its usual form ([`super::usual`]): made of [`HandleFields`], which it gives back.
#[derive(Clone, Debug)]
pub struct Handle {
    /// The sanitised id of its key.
    pub id: HandleId,
    revisions: Revisions,
    counts: OneOfBlock,
    odd: Odd<OddHandle>,
}

/// What differs from the usual form.
#[derive(Clone, Debug)]
struct OddHandle {
    meta: Option<Meta>,
    id: Option<Box<[u8]>>,
    counts: Option<Box<[(Cidr, i64)]>>,
    deleted: bool,
}

/// A handle of which nothing differs from the usual form.
#[derive(Clone, Copy, Debug)]
pub struct UsualHandle {
    pub id: HandleId,
    pub revisions: Revisions,
    pub counts: OneOfBlock,
}

impl From<UsualHandle> for Handle {
    fn from(UsualHandle { id, revisions, counts }: UsualHandle) -> Handle {
        Handle { id, revisions, counts, odd: None }
    }
}

impl From<HandleFields> for Handle {
    fn from(HandleFields { meta, id, odd_id, counts, deleted }: HandleFields) -> Handle {
        let (revisions, usual) = (Revisions::of(meta), OneOfBlock::of(&counts));
        let is_odd = revisions.is_none() || usual.is_none() || odd_id.is_some() || deleted;
        let odd = || OddHandle {
            meta: revisions.is_none().then_some(meta),
            id: odd_id,
            counts: usual.is_none().then_some(counts),
            deleted,
        };
        Handle {
            id,
            revisions: revisions.unwrap_or_default(),
            counts: usual.unwrap_or_default(),
            odd: is_odd.then(|| Box::new(odd())),
        }
    }
}

impl Handle {
    /// All of it, where nothing differs.
    pub fn usual(&self) -> Option<UsualHandle> {
        let Handle { id, revisions, counts, ref odd } = *self;
        odd.is_none().then_some(UsualHandle { id, revisions, counts })
    }

    /// Revisions of its key.
    pub fn meta(&self) -> Meta {
        self.odd.as_deref().and_then(|odd| odd.meta).unwrap_or_else(|| self.revisions.meta())
    }

    /// The id's bytes as they stand in the key, when they are not the sanitised id.
    pub fn odd_id(&self) -> Option<&[u8]> {
        self.odd.as_deref()?.id.as_deref()
    }

    /// How many addresses of each block it counts; block names masked, sorted by block, never merged.
    pub fn counts(&self) -> Few<'_, (Cidr, i64)> {
        match (self.counts.counts(), self.odd.as_deref()) {
            (Some(one), _) => Few::One(one),
            (None, odd) => Few::Many(odd.and_then(|odd| odd.counts.as_deref()).unwrap_or_default()),
        }
    }

    /// `deleted: true`, which means nothing in etcd.
    pub fn deleted(&self) -> bool {
        self.odd.as_deref().is_some_and(|odd| odd.deleted)
    }

    /// What it was made of.
    pub fn fields(&self) -> HandleFields {
        HandleFields {
            meta: self.meta(),
            id: self.id,
            odd_id: self.odd_id().map(Into::into),
            counts: (*self.counts()).into(),
            deleted: self.deleted(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_split_at_the_container_and_sanitised() {
        let mut names = Names::default();
        let pod = HandleId::intern(&mut names, "k8s-pod-network.3f2c\r\neth0").unwrap();
        assert_eq!(pod.text(&names), "k8s-pod-network.3f2c");
        assert_eq!(names.get(pod.tail), "3f2c");
        assert_eq!(HandleId::find(&names, "k8s-pod-network.3f2c"), Some(pod));
        assert_eq!(HandleId::intern(&mut names, "\r\n"), None);
        let dot = HandleId::intern(&mut names, ".3f2c").unwrap();
        let bare = HandleId::intern(&mut names, "3f2c").unwrap();
        assert_ne!(dot, bare);
    }

    #[test]
    fn kinds_are_told_by_form() {
        let mut names = Names::default();
        let mut id = |t: &str| HandleId::intern(&mut names, t).unwrap();
        let (windows, vm, hashed, lb, tunnel, pod) = (
            id("Windows-Reserved-IPAM-Handle"),
            id("k8s-pod-network.vmi.vms.fedora"),
            id("k8s-pod-network.vmi._abc"),
            id("lb-po9BrpGz"),
            id("ipip-tunnel-addr-rack.b-3"),
            id("k8s-pod-network.3f2c"),
        );
        assert!(windows.is_windows(&names) && vm.is_vm(&names) && hashed.is_vm(&names));
        assert!(lb.is_load_balancer(&names) && tunnel.is_tunnel(&names));
        assert!(
            !pod.is_vm(&names) && !pod.is_tunnel(&names) && !pod.is_load_balancer(&names) && !pod.is_windows(&names)
        );
    }
}
