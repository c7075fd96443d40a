//! Calico's CNI plugin and collector as far as etcd sees them: the same keys, in the same order of writes.
//!
//! ADD reads the block, counts the handle up, writes the block by compare-and-swap, then writes the endpoint. A conflict
//! on the block counts the handle down again (its failure is only logged) and begins anew. DEL removes the endpoint,
//! then writes the block, then counts the handle down. Each step can be taken alone, so that a race can be made to
//! happen instead of waiting for it. Nothing here imports ipaudit.
#![allow(dead_code)] // each test binary uses a part
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod owners;

use etcd_client::{Client, Compare, CompareOp, Txn, TxnOp};
use serde_json::{Value, json};

use owners::Owner;

pub const HANDLES: &str = "/calico/ipam/v2/handle/";
pub const ENDPOINTS: &str = "/calico/resources/v3/projectcalico.org/workloadendpoints/";

/// The key of a block of IPv4 or IPv6.
pub fn block_key(cidr: &str) -> String {
    let family = if cidr.contains(':') { 6 } else { 4 };
    format!("/calico/ipam/v2/assignment/ipv{family}/block/{}", cidr.replace('/', "-"))
}

pub fn handle_key(id: &str) -> String {
    format!("{HANDLES}{id}")
}

/// An endpoint's key; names without dashes only.
pub fn endpoint_key(namespace: &str, node: &str, pod: &str) -> String {
    let double = |text: &str| text.replace('-', "--");
    format!("{ENDPOINTS}{namespace}/{}-k8s-{}-eth0", double(node), double(pod))
}

/// A freshly claimed block of `size` addresses.
pub fn empty_block(cidr: &str, host: Option<&str>, size: usize) -> Value {
    json!({
        "cidr": cidr,
        "affinity": host.map(|h| format!("host:{h}")),
        "allocations": vec![Value::Null; size],
        "unallocated": (0..size).collect::<Vec<_>>(),
        "attributes": [],
        "sequenceNumber": 1_700_000_000_000_000_000_u64,
        "sequenceNumberForAllocation": {},
        "deleted": false,
    })
}

/// The address of an ordinal, for blocks that begin at a multiple of their size.
pub fn address_of(cidr: &str, ordinal: usize) -> String {
    let base: std::net::IpAddr = cidr.split('/').next().unwrap().parse().unwrap();
    match base {
        std::net::IpAddr::V4(v4) => std::net::Ipv4Addr::from_bits(v4.to_bits() + ordinal as u32).to_string(),
        std::net::IpAddr::V6(v6) => std::net::Ipv6Addr::from_bits(v6.to_bits() + ordinal as u128).to_string(),
    }
}

/// Who an address is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    pub namespace: String,
    pub pod: String,
    pub node: String,
    pub container: String,
}

impl Workload {
    pub fn new(pod: &str, node: &str) -> Workload {
        let container = format!("c{pod}");
        Workload { namespace: "shop".into(), pod: pod.into(), node: node.into(), container }
    }

    pub fn handle(&self) -> String {
        format!("k8s-pod-network.{}", self.container)
    }

    pub fn endpoint_key(&self) -> String {
        endpoint_key(&self.namespace, &self.node, &self.pod)
    }
}

/// An allocation that has counted its handle up and not yet written its block.
#[derive(Debug, Clone)]
pub struct InFlight {
    pub owner: Owner,
    pub cidr: String,
    block: Value,
    revision: i64,
}

/// One client of etcd that behaves like Calico's.
#[derive(Clone)]
pub struct Calico {
    client: Client,
}

impl Calico {
    pub fn new(client: Client) -> Calico {
        Calico { client }
    }

    pub async fn get(&mut self, key: &str) -> Option<(Value, i64)> {
        let answer = self.client.get(key, None).await.expect("get");
        answer.kvs().first().map(|kv| (serde_json::from_slice(kv.value()).expect("JSON"), kv.mod_revision()))
    }

