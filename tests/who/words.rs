//! What `who` takes: kinds as kubectl has them, the beginning of a container's id, and names that are nearly right.

use serde_json::{Value, json};

use super::{document, first, loaded, servers, text, who};

fn matches(document: &Value) -> Vec<(String, String)> {
    let matches = document["matches"].as_array().unwrap().iter();
    matches.map(|m| (m["kind"].as_str().unwrap().to_owned(), m["id"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn a_kind_before_the_name_is_taken_as_kubectl_takes_it() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("clean-small");
    let ask = |word: &str| document(&who(&etcd, &moment, &[word, "-o", "json"]));
    let pod = vec![("pod".to_owned(), "data/store-mysql-0".to_owned())];
    for word in ["pod/store-mysql-0", "pods/store-mysql-0", "po/data/store-mysql-0", "pod/data/store-mysql-0"] {
        let says = ask(word);
        assert_eq!((matches(&says), says["exit_code"].as_u64()), (pod.clone(), Some(0)), "{word}");
        assert_eq!(says["asked"], word);
    }
    let (by_kind, plain) = (ask("pod/data/store-mysql-0"), ask("data/store-mysql-0"));
    assert_eq!((&by_kind["addresses"], &by_kind["answer"]), (&plain["addresses"], &plain["answer"]));
    for word in ["node/node-1", "no/node-1", "nodes/node-1"] {
        assert_eq!(matches(&ask(word)), [("node".to_owned(), "node-1".to_owned())], "{word}");
    }
    let address = plain["addresses"][0]["address"].as_str().unwrap();
    let by_address = who(&etcd, &moment, &[&format!("address/{address}")]);
    assert_eq!(first(&by_address), first(&who(&etcd, &moment, &[address])));
    let handle = plain["handles"][0]["id"].as_str().unwrap();
    assert_eq!(matches(&ask(&format!("handle/{handle}"))), [("handle".to_owned(), handle.to_owned())]);
    assert_eq!(ask("block/10.66.247.0/26")["range"]["kind"], "block");
    // Of another kind nothing is called so.
    for word in ["node/store-mysql-0", "pod/node-1", "handle/node-1", "address/node-1", "svc/node-1"] {
        let output = who(&etcd, &moment, &[word]);
        assert!(first(&output).starts_with(&format!("nothing is called {word} here")), "{}", text(&output));
        assert_eq!(output.status.code(), Some(2), "{word}");
    }
}

#[test]
fn services_and_machines_are_asked_for_by_name() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("clean-small");
    let ask = |word: &str| document(&who(&etcd, &moment, &[word, "-o", "json"]));
    for word in ["service/web", "svc/shop/web", "services/web", "shop/web"] {
        let says = ask(word);
        assert_eq!(matches(&says), [("service".to_owned(), "shop/web".to_owned())], "{word}");
        assert_eq!(says["answer"], "service shop/web has 10.165.9.160", "{word}");
        let row = &says["addresses"][0]["allocations"][0];
        assert_eq!(row["handle"], "lb-NfDQLyCCuhVQbDzYFay2ZOp9sbb3vgfqc5lNiDXw9iU");
    }
    for word in ["vm/fedora", "vmi/vms/fedora", "vms/fedora"] {
        let says = ask(word);
        let handle = "k8s-pod-network.vmi.vms.fedora";
        let wanted = [("vm".to_owned(), "vms/fedora".to_owned()), ("handle".to_owned(), handle.to_owned())];
        assert_eq!(matches(&says), wanted, "{word}");
        let answer = says["answer"].as_str().unwrap();
        assert!(answer.starts_with("VM vms/fedora has 10.65.247.10, fd00:65::8:f70a"), "{word}: {answer}");
    }
    // Only an allocation is left of it: leaked.
    let (etcd, moment) = loaded("tunnels-and-services");
    let output = who(&etcd, &moment, &["svc/edge/gone"]);
    assert!(first(&output).starts_with("service edge/gone has 10.175.9.163; "), "{}", text(&output));
    assert!(text(&output).contains("IPA112"), "{}", text(&output));
}

/// crictl and docker show 12 or 13 digits of a container's id.
#[test]
fn the_beginning_of_a_containers_id_names_its_handle() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("leaked-pods");
    let says = document(&who(&etcd, &moment, &["data/queue-0", "-o", "json"]));
    let handle = says["handles"][0]["id"].as_str().unwrap();
    let container = handle.rsplit_once('.').unwrap().1;
    let whole = first(&who(&etcd, &moment, &[container]));
    for length in [12, 13, 63] {
        let part = &container[..length];
        assert_eq!(first(&who(&etcd, &moment, &[part])), whole, "{part}");
        assert_eq!(first(&who(&etcd, &moment, &[&format!("container/{}", part.to_uppercase())])), whole);
    }
    let short = who(&etcd, &moment, &[&container[..11]]);
    assert_eq!(short.status.code(), Some(2), "too short to be meant so: {}", text(&short));
}

#[test]
fn a_name_that_is_nearly_right_is_told_what_it_may_be() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("clean-small");
    for (word, near) in [
        ("store-mysql-9", "data/store-mysql-0"),
        ("data/store-myqsl-1", "data/store-mysql-1"),
        ("pod/store-mysql-O", "data/store-mysql-0"),
        ("nod-2", "node-2"),
        ("no/node-l", "node-1"),
        ("svc/crat", "service/shop/cart"),
    ] {
        let output = who(&etcd, &moment, &[word]);
        let starts = format!("nothing is called {word} here; did you mean ");
        assert!(first(&output).starts_with(&starts) && first(&output).contains(near), "{}", text(&output));
        assert_eq!(output.status.code(), Some(2));
        let says = document(&who(&etcd, &moment, &[word, "-o", "json"]));
        let list = says["near"].as_array().unwrap();
        assert!(list.contains(&json!(near)) && list.len() <= 5, "{word}: {list:?}");
        let again = who(&etcd, &moment, &[near]);
        assert_eq!(again.status.code(), Some(0), "what is told can be asked for: {}", text(&again));
    }
    let says = document(&who(&etcd, &moment, &["data/store-mysql-0", "-o", "json"]));
    assert_eq!(says["near"], json!([]), "nothing is near what is there");
}
