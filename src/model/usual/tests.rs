//! Text → usual form → text is the same text, or the form says that it is another one.

use proptest::prelude::*;

use super::*;
use crate::model::{
    Attribute, AttributeFields, Endpoint, EndpointFields, Handle, HandleFields, HandleId, Nat, Orchestrator, Owner,
    Phase, Pod, PodFields, Uid,
};

fn meta() -> impl Strategy<Value = Meta> {
    let revision = prop_oneof![Just(0i64), 1..100i64, any::<i64>()];
    (revision.clone(), revision.clone(), revision, any::<u64>()).prop_map(|(create, age, version, value_hash)| Meta {
        create_revision: create,
        mod_revision: create.wrapping_add(age),
        version,
        value_hash,
    })
}

fn address() -> impl Strategy<Value = Addr> {
    prop_oneof![Just(0u32), any::<u32>()]
        .prop_map(Addr::from_v4_bits)
        .boxed()
        .prop_union(any::<u128>().prop_map(Addr::from_bits).boxed())
}

fn created() -> impl Strategy<Value = Option<Time>> {
    let second = (0..5_000_000_000i64).prop_map(|second| Time(second * NANOSECONDS));
    proptest::option::of(prop_oneof![second, any::<i64>().prop_map(Time)])
}

/// A name, or the key's name that CNI would make of node and pod, or one beside it.
const PART: &str = "[a-z-]{0,4}";

#[derive(Clone, Debug)]
struct Drawn {
    node: String,
    pod: String,
    name: String,
    interface: String,
    endpoint: &'static str,
}

fn texts() -> impl Strategy<Value = Drawn> {
    let name = |node: &str, pod: &str| {
        let (node, pod) = (node.replace('-', "--"), pod.replace('-', "--"));
        prop_oneof![
            Just(format!("{node}-k8s-{pod}-eth0")),
            Just(format!("{node}-k8s-{pod}-net1")),
            Just(format!("{node}-cni-{pod}-eth0")),
            "[a-z0-9-]{0,12}",
        ]
    };
    let interface =
        prop_oneof!["cali[0-9a-f]{11}", "cali[0-9a-fA-F]{10,12}", "[a-z0-9]{0,5}", Just("cali+0123456789".to_owned())];
    (PART, PART, interface, prop_oneof![Just("eth0"), Just("net1"), Just("")]).prop_flat_map(
        move |(node, pod, interface, endpoint)| {
            let names = name(&node, &pod);
            names.prop_map(move |name| Drawn {
                node: node.clone(),
                pod: pod.clone(),
                name,
                interface: interface.clone(),
                endpoint,
            })
        },
    )
}

proptest! {
    #[test]
    fn endpoints_come_back_as_they_were(
        texts in texts(),
        meta in meta(),
        addresses in proptest::collection::vec(address(), 0..3),
        nats in proptest::collection::vec(address(), 0..2),
        mac in proptest::option::of(prop_oneof![0..1u64 << 48, any::<u64>()]),
        created in created(),
        orchestrator in 0..3,
    ) {
        let mut names = Names::default();
        let (node, pod) = (names.intern(&texts.node), names.intern(&texts.pod));
        let fields = EndpointFields {
            meta,
            namespace: names.intern("shop"),
            name: EndpointKey::intern(&mut names, &texts.name, node, pod),
            orchestrator: match orchestrator {
                0 => Orchestrator::Kubernetes,
                1 => Orchestrator::Cni,
                _ => Orchestrator::Other(names.intern("openstack")),
            },
            node,
            pod,
            endpoint: names.intern(texts.endpoint),
            container: names.intern("3f2c"),
            interface: Interface::intern(&mut names, &texts.interface),
            mac,
            addresses: addresses.into(),
            nats: nats.into_iter().map(|a| Nat { internal: a, external: a }).collect(),
            created,
        };
        prop_assert_eq!(fields.name.text(&names), texts.name.clone());
        prop_assert!(fields.name.bytes(&names).eq(texts.name.bytes()));
        let mut spelled = b"/".to_vec();
        fields.name.put(&names, &mut spelled);
        prop_assert_eq!(spelled, format!("/{}", texts.name).into_bytes());
        prop_assert_eq!(fields.interface.text(&names), texts.interface.clone());
        prop_assert_eq!(Interface::find(&names, &texts.interface), Some(fields.interface));
        prop_assert_eq!(fields.interface.is_none(), texts.interface.is_empty());
        let held = Endpoint::from(fields.clone());
        prop_assert_eq!(held.fields(), fields.clone());
        prop_assert_eq!(held.usual().map_or(fields.clone(), |usual| Endpoint::from(usual).fields()), fields);
    }

    #[test]
    fn handles_come_back_as_they_were(
        meta in meta(),
        odd in any::<bool>(),
        deleted in any::<bool>(),
        counts in proptest::collection::vec((address(), 0..=32u8, prop_oneof![Just(1i64), any::<i64>()]), 0..3),
    ) {
        let mut names = Names::default();
        let fields = HandleFields {
            meta,
            id: HandleId::intern(&mut names, "net.3f2c").unwrap(),
            odd_id: odd.then(|| b"net.3f2c\r".as_slice().into()),
            counts: counts.into_iter().map(|(a, prefix, n)| (Cidr::new(a, prefix).unwrap(), n)).collect(),
            deleted,
        };
        let held = Handle::from(fields.clone());
        prop_assert_eq!(held.fields(), fields.clone());
        prop_assert_eq!(held.usual().map_or(fields.clone(), |usual| Handle::from(usual).fields()), fields);
    }
}