    pub async fn put(&mut self, key: &str, value: &Value) {
        self.client.put(key, value.to_string(), None).await.expect("put");
    }

    /// Compare-and-swap as Calico does it: by mod revision; 0 creates.
    pub async fn swap(&mut self, key: &str, revision: i64, value: Option<&Value>) -> bool {
        let op = match value {
            Some(value) => TxnOp::put(key, value.to_string(), None),
            None => TxnOp::delete(key, None),
        };
        let txn = Txn::new().when([Compare::mod_revision(key, CompareOp::Equal, revision)]).and_then([op]);
        self.client.txn(txn).await.expect("txn").succeeded()
    }

    pub async fn increment(&mut self, handle: &str, cidr: &str) {
        let key = handle_key(handle);
        loop {
            let (mut value, revision) =
                self.get(&key).await.unwrap_or_else(|| (json!({"block": {}, "deleted": false}), 0));
            let count = value["block"][cidr].as_i64().unwrap_or(0);
            value["block"][cidr] = json!(count + 1);
            if self.swap(&key, revision, Some(&value)).await {
                return;
            }
        }
    }

    /// Never below zero; a failure is only logged.
    pub async fn decrement(&mut self, handle: &str, cidr: &str, by: i64) {
        let key = handle_key(handle);
        loop {
            let Some((mut value, revision)) = self.get(&key).await else { return };
            let Some(count) = value["block"][cidr].as_i64().filter(|c| *c >= by) else { return };
            match count - by {
                0 => drop(value["block"].as_object_mut().unwrap().remove(cidr)),
                left => value["block"][cidr] = json!(left),
            }
            let left = (!value["block"].as_object().unwrap().is_empty()).then_some(&value);
            if self.swap(&key, revision, left).await {
                return;
            }
        }
    }

    /// The first two steps of an ADD: block read, handle counted up.
    pub async fn begin_add(&mut self, workload: &Workload, cidr: &str) -> InFlight {
        self.begin(&Owner::pod(workload), cidr).await
    }

    /// The same for whoever wants an address.
    pub async fn begin(&mut self, owner: &Owner, cidr: &str) -> InFlight {
        let (block, revision) = self.get(&block_key(cidr)).await.expect("the block");
        self.increment(&owner.handle, cidr).await;
        InFlight { owner: owner.clone(), cidr: cidr.to_owned(), block, revision }
    }

    /// The third step; `None`: somebody else wrote the block.
    pub async fn write_block(&mut self, add: &InFlight) -> Option<String> {
        let mut block = add.block.clone();
        let queue = block["unallocated"].as_array_mut().unwrap();
        assert!(!queue.is_empty(), "{} is full", add.cidr);
        let ordinal = queue.remove(0).as_u64().unwrap() as usize;
        let sequence = block["sequenceNumber"].as_u64().unwrap();
        let attributes = block["attributes"].as_array_mut().unwrap();
        attributes.push(json!({"handle_id": add.owner.handle, "secondary": add.owner.secondary}));
        let index = attributes.len() - 1;
        block["allocations"][ordinal] = json!(index);
        block["sequenceNumberForAllocation"][ordinal.to_string()] = json!(sequence);
        block["sequenceNumber"] = json!(sequence + 1);
        let written = self.swap(&block_key(&add.cidr), add.revision, Some(&block)).await;
        written.then(|| address_of(&add.cidr, ordinal))
    }

    /// The rest of an ADD that is in flight; gives the address. Conflicts count down and begin anew.
    pub async fn finish_add(&mut self, mut add: InFlight) -> String {
        loop {
            if let Some(address) = self.write_block(&add).await {
                return address;
            }
            self.decrement(&add.owner.handle, &add.cidr, 1).await;
            add = self.begin(&add.owner, &add.cidr).await;
        }
    }

