//! What `kubectl get pods,nodes,services,namespaces -A -o json` prints of the same cluster: 5 KB a pod, indented by four.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::random::Random;
use super::storage::stored;
use super::{Cluster, NOW_SECONDS, Node, Pod, rfc3339};

impl Cluster {
    /// Writes the list, one object at a time.
    pub fn write_objects(&self, out: &mut impl Write) -> io::Result<()> {
        self.write_objects_but(0, out)
    }

    /// The same without so many of its pods, evenly spread: what they had is leaked then, and each is a suspect.
    pub fn write_objects_but(&self, pods: usize, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"{\n    \"apiVersion\": \"v1\",\n    \"items\": [\n")?;
        let mut first = true;
        let hidden = self.spread(pods);
        for object in self.objects(&hidden) {
            if !first {
                out.write_all(b",\n")?;
            }
            first = false;
            write_indented(out, &object)?;
        }
        out.write_all(
            b"\n    ],\n    \"kind\": \"List\",\n    \"metadata\": {\n        \"resourceVersion\": \"\"\n    }\n}\n",
        )
    }

    /// So many living pods, evenly spread.
    pub fn spread(&self, pods: usize) -> BTreeSet<usize> {
        let living: Vec<usize> = self.living().map(|(i, _)| i).collect();
        (0..pods).filter_map(|n| living.get(n * living.len() / pods.max(1)).copied()).collect()
    }

    fn objects<'a>(&'a self, hidden: &'a BTreeSet<usize>) -> impl Iterator<Item = String> + 'a {
        let pods = self.living().filter(|(i, _)| !hidden.contains(i)).map(|(i, pod)| self.pod(i, pod));
        let nodes = self.nodes.iter().map(node);
        let namespaces =
            std::iter::once("kube-system").chain(self.namespaces.iter().map(String::as_str)).map(namespace);
        pods.chain(nodes).chain(self.services()).chain(namespaces)
    }

    /// The objects as an API server keeps them: keys below `/registry/` and values. Its own are not among them.
    pub fn stored_objects(&self) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
        const NONE: &BTreeSet<usize> = &BTreeSet::new();
        let own =
            |key: &String| ["namespaces/kube-system", "services/specs/default/kubernetes"].contains(&key.as_str());
        self.objects(NONE).map(|object| stored(&object)).filter(move |(key, _)| !own(key))
    }

    /// A pod as an API server keeps it.
    pub fn stored_pod(&self, i: usize) -> (String, Vec<u8>) {
        stored(&self.pod(i, &self.pods[i]))
    }

    fn pod(&self, i: usize, pod: &Pod) -> String {
        let mut random = Random::new(self.seed.rotate_left(17) ^ i as u64);
        let node = &self.nodes[pod.node];
        let (owner, labels) = match pod.stateful {
            true => (format!("StatefulSet\", \"name\": \"{}", pod.app), String::new()),
            false => {
                let hash = super::template_hash(&pod.app);
                let label = format!("\n      \"pod-template-hash\": \"{hash}\",");
                (format!("ReplicaSet\", \"name\": \"{}-{hash}", pod.app), label)
            }
        };
        let values = [
            ("address", pod.address.to_string()),
            ("app", pod.app.clone()),
            ("created", rfc3339(pod.created)),
            ("digest", random.hex(64)),
            ("host", node.host.to_string()),
            ("id", random.hex(64)),
            ("labels", labels),
            ("name", pod.name.clone()),
            ("namespace", self.namespaces[pod.namespace].clone()),
            ("node", node.name.clone()),
            ("owner", owner),
            ("owner_uid", random.uid()),
            ("ready", rfc3339(pod.created + 9)),
            ("started", rfc3339(pod.created + 4)),
            ("token", random.suffix()),
            ("uid", random.uid()),
            ("version", (40_000_000 + random.below(8_000_000)).to_string()),
        ];
        fill(POD, &values)
    }

    fn services(&self) -> impl Iterator<Item = String> + '_ {
        let api = service("default", "kubernetes", "10.96.0.1", "3c7d9e52-1f0a-4b6e-a8d4-0c5b7a9e2f11");
        let apps = (0..self.plan.pods.div_ceil(super::PODS_PER_APP)).map(|i| {
            let pod = &self.pods[i * super::PODS_PER_APP];
            let mut random = Random::new(self.seed.rotate_left(31) ^ i as u64);
            let address = format!("10.{}.{}.{}", 96 + i / 65_000, i / 250 % 250, i % 250 + 2);
            service(&self.namespaces[pod.namespace], &pod.app, &address, &random.uid())
        });
        std::iter::once(api).chain(apps)
    }
}

