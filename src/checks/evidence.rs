//! How a check writes down a finding: facts, advice, and what the claim rests on.
//!
//! What a claim rests on is named once, with the fact itself ([`Draft::rests_on_pod`], …): the second look
//! reads exactly that again, and the history compares its stamp. What is absent is named too.

pub mod looks;
pub mod node;
pub mod operand;
mod owners;
pub mod restarts;
mod rests;
pub mod sandbox;

use crate::checks::{Check, World};
use crate::ledger::Allocation;
use crate::model::number::grouped;
use crate::model::{
    Addr, Affinity, Block, Cidr, Endpoint, Evidence, Fact, Finding, Foreign, Host, Name, Pod, Pool, Severity, Subject,
    Time, endpoint, keys,
};

pub use crate::model::keys::key_text;

/// A finding in the making.
#[derive(Debug)]
#[must_use]
pub struct Draft<'w> {
    world: &'w World<'w>,
    finding: Finding,
    /// What must be said of what the advice asks for, each once.
    caveats: Vec<String>,
}

impl World<'_> {
    /// Starts a finding of `check` at its usual severity; `id` names its subject.
    pub fn draft(&self, check: &Check, id: impl ToString, summary: impl Into<Foreign>) -> Draft<'_> {
        let subject = Subject::new(check.subject, id.to_string());
        Draft { world: self, finding: Finding::new(check.code, check.severity, subject, summary), caveats: Vec::new() }
    }

    /// The text of a name.
    pub fn text(&self, name: Name) -> &str {
        self.snapshot.names.get(name)
    }

    /// `namespace/name`.
    pub fn pair(&self, namespace: Name, name: Name) -> String {
        self.snapshot.pair(namespace, name)
    }

    /// `namespace/pod` of a pod.
    pub fn pod_id(&self, pod: &Pod) -> String {
        self.pair(pod.namespace, pod.name)
    }

    /// The pool that governs an address: the narrowest that covers it.
    pub fn pool_of(&self, address: Addr) -> Option<&Pool> {
        self.snapshot.pools.iter().filter(|p| p.cidr.contains(address)).max_by_key(|p| p.cidr.prefix())
    }

    /// `host:NODE CIDR`.
    pub fn affinity_id(&self, host: Host, cidr: Cidr) -> String {
        format!("{} {cidr}", self.host_id(host))
    }

    /// `host:NODE` or `virtual:NAME`, as Calico writes an owner.
    pub fn host_id(&self, host: Host) -> String {
        format!("{}:{}", host.kind.word(), self.text(host.name))
    }

    /// Whom a block's own `affinity` names, in its own word; `None` when it is absent. A word of no known form
    /// names nobody, and is shown all the same.
    pub fn owner_text(&self, block: &Block) -> Option<String> {
        let host = block.affinity.map(|host| self.host_id(host));
        host.or_else(|| block.odd_affinity.some().map(|word| self.text(word).to_owned()))
    }

    /// A block as evidence: whom it names, and how full it is.
    pub fn block_facts(&self, block: &Block) -> Evidence {
        let cooling = block.allocated().filter(|(_, at)| at.is_some_and(|at| at.released_at().is_some())).count();
        Evidence::new()
            .with("block", block.cidr)
            .with("affinity", self.owner_text(block))
            .with("host_affinity", block.host_affinity.some().map(|name| self.text(name)))
            .with("allocated", block.allocated().count() - cooling)
            .with("cooling", cooling)
            .with("queued", block.unallocated.len())
            .with("sequence", block.sequence)
            .with("claimed", block.claimed_at)
    }

    /// An affinity as evidence.
    pub fn affinity_facts(&self, affinity: &Affinity) -> Evidence {
        Evidence::new()
            .with("owner", self.host_id(affinity.host))
            .with("state", affinity.state.word(&self.snapshot.names))
            .with("mod_revision", affinity.meta.mod_revision)
    }

    /// The key of a block, as it was read.
    pub fn block_key(&self, block: &Block) -> String {
        block.odd_key.as_deref().map_or_else(|| keys::block_key(block.cidr), keys::key_text)
    }

    /// The key of an affinity, as it was read.
    pub fn affinity_key(&self, affinity: &Affinity) -> String {
        let host = affinity.host;
        let canonical = || keys::affinity_key(host.kind, self.text(host.name), affinity.cidr);
        affinity.odd_key.as_deref().map_or_else(canonical, keys::key_text)
    }

    /// A pod as evidence: who, where, how it is, and its endpoints at home.
    pub fn pod_facts(&self, pod: &Pod) -> Evidence {
        let endpoints: Vec<Evidence> = self.ledger.endpoints_at_home(pod).map(|e| self.endpoint_facts(e)).collect();
        let controller = pod.controller.map(|(kind, name)| format!("{}/{}", self.text(kind), self.text(name)));
        Evidence::new()
            .with("pod", self.pod_id(pod))
            .with("uid", pod.uid.text(&self.snapshot.names))
            .with("node", self.text(pod.node))
            .with("phase", pod.phase.word())
            .with("ready", pod.ready)
            .with("terminating", pod.is_terminating())
            .with("created", pod.created())
            .with("controller", controller)
            .with("addresses", pod.addresses().to_vec())
            .with("endpoints", endpoints)
    }

    /// An endpoint as evidence.
    pub fn endpoint_facts(&self, e: &Endpoint) -> Evidence {
        Evidence::new()
            .with("endpoint", self.snapshot.endpoint_id(e))
            .with("node", self.text(e.node))
            .with("container", self.text(e.container))
            .with("interface", e.interface().text(&self.snapshot.names))
            .with("mac", e.mac().map(endpoint::mac_text))
            .with("addresses", e.addresses().to_vec())
            .with("created", e.created())
    }

    /// An allocation as evidence: what IPAM has of an address.
    pub fn allocation_facts(&self, a: &Allocation) -> Evidence {
        let block = self.ledger.block_of(a);
        let attribute = self.ledger.attribute_of(a);
        let owner = attribute.map(|at| at.owner()).unwrap_or_default();
        let text = |name: Name| name.some().map(|n| self.text(n));
        Evidence::new()
            .with("address", a.address)
            .with("block", block.cidr)
            .with("ordinal", a.ordinal)
            .with("handle", attribute.and_then(|at| at.handle).map(|h| h.text(&self.snapshot.names)))
            .with("owner_pod", owner.pod_name().map(|(ns, pod)| self.pair(ns, pod)))
            .with("owner_node", text(self.ledger.owner_node(a)))
            .with("type", text(owner.kind))
            .with("allocated", owner.timestamp)
            .with("released", attribute.and_then(|at| at.released_at()))
            .with("sequence", block.allocation_sequence(a.ordinal))
            .with("block_sequence", block.sequence)
    }
}

