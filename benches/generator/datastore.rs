//! What etcd holds: keys and values as Calico's library writes them.

use std::fmt::Write;

use sha1::{Digest, Sha1};

use super::random::Random;
use super::{BLOCK_SIZE, Block, Cluster, Fate, Holder, NOW_SECONDS, Node, POOL, Pod, go_time, rfc3339};

const IPAM: &str = "/calico/ipam/v2";
const RESOURCES: &str = "/calico/resources/v3/projectcalico.org";
/// The first sequence number of the oldest block: nanoseconds since 1970, thirty days ago.
const FIRST_SEQUENCE: u64 = 1_792_897_200_000_000_000;

impl Cluster {
    /// Every key under `/calico`, in no particular order, made one at a time.
    pub fn keys(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let ipam = self.blocks.iter().enumerate().flat_map(|(i, block)| self.ipam_of(i, block));
        let nodes = self.nodes.iter().map(calico_node);
        let known = self.pods.iter().enumerate().filter(|(_, pod)| pod.fate != Fate::Gone);
        let endpoints = known.map(|(i, pod)| self.endpoint(i, pod));
        singles().into_iter().chain(ipam).chain(self.orphans()).chain(nodes).chain(endpoints).chain(self.noise())
    }

    /// Handles whose addresses were given back.
    fn orphans(&self) -> impl Iterator<Item = (String, String)> + '_ {
        (0..self.plan.orphans).map(|i| {
            let mut random = Random::new(self.seed.rotate_left(7) ^ i as u64);
            let block = &self.blocks[random.below(self.blocks.len() as u64) as usize];
            (format!("{IPAM}/handle/k8s-pod-network.{}", random.hex(64)), handle(&block.cidr()))
        })
    }

    /// The block, its affinity and the handles of all its addresses.
    fn ipam_of(&self, i: usize, block: &Block) -> Vec<(String, String)> {
        let node = &self.nodes[block.node].name;
        let affinity = format!("{IPAM}/host/{node}/ipv4/block/{}-26", block.start);
        let mut keys = vec![self.block_key(i), (affinity, r#"{"state":"confirmed","deleted":false}"#.to_owned())];
        let handles = block.holders.iter().flatten();
        keys.extend(handles.map(|holder| (self.handle_key(*holder), handle(&block.cidr()))));
        keys
    }

    /// A block's key and value.
    pub(super) fn block_key(&self, i: usize) -> (String, String) {
        let block = &self.blocks[i];
        (format!("{IPAM}/assignment/ipv4/block/{}-26", block.start), self.block(i, block))
    }

    pub(super) fn handle_key(&self, holder: Holder) -> String {
        format!("{IPAM}/handle/{}", self.handle(holder))
    }

    fn handle(&self, holder: Holder) -> String {
        match holder {
            Holder::Tunnel(node) => format!("ipip-tunnel-addr-{}", self.nodes[node].name),
            Holder::Pod(pod) => format!("k8s-pod-network.{}", self.pods[pod].container),
        }
    }

    fn block(&self, i: usize, block: &Block) -> String {
        let mut random = Random::new(self.seed ^ i as u64);
        let (holders, mut queue) = block.first();
        // Attributes stand in the order in which their addresses were handed out, which churn has mixed.
        let mut order: Vec<usize> = (0..BLOCK_SIZE).filter(|o| holders[*o].is_some()).collect();
        random.shuffle(&mut order);
        let mut sequence = FIRST_SEQUENCE + random.below(1 << 40);
        let (mut attributes, mut sequences) = (Vec::new(), vec![None; BLOCK_SIZE]);
        for ordinal in order {
            sequences[ordinal] = Some(sequence);
            sequence += 1 + random.below(5);
            attributes.extend(holders[ordinal].map(|holder| (ordinal, self.attribute(holder, &mut random))));
        }
        for change in &block.changes {
            attributes.retain(|(ordinal, _)| *ordinal != change.freed);
            sequences[change.freed] = None;
            queue.push(change.freed);
            queue.remove(0);
            // One write each.
            sequences[change.given] = Some(sequence + 1);
            sequence += 2;
            let mut random = Random::of(&self.handle(change.to));
            attributes.push((change.given, self.attribute(change.to, &mut random)));
        }
        let index = |ordinal: usize| attributes.iter().position(|(o, _)| *o == ordinal);
        let allocations: Vec<String> =
            (0..BLOCK_SIZE).map(|o| index(o).map_or("null".to_owned(), |n| n.to_string())).collect();
        let free: Vec<String> = queue.iter().map(usize::to_string).collect();
        let attributes: Vec<&str> = attributes.iter().map(|(_, text)| text.as_str()).collect();
        // Go sorts a map's keys as text.
        let mut numbers: Vec<(String, u64)> =
            sequences.iter().enumerate().filter_map(|(o, s)| Some((o.to_string(), (*s)?))).collect();
        numbers.sort();
        let numbers: Vec<String> = numbers.iter().map(|(o, s)| format!(r#""{o}":{s}"#)).collect();
        format!(
            r#"{{"cidr":"{}","affinity":"host:{}","affinity_claim_time":"{}","allocations":[{}],"unallocated":[{}],"attributes":[{}],"sequenceNumber":{sequence},"sequenceNumberForAllocation":{{{}}},"deleted":false}}"#,
            block.cidr(),
            self.nodes[block.node].name,
            rfc3339(NOW_SECONDS - 40 * 86_400),
            allocations.join(","),
            free.join(","),
            attributes.join(","),
            numbers.join(",")
        )
    }

    fn attribute(&self, holder: Holder, random: &mut Random) -> String {
        let handle = self.handle(holder);
        match holder {
            Holder::Tunnel(node) => format!(
                r#"{{"handle_id":"{handle}","secondary":{{"node":"{}","type":"ipipTunnelAddress"}}}}"#,
                self.nodes[node].name
            ),
            Holder::Pod(pod) => {
                let pod = &self.pods[pod];
                format!(
                    r#"{{"handle_id":"{handle}","secondary":{{"namespace":"{}","node":"{}","pod":"{}","timestamp":"{}"}}}}"#,
                    self.namespaces[pod.namespace],
                    self.nodes[pod.node].name,
                    pod.name,
                    go_time(pod.created + 2, random.below(1_000_000_000))
                )
            }
        }
    }

    pub(super) fn endpoint(&self, i: usize, pod: &Pod) -> (String, String) {
        let mut random = Random::new(self.seed ^ !(i as u64));
        let namespace = &self.namespaces[pod.namespace];
        let node = &self.nodes[pod.node].name;
        let name = format!("{}-k8s-{}-eth0", node.replace('-', "--"), pod.name.replace('-', "--"));
        let mac = random.hex(10);
        let (generate, labels) = match pod.stateful {
            true => (
                pod.app.clone(),
                format!(
                    r#""apps.kubernetes.io/pod-index":"{}","statefulset.kubernetes.io/pod-name":"{}""#,
                    pod.name.rsplit('-').next().unwrap_or_default(),
                    pod.name
                ),
            ),
            false => {
                let hash = super::template_hash(&pod.app);
                (format!("{}-{hash}", pod.app), format!(r#""pod-template-hash":"{hash}""#))
            }
        };
        let value = format!(
            concat!(
                r#"{{"kind":"WorkloadEndpoint","apiVersion":"projectcalico.org/v3","metadata":{{"name":"{name}","generateName":"{generate}-","namespace":"{namespace}","uid":"{uid}","creationTimestamp":"{created}","#,
                r#""labels":{{"app.kubernetes.io/component":"server","app.kubernetes.io/instance":"{app}","app.kubernetes.io/managed-by":"Helm","app.kubernetes.io/name":"{app}",{labels},"#,
                r#""projectcalico.org/namespace":"{namespace}","projectcalico.org/orchestrator":"k8s","projectcalico.org/serviceaccount":"{app}"}}}},"#,
                r#""spec":{{"orchestrator":"k8s","node":"{node}","containerID":"{container}","pod":"{pod}","endpoint":"eth0","serviceAccountName":"{app}","ipNetworks":["{address}/32"],"#,
                r#""profiles":["kns.{namespace}","ksa.{namespace}.{app}"],"interfaceName":"{interface}","mac":"{mac}","#,
                r#""ports":[{{"name":"http","protocol":"TCP","port":8080,"hostPort":0,"hostIP":""}},{{"name":"metrics","protocol":"TCP","port":9090,"hostPort":0,"hostIP":""}}]}}}}"#
            ),
            name = name,
            generate = generate,
            namespace = namespace,
            uid = random.uid(),
            created = rfc3339(pod.created + 2),
            app = pod.app,
            labels = labels,
            node = node,
            container = pod.container,
            pod = pod.name,
            address = pod.address,
            interface = interface(namespace, &pod.name),
            // The second hex digit marks an address that nobody registered.
            mac = format!("{}2:{}:{}:{}:{}:{}", &mac[..1], &mac[..2], &mac[2..4], &mac[4..6], &mac[6..8], &mac[8..10]),
        );
        (format!("{RESOURCES}/workloadendpoints/{namespace}/{name}"), value)
    }

    /// What lies beside and must not be read: about a seventh of all bytes.
    fn noise(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let felix = self.nodes.iter().map(|node| {
            let name = &node.name;
            let value = format!(
                r#"{{"kind":"FelixConfiguration","apiVersion":"projectcalico.org/v3","metadata":{{"name":"node.{name}"}},"spec":{{"logSeverityScreen":"Warning"}}}}"#
            );
            (format!("{RESOURCES}/felixconfigurations/node.{name}"), value)
        });
        let policies = (0..self.plan.pods * 9 / 100).map(|i| self.policy(i));
        let profiles = (0..self.plan.pods * 8 / 100).map(|i| {
            let name = format!("ksa.{}.account-{i}", self.namespaces[i % self.namespaces.len()]);
            let value = format!(
                r#"{{"kind":"Profile","apiVersion":"projectcalico.org/v3","metadata":{{"name":"{name}","creationTimestamp":"{}"}},"spec":{{"labelsToApply":{{"pcsa.team":"platform"}}}}}}"#,
                rfc3339(NOW_SECONDS - 40 * 86_400)
            );
            (format!("{RESOURCES}/profiles/{name}"), value)
        });
        felix.chain(policies).chain(profiles)
    }

    fn policy(&self, i: usize) -> (String, String) {
        let namespace = &self.namespaces[i % self.namespaces.len()];
        let mut rules = String::new();
        for rule in 0..12 {
            let comma = if rule > 0 { "," } else { "" };
            let _ = write!(
                rules,
                r#"{comma}{{"action":"Allow","protocol":"TCP","source":{{"selector":"app.kubernetes.io/name == 'frontend-{rule}' && projectcalico.org/namespace in {{ '{namespace}', 'platform-0007' }}","namespaceSelector":"kubernetes.io/metadata.name == '{namespace}'"}},"destination":{{"ports":[8080,9090]}}}}"#
            );
        }
        let value = format!(
            r#"{{"kind":"NetworkPolicy","apiVersion":"projectcalico.org/v3","metadata":{{"name":"default.policy-{i}","namespace":"{namespace}"}},"spec":{{"tier":"default","order":1000,"ingress":[{rules}],"selector":"app.kubernetes.io/name == 'api-{i}'","types":["Ingress"]}}}}"#
        );
        (format!("{RESOURCES}/networkpolicies/{namespace}/default.policy-{i}"), value)
    }
}

/// The value of a handle with one address.
pub(super) fn handle(cidr: &str) -> String {
    format!(r#"{{"block":{{"{cidr}":1}},"deleted":false}}"#)
}

impl Block {
    pub(super) fn cidr(&self) -> String {
        format!("{}/26", self.start)
    }
}

/// `cali` and the first 11 hex digits of sha1(`namespace.pod`).
fn interface(namespace: &str, pod: &str) -> String {
    let digest = Sha1::digest(format!("{namespace}.{pod}"));
    let hex: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("cali{}", &hex[..11])
}

fn calico_node(node: &Node) -> (String, String) {
    let Node { name, uid, host, tunnel } = node;
    let value = format!(
        concat!(
            r#"{{"kind":"Node","apiVersion":"projectcalico.org/v3","metadata":{{"name":"{name}","uid":"{uid}","creationTimestamp":"{created}","#,
            r#""labels":{{"beta.kubernetes.io/arch":"amd64","beta.kubernetes.io/os":"linux","kubernetes.io/arch":"amd64","kubernetes.io/hostname":"{name}","kubernetes.io/os":"linux"}}}},"#,
            r#""spec":{{"bgp":{{"ipv4Address":"{host}/16","ipv4IPIPTunnelAddr":"{tunnel}"}},"orchRefs":[{{"nodeName":"{name}","orchestrator":"k8s"}}],"#,
            r#""addresses":[{{"address":"{host}/16","type":"CalicoNodeIP"}},{{"address":"{host}","type":"InternalIP"}}]}},"status":{{}}}}"#
        ),
        name = name,
        uid = uid,
        created = rfc3339(NOW_SECONDS - 45 * 86_400),
        host = host,
        tunnel = tunnel,
    );
    (format!("{RESOURCES}/nodes/{name}"), value)
}

fn singles() -> Vec<(String, String)> {
    let head = |kind: &str, name: &str| {
        let created = rfc3339(NOW_SECONDS - 45 * 86_400);
        format!(
            r#""kind":"{kind}","apiVersion":"projectcalico.org/v3","metadata":{{"name":"{name}","creationTimestamp":"{created}"}}"#
        )
    };
    vec![
        (
            format!("{RESOURCES}/clusterinformations/default"),
            format!(
                r#"{{{},"spec":{{"clusterGUID":"5f0b7c2d9a1e4c3f8e6d1b2a3c4d5e6f","clusterType":"k8s,bgp","calicoVersion":"v3.29.1","datastoreReady":true}}}}"#,
                head("ClusterInformation", "default")
            ),
        ),
        (
            format!("{RESOURCES}/ippools/default-ipv4-ippool"),
            format!(
                r#"{{{},"spec":{{"cidr":"{POOL}","vxlanMode":"Never","ipipMode":"Always","natOutgoing":true,"blockSize":26,"nodeSelector":"all()","allowedUses":["Workload","Tunnel"]}}}}"#,
                head("IPPool", "default-ipv4-ippool")
            ),
        ),
        (
            format!("{RESOURCES}/kubecontrollersconfigurations/default"),
            format!(
                r#"{{{},"spec":{{"logSeverityScreen":"Info","healthChecks":"Enabled","etcdV3CompactionPeriod":"10m0s","prometheusMetricsPort":9094,"controllers":{{"node":{{"reconcilerPeriod":"5m0s","syncLabels":"Enabled","hostEndpoint":{{"autoCreate":"Disabled"}},"leakGracePeriod":"15m0s"}},"policy":{{"reconcilerPeriod":"5m0s"}}}}}},"status":{{}}}}"#,
                head("KubeControllersConfiguration", "default")
            ),
        ),
        (
            format!("{IPAM}/config"),
            r#"{"strict_affinity":false,"auto_allocate_blocks":true,"maxBlocksPerHost":0}"#.to_owned(),
        ),
    ]
}