/// The template's `@word@`s replaced.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::with_capacity(template.len() + 1024);
    for (at, part) in template.split('@').enumerate() {
        match at % 2 {
            0 => text.push_str(part),
            _ => {
                let value = values.iter().find(|(name, _)| *name == part);
                text.push_str(&value.unwrap_or_else(|| panic!("no value for {part}")).1);
            }
        }
    }
    text
}

/// The templates are indented by two to stay readable; kubectl indents by four, and items of a list by eight.
fn write_indented(out: &mut impl Write, object: &str) -> io::Result<()> {
    const SPACES: &[u8] = &[b' '; 64];
    for (at, line) in object.trim().lines().enumerate() {
        if at > 0 {
            out.write_all(b"\n")?;
        }
        let text = line.trim_start();
        let spaces = 8 + 2 * (line.len() - text.len());
        out.write_all(&SPACES[..spaces.min(SPACES.len())])?;
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}

fn node(node: &Node) -> String {
    let values = [
        ("name", node.name.clone()),
        ("uid", node.uid.clone()),
        ("host", node.host.to_string()),
        ("created", rfc3339(NOW_SECONDS - 45 * 86_400)),
        ("beat", rfc3339(NOW_SECONDS - 120)),
    ];
    fill(NODE, &values)
}

fn service(namespace: &str, name: &str, address: &str, uid: &str) -> String {
    let values = [
        ("namespace", namespace.to_owned()),
        ("name", name.to_owned()),
        ("address", address.to_owned()),
        ("uid", uid.to_owned()),
        ("created", rfc3339(NOW_SECONDS - 44 * 86_400)),
    ];
    fill(SERVICE, &values)
}

fn namespace(name: &str) -> String {
    let uid = Random::of(name).uid();
    fill(NAMESPACE, &[("name", name.to_owned()), ("uid", uid), ("created", rfc3339(NOW_SECONDS - 45 * 86_400))])
}

const POD: &str = r#"
{
  "apiVersion": "v1",
  "kind": "Pod",
  "metadata": {
    "annotations": {
      "checksum/config": "@digest@",
      "prometheus.io/port": "9090",
      "prometheus.io/scrape": "true"
    },
    "creationTimestamp": "@created@",
    "generateName": "@app@-",
    "labels": {
      "app.kubernetes.io/component": "server",
      "app.kubernetes.io/instance": "@app@",
      "app.kubernetes.io/managed-by": "Helm",@labels@
      "app.kubernetes.io/name": "@app@"
    },
    "name": "@name@",
    "namespace": "@namespace@",
    "ownerReferences": [
      { "apiVersion": "apps/v1", "blockOwnerDeletion": true, "controller": true, "kind": "@owner@", "uid": "@owner_uid@" }
    ],
    "resourceVersion": "@version@",
    "uid": "@uid@"
  },
  "spec": {
    "containers": [
      {
        "args": [
          "--listen=:8080",
          "--metrics=:9090",
          "--log.level=info"
        ],
        "image": "images.example/@app@:1.27.3",
        "imagePullPolicy": "IfNotPresent",
        "name": "main",
        "ports": [
          {
            "containerPort": 8080,
            "name": "http",
            "protocol": "TCP"
          },
          {
            "containerPort": 9090,
            "name": "metrics",
            "protocol": "TCP"
          }
        ],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [
          {
            "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
            "name": "kube-api-access-@token@",
            "readOnly": true
          }
        ]
      }
    ],
    "dnsPolicy": "ClusterFirst",
    "enableServiceLinks": true,
    "nodeName": "@node@",
    "preemptionPolicy": "PreemptLowerPriority",
    "priority": 0,
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "serviceAccount": "@app@",
    "serviceAccountName": "@app@",
    "terminationGracePeriodSeconds": 30
  },
  "status": {
    "conditions": [
      {
        "lastProbeTime": null,
        "lastTransitionTime": "@ready@",
        "status": "True",
        "type": "Ready"
      },
      {
        "lastProbeTime": null,
        "lastTransitionTime": "@created@",
        "status": "True",
        "type": "PodScheduled"
      }
    ],
    "containerStatuses": [
      {
        "containerID": "containerd://@id@",
        "image": "images.example/@app@:1.27.3",
        "imageID": "images.example/@app@:sha256-@digest@",
        "lastState": {},
        "name": "main",
        "ready": true,
        "restartCount": 0,
        "started": true,
        "state": {
          "running": {
            "startedAt": "@started@"
          }
        }
      }
    ],
    "hostIP": "@host@",
    "hostIPs": [
      {
        "ip": "@host@"
      }
    ],
    "phase": "Running",
    "podIP": "@address@",
    "podIPs": [
      {
        "ip": "@address@"
      }
    ],
    "qosClass": "Burstable",
    "startTime": "@created@"
  }
}
"#;

const NODE: &str = r#"
{
  "apiVersion": "v1",
  "kind": "Node",
  "metadata": {
    "creationTimestamp": "@created@",
    "labels": {
      "beta.kubernetes.io/arch": "amd64",
      "kubernetes.io/hostname": "@name@",
      "kubernetes.io/os": "linux"
    },
    "name": "@name@",
    "resourceVersion": "48213001",
    "uid": "@uid@"
  },
  "spec": {},
  "status": {
    "addresses": [
      {
        "address": "@host@",
        "type": "InternalIP"
      },
      {
        "address": "@name@",
        "type": "Hostname"
      }
    ],
    "capacity": {
      "cpu": "32",
      "memory": "131070560Ki",
      "pods": "110"
    },
    "conditions": [
      {
        "lastHeartbeatTime": "@beat@",
        "lastTransitionTime": "@created@",
        "reason": "CalicoIsUp",
        "status": "False",
        "type": "NetworkUnavailable"
      },
      {
        "lastHeartbeatTime": "@beat@",
        "lastTransitionTime": "@created@",
        "reason": "KubeletReady",
        "status": "True",
        "type": "Ready"
      }
    ],
    "nodeInfo": {
      "architecture": "amd64",
      "bootID": "@uid@",
      "containerRuntimeVersion": "containerd://2.1.4",
      "kubeletVersion": "v1.34.2",
      "operatingSystem": "linux"
    }
  }
}
"#;

const SERVICE: &str = r#"
{
  "apiVersion": "v1",
  "kind": "Service",
  "metadata": {
    "creationTimestamp": "@created@",
    "name": "@name@",
    "namespace": "@namespace@",
    "resourceVersion": "31000200",
    "uid": "@uid@"
  },
  "spec": {
    "clusterIP": "@address@",
    "clusterIPs": [
      "@address@"
    ],
    "ports": [
      {
        "name": "http",
        "port": 80,
        "protocol": "TCP",
        "targetPort": 8080
      }
    ],
    "selector": {
      "app.kubernetes.io/name": "@name@"
    },
    "type": "ClusterIP"
  },
  "status": {
    "loadBalancer": {}
  }
}
"#;

const NAMESPACE: &str = r#"
{
  "apiVersion": "v1",
  "kind": "Namespace",
  "metadata": {
    "creationTimestamp": "@created@",
    "labels": {
      "kubernetes.io/metadata.name": "@name@"
    },
    "name": "@name@",
    "resourceVersion": "30500100",
    "uid": "@uid@"
  },
  "spec": {
    "finalizers": [
      "kubernetes"
    ]
  },
  "status": {
    "phase": "Active"
  }
}
"#;