impl Draft<'_> {
    /// Another severity than the check's usual one.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.finding.severity = severity;
        self
    }

    /// Adds evidence.
    pub fn fact(mut self, name: &'static str, fact: impl Into<Fact>) -> Self {
        self.finding.evidence.push(name, fact);
        self
    }

    /// Adds evidence of several things, an entry each.
    pub fn list<T, U>(self, name: &'static str, things: impl IntoIterator<Item = T>, entry: impl FnMut(T) -> U) -> Self
    where
        Vec<U>: Into<Fact>,
    {
        self.fact(name, things.into_iter().map(entry).collect::<Vec<U>>())
    }

    /// One line on what to do.
    pub fn advice(mut self, advice: impl Into<Foreign>) -> Self {
        self.finding.advice = advice.into();
        self
    }

    /// What must be said of what the advice asks for: it stands behind the advice.
    fn caveat(mut self, caveat: String) -> Self {
        if !self.caveats.contains(&caveat) {
            self.caveats.push(caveat);
        }
        self
    }

    /// Whether `id` is its subject.
    fn is_about(&self, id: &str) -> bool {
        self.finding.subject.id.raw() == id
    }

    /// Adds a command that can be pasted.
    pub fn next(mut self, command: impl Into<Foreign>) -> Self {
        self.finding.next.push(command.into());
        self
    }

    /// Whether its advice makes CNI's ADD or DEL run, which the datastore's lock refuses.
    pub const fn restarts_pods(mut self, yes: bool) -> Self {
        self.finding.gist.restarts_pods |= yes;
        self
    }

    /// Restarts calico-node on a node (Kubernetes' name), whatever namespace it lives in: at its start it takes a
    /// new tunnel address when the one it has is not its own in IPAM.
    pub fn restart_calico_node(self, node: Name) -> Self {
        let selector = shell(&format!("spec.nodeName={}", self.world.text(node)));
        let command = "kubectl delete pods --all-namespaces -l k8s-app=calico-node --field-selector";
        self.next(format!("{command} {selector}")).restarts_pods(true).may_hang_on(&[node])
    }

    /// The node that it belongs to, by its Calico name.
    pub fn on_node(mut self, calico: Name) -> Self {
        let name = self.world.ledger.scope.kubernetes_name(calico);
        self.finding.node = name.some().map(|n| self.world.text(n).into());
        self
    }

    /// The namespace that it belongs to.
    pub fn in_namespace(mut self, namespace: Name) -> Self {
        self.finding.namespace = namespace.some().map(|n| self.world.text(n).into());
        self
    }

    /// Node, namespace and pool of an endpoint.
    pub fn at_endpoint(self, endpoint: &Endpoint) -> Self {
        let draft = self.on_node(endpoint.node).in_namespace(endpoint.namespace);
        draft.with_each(endpoint.addresses().first(), |draft, &address| draft.in_pool_of(address))
    }

    /// The pool that it belongs to: the one that covers `address`.
    pub fn in_pool_of(mut self, address: Addr) -> Self {
        self.finding.pool = self.world.pool_of(address).map(|p| self.world.text(p.name).into());
        self
    }

    /// The very pool that it belongs to.
    pub fn in_pool(mut self, name: Name) -> Self {
        self.finding.pool = name.some().map(|n| self.world.text(n).into());
        self
    }

    /// The moment from which the evidence dates it.
    pub fn since(mut self, since: Option<Time>) -> Self {
        self.finding.since = since;
        self
    }

    /// Changes the draft only when there is something to change it with.
    pub fn with_each<T>(self, items: impl IntoIterator<Item = T>, add: impl FnMut(Self, T) -> Self) -> Self {
        items.into_iter().fold(self, add)
    }

    /// The finished finding.
    pub fn done(mut self) -> Finding {
        if !self.caveats.is_empty() {
            let advice = self.finding.advice.some().map(|advice| advice.raw().to_owned());
            let words: Vec<String> = advice.into_iter().chain(self.caveats).collect();
            self.finding.advice = words.join("; ").into();
        }
        self.finding
    }
}