proptest! {
    #[test]
    fn pods_come_back_as_they_were(
        times in (created(), created()),
        lists in proptest::collection::vec(proptest::collection::vec(address(), 0..3), 6),
        flags in (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
    ) {
        let mut names = Names::default();
        let list = |i: usize| lists[i].clone().into();
        let fields = PodFields {
            uid: Uid::intern(&mut names, "6f1c2a9e-0000-4abc-8def-0123456789ab"),
            namespace: names.intern("shop"),
            name: names.intern("web-0"),
            node: names.intern("node-1"),
            phase: Phase::Running,
            host_network: flags.0,
            ready: flags.1,
            deleting: times.0,
            created: times.1,
            addresses: list(0),
            controller: flags.2.then(|| (names.intern("ReplicaSet"), names.intern("web"))),
            mirror: flags.2,
            bare: flags.3,
            vmi: names.intern(if flags.3 { "fedora" } else { "" }),
            no_ipam: list(1),
            asked_for: list(2),
            network_status: list(3),
            floating: list(4),
            annotated: list(5),
        };
        prop_assert_eq!(Pod::from(fields.clone()).fields(), fields);
    }
}

fn owner() -> impl Strategy<Value = Owner> {
    let texts = proptest::collection::vec("[a-b]?", 7);
    (texts, proptest::option::of(prop_oneof![Just(i64::MIN), any::<i64>()])).prop_map(|(texts, timestamp)| {
        // Numbers of one table or another: the form keeps numbers.
        let mut names = Names::default();
        let mut name = |i: usize| names.intern(&texts[i]);
        Owner {
            namespace: name(0),
            pod: name(1),
            node: name(2),
            service: name(3),
            kind: name(4),
            vmi: name(5),
            note: name(6),
            timestamp: timestamp.map(Time),
        }
    })
}

proptest! {
    #[test]
    fn attributes_come_back_as_they_were(
        owner in owner(),
        alternate in proptest::option::of(owner()),
        odd_handle in proptest::option::of("[a-c]{0,3}"),
        flags in (any::<bool>(), any::<bool>()),
        released_at in proptest::option::of(any::<i64>().prop_map(Time)),
    ) {
        let mut names = Names::default();
        let fields = AttributeFields {
            handle: flags.0.then(|| HandleId::intern(&mut names, "net.3f2c").unwrap()),
            odd_handle: odd_handle.map(Into::into),
            owner,
            reserved: flags.1,
            alternate: alternate.map(Box::new),
            released_at,
        };
        let held = Attribute::from(fields.clone());
        prop_assert_eq!(held.fields(), fields.clone());
        prop_assert_eq!(held.usual().map_or(fields.clone(), |usual| Attribute::from(usual).fields()), fields);
    }

    #[test]
    fn endpoints_are_in_the_order_of_their_keys(
        texts in proptest::array::uniform4("[-ak.0~]{1,4}"),
        others in any::<(bool, bool)>(),
    ) {
        let mut names = Names::default();
        let [node, pod, on, of] = texts.map(|text| names.intern(&text));
        let mut key = |node, pod, other: bool| {
            let key = EndpointKey::OfPod { node, pod };
            let text = key.text(&names);
            if other { EndpointKey::Other(names.intern(&text)) } else { key }
        };
        let (a, b) = (key(node, pod, others.0), key(on, of, others.1));
        prop_assert_eq!(a.order(b, &names), a.text(&names).cmp(&b.text(&names)));
        prop_assert_eq!(b.order(a, &names), b.text(&names).cmp(&a.text(&names)));
    }
}

/// What a healthy cluster has a hundred thousand of stays this small.
#[test]
fn the_usual_form_is_small() {
    assert_eq!((size_of::<Endpoint>(), size_of::<Handle>(), size_of::<Pod>()), (72, 56, 64));
    assert_eq!(size_of::<Attribute>(), 40);
    let mut names = Names::default();
    let (node, pod) = (names.intern("node-1"), names.intern("web-0"));
    let before = format!("{names:?}");
    let name = EndpointKey::intern(&mut names, "node--1-k8s-web--0-eth0", node, pod);
    let interface = Interface::intern(&mut names, "cali0123456789a");
    assert_eq!((name, interface), (EndpointKey::OfPod { node, pod }, Interface::Cali(0x012_3456_789a)));
    assert_eq!(format!("{names:?}"), before, "neither takes room in the table");
}

#[test]
fn empty_blocks_share_one_list_until_one_of_them_is_written() {
    let slots = || AllocatedTo::from(vec![None; USUAL_SIZE]);
    let (mut one, other) = (slots(), slots());
    assert!(std::ptr::eq(&*one, &*other));
    one[7] = Some(0);
    assert_eq!((one[7], other[7], slots()[7]), (Some(0), None, None));
}
