//! A datastore and the objects of an API server as JSON, written step by step as Calico's parts write them, and
//! damaged by the very same steps done halfway.

use std::collections::BTreeMap;

use ipaudit::decode::kube::Remarks;
use ipaudit::decode::kube_item::Kind;
use ipaudit::decode::{self, Kv, kube, kube_json};
use ipaudit::model::keys;
use ipaudit::model::{Addr, Cidr, Gathering, Input, InputState, Snapshot, Time};
use serde_json::{Value, json};

/// The moment at which everything here is judged.
pub const NOW: &str = "2026-11-24T12:00:00Z";

/// RFC 3339 of a moment `seconds` before [`NOW`].
pub fn ago(seconds: u64) -> String {
    let now = Time::parse_rfc3339(NOW).unwrap();
    now.minus(std::time::Duration::from_secs(seconds)).to_rfc3339()
}

/// The same as Go's `time.String()` writes it into an allocation.
pub fn ago_in_go(seconds: u64) -> String {
    ago(seconds).replace('T', " ").replace('Z', ".123456789 +0000 UTC")
}

pub fn cidr(text: &str) -> Cidr {
    Cidr::parse(text).unwrap().0
}

/// Everything that an audit reads.
#[derive(Clone, Default, Debug)]
pub struct Store {
    /// Values of etcd by key; `null` stands for an empty value.
    pub keys: BTreeMap<String, Value>,
    /// Pods, nodes, services and namespaces.
    pub objects: Vec<Value>,
}

impl Store {
    /// What an audit makes of it, by the real decoders.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Gathering { now: Time::parse_rfc3339(NOW).unwrap(), ..Gathering::default() };
        for input in Input::ALL {
            snapshot.coverage.set(input, InputState::Complete, "");
        }
        for (revision, (key, value)) in (1..).zip(&self.keys) {
            let value = if value.is_null() { String::new() } else { value.to_string() };
            let (key, value) = (key.as_bytes(), value.as_bytes());
            let kv = Kv { key, value, create_revision: revision, mod_revision: revision, version: 1 };
            decode::insert(&mut snapshot, &kv);
        }
        let mut remarks = Remarks::default();
        for object in &self.objects {
            let kind = Kind::parse("v1", object["kind"].as_str().unwrap()).unwrap();
            let text = object.to_string();
            kube::insert(&mut snapshot, kind, &kube_json::item(&text).unwrap(), &mut remarks);
        }
        assert_eq!(remarks.notes(), Vec::<String>::new(), "Kubernetes' objects are in order");
        snapshot.sorted()
    }

    pub fn put(&mut self, key: impl Into<String>, value: Value) {
        self.keys.insert(key.into(), value);
    }

    /// One of Calico's resources.
    pub fn resource(&mut self, kind: &str, plural: &str, name: &str, spec: Value) {
        let meta = json!({"name": name, "creationTimestamp": ago(40 * 86_400)});
        self.put(
            format!("/calico/resources/v3/projectcalico.org/{plural}/{name}"),
            json!({"kind": kind, "apiVersion": "projectcalico.org/v3", "metadata": meta, "spec": spec}),
        );
    }

    /// A block that nobody has used yet; `owner` as `host:node-1`.
    pub fn block(&mut self, cidr: Cidr, owner: Option<&str>) {
        let size = u32::try_from(cidr.size()).unwrap();
        let value = json!({
            "cidr": cidr.to_string(), "affinity": owner, "allocations": vec![Value::Null; size as usize],
            "unallocated": (0..size).collect::<Vec<_>>(), "attributes": [], "deleted": false,
            "sequenceNumber": 1_790_000_000_000_000_123_u64, "sequenceNumberForAllocation": {},
        });
        self.put(keys::block_key(cidr), value);
    }

    /// An affinity; `owner` as `host:node-1`.
    pub fn affinity(&mut self, cidr: Cidr, owner: &str, state: &str) {
        self.put(affinity_key(cidr, owner), json!({"state": state, "deleted": false}));
    }

    /// A block that its owner has claimed.
    pub fn claim(&mut self, cidr: Cidr, owner: &str) {
        self.block(cidr, Some(owner));
        self.affinity(cidr, owner, "confirmed");
    }

    /// The smallest block that covers an address.
    pub fn block_of(&self, address: Addr) -> Option<Cidr> {
        let under = self.keys.range(keys::BLOCKS.to_owned()..).take_while(|(k, _)| k.starts_with(keys::BLOCKS));
        let covering = under.map(|(_, v)| cidr(v["cidr"].as_str().unwrap())).filter(|c| c.contains(address));
        covering.max_by_key(|c| c.prefix())
    }

    pub fn block_mut(&mut self, cidr: Cidr) -> &mut Value {
        self.keys.get_mut(&keys::block_key(cidr)).unwrap_or_else(|| panic!("no block {cidr}"))
    }

    /// Block and ordinal of an address, for one who edits the block.
    pub fn at(&mut self, address: Addr) -> (&mut Value, usize) {
        let cidr = self.block_of(address).unwrap_or_else(|| panic!("no block for {address}"));
        (self.block_mut(cidr), cidr.ordinal(address).unwrap() as usize)
    }

    /// The attribute of an allocated address.
    pub fn attribute_mut(&mut self, address: Addr) -> &mut Value {
        let (block, ordinal) = self.at(address);
        let index = block["allocations"][ordinal].as_u64().expect("it is allocated") as usize;
        &mut block["attributes"][index]
    }

    /// The address that automatic assignment takes next from a block.
    pub fn next_free(&self, cidr: Cidr, reserved: &[Cidr]) -> Option<Addr> {
        let queue = self.keys[&keys::block_key(cidr)]["unallocated"].as_array().unwrap();
        let addresses = queue.iter().filter_map(|o| cidr.nth(u128::from(o.as_u64().unwrap())));
        addresses.into_iter().find(|a| !reserved.iter().any(|r| r.contains(*a)))
    }

    /// Writes an allocation into its block, as Calico does; no handle.
    pub fn record(&mut self, address: Addr, attribute: Value) {
        let (block, ordinal) = self.at(address);
        assert!(block["allocations"][ordinal].is_null(), "{address} is taken");
        let attributes = block["attributes"].as_array_mut().unwrap();
        attributes.push(attribute);
        let index = attributes.len() - 1;
        block["allocations"][ordinal] = json!(index);
        let queue = block["unallocated"].as_array_mut().unwrap();
        queue.retain(|o| o.as_u64() != Some(ordinal as u64));
        let number = block["sequenceNumber"].as_u64().unwrap();
        block["sequenceNumberForAllocation"][ordinal.to_string()] = json!(number);
        block["sequenceNumber"] = json!(number + 1);
    }

    /// An allocation with its handle.
    pub fn allocate(&mut self, address: Addr, attribute: Value) {
        if let Some(handle) = attribute["handle_id"].as_str().map(str::to_owned) {
            let cidr = self.block_of(address).unwrap();
            self.count(&handle, cidr, 1);
        }
        self.record(address, attribute);
    }

    /// Changes a handle's count of a block; the handle comes and goes with its counts.
    pub fn count(&mut self, handle: &str, cidr: Cidr, by: i64) {
        let key = keys::handle_key(handle);
        let value = self.keys.entry(key.clone()).or_insert_with(|| json!({"block": {}, "deleted": false}));
        let counts = value["block"].as_object_mut().unwrap();
        let now = counts.get(&cidr.to_string()).and_then(Value::as_i64).unwrap_or(0) + by;
        if now == 0 {
            counts.remove(&cidr.to_string())
        } else {
            counts.insert(cidr.to_string(), json!(now))
        };
        if counts.is_empty() {
            self.keys.remove(&key);
        }
    }

    /// Takes an address out of its block, as a release without cooldown does; the handle stays as it is.
    pub fn free(&mut self, address: Addr) {
        let (block, ordinal) = self.at(address);
        let index = block["allocations"][ordinal].take().as_u64().expect("it is allocated");
        let shared = block["allocations"].as_array().unwrap().iter().any(|slot| slot.as_u64() == Some(index));
        if !shared {
            block["attributes"].as_array_mut().unwrap().remove(index as usize);
            for slot in block["allocations"].as_array_mut().unwrap() {
                if let Some(other) = slot.as_u64().filter(|&other| other > index) {
                    *slot = json!(other - 1);
                }
            }
        }
        block["unallocated"].as_array_mut().unwrap().push(json!(ordinal));
        block["sequenceNumberForAllocation"].as_object_mut().unwrap().remove(&ordinal.to_string());
        block["sequenceNumber"] = json!(block["sequenceNumber"].as_u64().unwrap() + 1);
    }

    /// A whole release: block and handle.
    pub fn release(&mut self, address: Addr) {
        let handle = self.attribute_mut(address)["handle_id"].as_str().map(str::to_owned);
        let cidr = self.block_of(address).unwrap();
        self.free(address);
        if let Some(handle) = handle {
            self.count(&handle, cidr, -1);
        }
    }

    /// An object of Kubernetes.
    pub fn object_mut(&mut self, kind: &str, namespace: &str, name: &str) -> &mut Value {
        let found = self.objects.iter_mut().find(|o| is(o, kind, namespace, name));
        found.unwrap_or_else(|| panic!("no {kind} {namespace}/{name}"))
    }

    pub fn delete_object(&mut self, kind: &str, namespace: &str, name: &str) {
        self.objects.retain(|o| !is(o, kind, namespace, name));
    }
}