/// A word for a shell: quoted when it holds anything but plain name characters.
pub fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | ':' | '@' | '%' | '+' | '=');
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else if !is_printable_ascii(word) {
        shell_bytes(word.as_bytes())
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Whether a terminal shows it as it is: the table spells out what hides or reorders text (`\u{202e}`), and a command
/// that was spelled out so names another thing when it is pasted.
fn is_printable_ascii(word: &str) -> bool {
    word.bytes().all(|b| matches!(b, b' '..=b'~'))
}

/// The same for a key that need not be UTF-8. All but printable ASCII is spelled out for `printf`, which every shell has:
/// a handle id may end in `\r\neth0`, and Debian's `sh` knows no `$'…'`. What a shell would cut off, newlines at the
/// end, it has itself, as the last of what parts words.
pub fn shell_bytes(word: &[u8]) -> String {
    let text = std::str::from_utf8(word).ok();
    if let Some(text) = text.filter(|t| is_printable_ascii(t)) {
        return shell(text);
    }
    let newlines = word.iter().rev().take_while(|byte| **byte == b'\n').count();
    let mut quoted = String::new();
    for (place, &byte) in word.iter().enumerate().take(word.len() - newlines) {
        match byte {
            b'\r' => quoted.push_str("\\r"),
            b'\n' => quoted.push_str("\\n"),
            b'\t' => quoted.push_str("\\t"),
            b'\\' => quoted.push_str("\\\\"),
            b'%' => quoted.push_str("%%"),
            // No word of printf's own begins with it.
            b'-' if place == 0 => quoted.push_str("\\055"),
            b'\'' => quoted.push_str("\\047"),
            b' '..=b'~' => quoted.push(char::from(byte)),
            _ => quoted.push_str(&format!("\\{byte:03o}")),
        }
    }
    format!("\"$(printf '{quoted}'){}\"", "${IFS#??}".repeat(newlines))
}

/// A command's words as a shell parts them, each with its quotes as it stands in the command: of the forms that [`shell`]
/// makes.
pub fn words(command: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut from, mut outer, mut is_name) = (0, false, false);
    let mut chars = command.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => is_name = !is_name,
            _ if is_name => {}
            '"' => outer = !outer,
            '\\' => drop(chars.next()),
            ' ' if !outer => {
                words.extend(command.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
    }
    words.extend(command.get(from..));
    words
}

/// Deletes an endpoint; one whose name could be a flag is only shown, by its key.
pub fn delete_endpoint(namespace: &str, name: &str) -> String {
    of_endpoint("delete", namespace, name, "")
}

/// Shows an endpoint.
pub fn get_endpoint(namespace: &str, name: &str) -> String {
    of_endpoint("get", namespace, name, " -o yaml")
}

fn of_endpoint(verb: &str, namespace: &str, name: &str, end: &str) -> String {
    if name.starts_with('-') {
        return get_key(&keys::endpoint_key(namespace, name));
    }
    format!("calicoctl {verb} workloadendpoint {} --namespace={}{end}", shell(name), shell(namespace))
}

/// `ipaudit who WORD`; no word is taken for a flag.
pub fn ask_who(word: &str) -> String {
    let end = if word.starts_with('-') { "-- " } else { "" };
    format!("ipaudit who {end}{}", shell(word))
}

/// `ipaudit release --handle ID`; no id is taken for a flag, and none is parted at its commas.
pub fn release_handle(id: &str) -> String {
    let sign = if id.starts_with('-') { '=' } else { ' ' };
    format!("ipaudit release --handle{sign}{}", shell(&id.replace(',', "\\,")))
}

/// Deletes a key only while it is at the revision that was read; else the command shows it: no revision is known, or
/// the key would need quoting twice.
pub fn delete_key(key: &str, revision: i64) -> String {
    if shell(key) != key || key.contains('%') || revision <= 0 {
        return get_key(key);
    }
    format!(r#"printf 'mod("{key}") = "{revision}"\n\ndel {key}\n\n\n' | etcdctl txn"#)
}

/// Whether a command releases something.
pub fn is_release(command: &str) -> bool {
    command.starts_with("ipaudit release ")
}

/// `etcdctl get KEY`.
pub fn get_key(key: &str) -> String {
    format!("etcdctl get {}", shell(key))
}

/// `1 pod`, `3 pods`.
pub fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {one}s", grouped(number as u64)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_endpoint_is_taken_for_a_flag() {
        let key = "etcdctl get /calico/resources/v3/projectcalico.org/workloadendpoints/shop/--config=x";
        assert_eq!(delete_endpoint("shop", "--config=x"), key);
        assert_eq!(get_endpoint("shop", "--config=x"), key);
    }

    #[test]
    fn words_are_parted_as_a_shell_does() {
        for name in ["web-0", "a b", "it's", " ' \" \\ ", "", "x delete pod y", "$(true)", "é \" ' \\ ü"] {
            let command = format!("kubectl -n shop delete pod {}", shell(name));
            assert_eq!(words(&command), ["kubectl", "-n", "shop", "delete", "pod", &shell(name)], "{command}");
        }
    }

    #[test]
    fn shell_words_are_quoted_when_they_must_be() {
        assert_eq!(shell("k8s-pod-network.3f2c"), "k8s-pod-network.3f2c");
        assert_eq!(shell("a b"), "'a b'");
        assert_eq!(shell("it's"), r"'it'\''s'");
        assert_eq!(shell("3f2c\r\neth0"), r#""$(printf '3f2c\r\neth0')""#);
        assert_eq!(shell(""), "''");
        assert_eq!(shell("é\u{7}'\\%"), r#""$(printf '\303\251\007\047\\%%')""#);
        assert_eq!(shell("-\n-"), r#""$(printf '\055\n-')""#);
        assert_eq!(shell("%\n"), r#""$(printf '%%')${IFS#??}""#);
        assert_eq!(shell("x\u{202e}y"), r#""$(printf 'x\342\200\256y')""#);
        assert_eq!(shell_bytes("x\u{200b}".as_bytes()), r#""$(printf 'x\342\200\213')""#);
        assert_eq!(shell_bytes(b"/calico/\xff\xfe"), r#""$(printf '/calico/\377\376')""#);
        assert_eq!(shell_bytes(b"/calico/a b"), "'/calico/a b'");
        // Between plain quotes an output would spell it out, and the command would name something else.
        assert_eq!(shell("shop.\u{202e}x"), r#""$(printf 'shop.\342\200\256x')""#);
    }

    #[test]
    fn no_name_is_taken_for_a_flag() {
        assert_eq!((ask_who("node-1"), ask_who("-x")), ("ipaudit who node-1".into(), "ipaudit who -- -x".into()));
        assert_eq!(release_handle("lb-a b"), "ipaudit release --handle 'lb-a b'");
        assert_eq!(release_handle("shop.{a,b}"), r"ipaudit release --handle 'shop.{a\,b}'");
        assert_eq!(release_handle("--yes"), "ipaudit release --handle=--yes");
    }
}
