//! The same objects as kube-apiserver keeps them in its etcd: `k8s`, a zero byte, and protobuf.
//!
//! Made from what kubectl would print of them, by the numbers of Kubernetes' `generated.proto`: what a table does not
//! know panics, so nothing is lost on the way. `tests/generator.rs` has a real API server tell them back.

use chrono::{DateTime, FixedOffset};
use serde_json::{Map, Value};

use Kind::{Bool, Integer, Message, Moment, Quantities, Texts, Word, WordOrNumber};

/// How a field is written; a list is that often the same.
#[derive(Clone, Copy)]
enum Kind {
    Word,
    Integer,
    Bool,
    Moment,
    /// From text to text.
    Texts,
    /// From text to a quantity.
    Quantities,
    WordOrNumber,
    Message(&'static [Field]),
    /// The server's own, or of another place.
    Left,
}

/// Name, number, kind.
type Field = (&'static str, u64, Kind);

const OBJECT: &[Field] = &[("apiVersion", 0, Kind::Left), ("kind", 0, Kind::Left)];

const METADATA: &[Field] = &[
    ("name", 1, Word),
    ("generateName", 2, Word),
    ("namespace", 3, Word),
    ("uid", 5, Word),
    ("resourceVersion", 0, Kind::Left),
    ("creationTimestamp", 8, Moment),
    ("labels", 11, Texts),
    ("annotations", 12, Texts),
    ("ownerReferences", 13, Message(OWNER)),
];

const OWNER: &[Field] = &[
    ("kind", 1, Word),
    ("name", 3, Word),
    ("uid", 4, Word),
    ("apiVersion", 5, Word),
    ("controller", 6, Bool),
    ("blockOwnerDeletion", 7, Bool),
];

const POD: &[Field] =
    &[("metadata", 1, Message(METADATA)), ("spec", 2, Message(POD_SPEC)), ("status", 3, Message(POD_STATUS))];

const POD_SPEC: &[Field] = &[
    ("containers", 2, Message(CONTAINER)),
    ("restartPolicy", 3, Word),
    ("terminationGracePeriodSeconds", 4, Integer),
    ("dnsPolicy", 6, Word),
    ("serviceAccountName", 8, Word),
    ("serviceAccount", 9, Word),
    ("nodeName", 10, Word),
    ("securityContext", 14, Message(&[])),
    ("schedulerName", 19, Word),
    ("priority", 25, Integer),
    ("enableServiceLinks", 30, Bool),
    ("preemptionPolicy", 31, Word),
];

const CONTAINER: &[Field] = &[
    ("name", 1, Word),
    ("image", 2, Word),
    ("args", 4, Word),
    ("ports", 6, Message(&[("name", 1, Word), ("containerPort", 3, Integer), ("protocol", 4, Word)])),
    ("volumeMounts", 9, Message(&[("name", 1, Word), ("readOnly", 2, Bool), ("mountPath", 3, Word)])),
    ("terminationMessagePath", 13, Word),
    ("imagePullPolicy", 14, Word),
    ("terminationMessagePolicy", 20, Word),
];

const POD_STATUS: &[Field] = &[
    ("phase", 1, Word),
    ("conditions", 2, Message(CONDITION)),
    ("hostIP", 5, Word),
    ("podIP", 6, Word),
    ("startTime", 7, Moment),
    ("containerStatuses", 8, Message(CONTAINER_STATUS)),
    ("qosClass", 9, Word),
    ("podIPs", 12, Message(&[("ip", 1, Word)])),
    ("hostIPs", 16, Message(&[("ip", 1, Word)])),
];

const CONDITION: &[Field] =
    &[("type", 1, Word), ("status", 2, Word), ("lastProbeTime", 3, Moment), ("lastTransitionTime", 4, Moment)];

const CONTAINER_STATUS: &[Field] = &[
    ("name", 1, Word),
    ("state", 2, Message(CONTAINER_STATE)),
    ("lastState", 3, Message(CONTAINER_STATE)),
    ("ready", 4, Bool),
    ("restartCount", 5, Integer),
    ("image", 6, Word),
    ("imageID", 7, Word),
    ("containerID", 8, Word),
    ("started", 9, Bool),
];

const CONTAINER_STATE: &[Field] = &[("running", 2, Message(&[("startedAt", 1, Moment)]))];

const NODE: &[Field] =
    &[("metadata", 1, Message(METADATA)), ("spec", 2, Message(&[])), ("status", 3, Message(NODE_STATUS))];

const NODE_STATUS: &[Field] = &[
    ("capacity", 1, Quantities),
    ("conditions", 4, Message(NODE_CONDITION)),
    ("addresses", 5, Message(&[("type", 1, Word), ("address", 2, Word)])),
    ("nodeInfo", 7, Message(NODE_INFO)),
];

const NODE_CONDITION: &[Field] = &[
    ("type", 1, Word),
    ("status", 2, Word),
    ("lastHeartbeatTime", 3, Moment),
    ("lastTransitionTime", 4, Moment),
    ("reason", 5, Word),
];

const NODE_INFO: &[Field] = &[
    ("bootID", 3, Word),
    ("containerRuntimeVersion", 6, Word),
    ("kubeletVersion", 7, Word),
    ("operatingSystem", 9, Word),
    ("architecture", 10, Word),
];

const SERVICE: &[Field] =
    &[("metadata", 1, Message(METADATA)), ("spec", 2, Message(SERVICE_SPEC)), ("status", 3, Message(SERVICE_STATUS))];

const SERVICE_SPEC: &[Field] = &[
    ("ports", 1, Message(SERVICE_PORT)),
    ("selector", 2, Texts),
    ("clusterIP", 3, Word),
    ("type", 4, Word),
    ("clusterIPs", 18, Word),
];

const SERVICE_PORT: &[Field] =
    &[("name", 1, Word), ("protocol", 2, Word), ("port", 3, Integer), ("targetPort", 4, WordOrNumber)];

const SERVICE_STATUS: &[Field] = &[("loadBalancer", 1, Message(&[]))];

const NAMESPACE: &[Field] = &[
    ("metadata", 1, Message(METADATA)),
    ("spec", 2, Message(&[("finalizers", 1, Word)])),
    ("status", 3, Message(&[("phase", 1, Word)])),
];

/// The key below `/registry` and the value under which kube-apiserver keeps this object.
pub fn stored(object: &str) -> (String, Vec<u8>) {
    let mut object: Value = serde_json::from_str(object).expect("JSON of our own");
    let kind = object["kind"].as_str().expect("a kind").to_owned();
    let (fields, folder) = match kind.as_str() {
        "Pod" => (POD, "pods"),
        "Node" => (NODE, "minions"),
        "Service" => (SERVICE, "services/specs"),
        "Namespace" => (NAMESPACE, "namespaces"),
        other => panic!("{other}"),
    };
    if kind == "Service" {
        // Without an address of its own, or the server would look after fifteen thousand of them.
        object["spec"]["clusterIP"] = "None".into();
        object["spec"]["clusterIPs"] = vec!["None"].into();
    }
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().expect("a name");
    let key = match metadata["namespace"].as_str() {
        Some(namespace) => format!("{folder}/{namespace}/{name}"),
        None => format!("{folder}/{name}"),
    };
    let mut raw = Vec::new();
    message(&mut raw, object.as_object().expect("an object"), fields);
    let mut head = Vec::new();
    bytes(&mut head, 1, b"v1");
    bytes(&mut head, 2, kind.as_bytes());
    let mut value = b"k8s\0".to_vec();
    bytes(&mut value, 1, &head);
    bytes(&mut value, 2, &raw);
    bytes(&mut value, 3, b"");
    bytes(&mut value, 4, b"");
    (key, value)
}

fn message(out: &mut Vec<u8>, object: &Map<String, Value>, fields: &[Field]) {
    for (name, value) in object {
        let known = fields.iter().chain(OBJECT).find(|(known, ..)| known == name);
        let &(_, number, kind) = known.unwrap_or_else(|| panic!("no number for {name}"));
        match value {
            Value::Null => {}
            Value::Array(list) => list.iter().for_each(|value| field(out, number, kind, value)),
            value => field(out, number, kind, value),
        }
    }
}

fn field(out: &mut Vec<u8>, number: u64, kind: Kind, value: &Value) {
    let text = || value.as_str().unwrap_or_else(|| panic!("{value} is no text")).as_bytes();
    let whole = || value.as_u64().unwrap_or_else(|| panic!("{value} is no number"));
    match kind {
        Kind::Left => {}
        Word => bytes(out, number, text()),
        Integer => integer(out, number, whole()),
        Bool => integer(out, number, u64::from(value.as_bool().expect("true or false"))),
        Moment => {
            let moment: DateTime<FixedOffset> = value.as_str().and_then(|text| text.parse().ok()).expect("a time");
            let mut inner = Vec::new();
            integer(&mut inner, 1, moment.timestamp() as u64);
            integer(&mut inner, 2, 0);
            bytes(out, number, &inner);
        }
        Texts | Quantities => {
            for (key, value) in value.as_object().expect("a map") {
                let text = value.as_str().expect("text").as_bytes();
                let mut entry = Vec::new();
                bytes(&mut entry, 1, key.as_bytes());
                match kind {
                    Quantities => {
                        let mut quantity = Vec::new();
                        bytes(&mut quantity, 1, text);
                        bytes(&mut entry, 2, &quantity);
                    }
                    _ => bytes(&mut entry, 2, text),
                }
                bytes(out, number, &entry);
            }
        }
        WordOrNumber => {
            let mut inner = Vec::new();
            integer(&mut inner, 1, u64::from(value.is_string()));
            integer(&mut inner, 2, value.as_u64().unwrap_or_default());
            bytes(&mut inner, 3, value.as_str().unwrap_or_default().as_bytes());
            bytes(out, number, &inner);
        }
        Message(fields) => {
            let mut inner = Vec::new();
            message(&mut inner, value.as_object().expect("an object"), fields);
            bytes(out, number, &inner);
        }
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn integer(out: &mut Vec<u8>, number: u64, value: u64) {
    varint(out, number << 3);
    varint(out, value);
}

fn bytes(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}