    /// A whole ADD: address, then endpoint.
    pub async fn add(&mut self, workload: &Workload, cidr: &str) -> String {
        let add = self.begin_add(workload, cidr).await;
        let address = self.finish_add(add).await;
        self.wire(workload, &[&address]).await;
        address
    }

    /// Writes the endpoint.
    pub async fn wire(&mut self, workload: &Workload, addresses: &[&str]) {
        let Workload { namespace, pod, node, container } = workload;
        let networks: Vec<String> =
            addresses.iter().map(|a| format!("{a}/{}", if a.contains(':') { 128 } else { 32 })).collect();
        let value = json!({
            "kind": "WorkloadEndpoint", "apiVersion": "projectcalico.org/v3",
            "metadata": {"name": workload.endpoint_key().rsplit('/').next().unwrap(), "namespace": namespace},
            "spec": {
                "orchestrator": "k8s", "node": node, "pod": pod, "endpoint": "eth0", "containerID": container,
                "ipNetworks": networks, "interfaceName": format!("cali{pod}"),
            },
        });
        self.put(&workload.endpoint_key(), &value).await;
    }

    /// Removes the endpoint if it still is this container's: the first step of a DEL.
    pub async fn unwire(&mut self, workload: &Workload) {
        let key = workload.endpoint_key();
        if let Some((value, revision)) = self.get(&key).await
            && value["spec"]["containerID"] == json!(workload.container)
        {
            self.swap(&key, revision, None).await;
        }
    }

    /// The second step of a DEL: every address of the handle leaves its block. Gives what was released, by block.
    pub async fn release_blocks(&mut self, handle: &str, cidrs: &[&str]) -> Vec<(String, i64)> {
        let mut released = Vec::new();
        for cidr in cidrs {
            loop {
                let Some((mut block, revision)) = self.get(&block_key(cidr)).await else { break };
                let mine = ordinals_of(&block, handle);
                if mine.is_empty() {
                    break;
                }
                free(&mut block, &mine);
                if self.swap(&block_key(cidr), revision, Some(&block)).await {
                    released.push(((*cidr).to_owned(), mine.len() as i64));
                    break;
                }
            }
        }
        released
    }

    /// A whole DEL.
    pub async fn del(&mut self, workload: &Workload, cidrs: &[&str]) {
        self.unwire(workload).await;
        for (cidr, count) in self.release_blocks(&workload.handle(), cidrs).await {
            self.decrement(&workload.handle(), &cidr, count).await;
        }
    }
}

/// The ordinals that are allocated to a handle.
pub fn ordinals_of(block: &Value, handle: &str) -> Vec<usize> {
    let attributes = block["attributes"].as_array().unwrap();
    let is = |index: &Value| index.as_u64().is_some_and(|i| attributes[i as usize]["handle_id"] == json!(handle));
    let allocations = block["allocations"].as_array().unwrap();
    allocations.iter().enumerate().filter(|(_, index)| is(index)).map(|(ordinal, _)| ordinal).collect()
}

/// Frees ordinals without a cooldown.
fn free(block: &mut Value, ordinals: &[usize]) {
    for &ordinal in ordinals {
        block["allocations"][ordinal] = Value::Null;
        block["unallocated"].as_array_mut().unwrap().push(json!(ordinal));
        block["sequenceNumberForAllocation"].as_object_mut().unwrap().remove(&ordinal.to_string());
    }
    let used: Vec<u64> = block["allocations"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    let attributes = block["attributes"].as_array().unwrap().clone();
    let kept: Vec<usize> = (0..attributes.len()).filter(|i| used.contains(&(*i as u64))).collect();
    block["attributes"] = kept.iter().map(|i| attributes[*i].clone()).collect();
    for slot in block["allocations"].as_array_mut().unwrap() {
        if let Some(index) = slot.as_u64() {
            *slot = json!(kept.iter().position(|k| *k as u64 == index).unwrap());
        }
    }
    block["sequenceNumber"] = json!(block["sequenceNumber"].as_u64().unwrap() + 1);
}