fn is(object: &Value, kind: &str, namespace: &str, name: &str) -> bool {
    let metadata = &object["metadata"];
    object["kind"] == kind
        && metadata["namespace"].as_str().unwrap_or_default() == namespace
        && metadata["name"] == name
}

/// The key of an affinity of `host:node-1` or `virtual:load-balancer`.
pub fn affinity_key(cidr: Cidr, owner: &str) -> String {
    let (kind, name) = owner.split_once(':').unwrap();
    keys::block_key(cidr).replace("/assignment/", &format!("/{kind}/{name}/"))
}

/// Beside what Calico does today.
impl Store {
    /// Lets an ordinal index the attribute of another one, as those of one release or of Windows do.
    pub fn share(&mut self, address: Addr, with: Addr) {
        self.record(address, json!({}));
        let (block, other) = self.at(with);
        let index = block["allocations"][other].clone();
        let (block, ordinal) = self.at(address);
        block["attributes"].as_array_mut().unwrap().pop();
        block["allocations"][ordinal] = index;
    }

    /// Takes from blocks and affinities what old versions did not write.
    pub fn grow_old(&mut self) {
        for (key, value) in &mut self.keys {
            if key.starts_with(keys::BLOCKS) {
                let block = value.as_object_mut().unwrap();
                for newer in ["sequenceNumber", "sequenceNumberForAllocation", "deleted"] {
                    block.remove(newer);
                }
                block.insert("strictAffinity".to_owned(), json!(false));
            } else if key.starts_with(keys::HOST_AFFINITIES) && value["state"] == "confirmed" {
                *value = Value::Null;
            }
        }
    }
}
