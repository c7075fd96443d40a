//! Commands that can be pasted: how a name stands in one, what it repairs, and whether it only shows something.

use crate::model::keys;

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

/// Whether a command of other tools than ours writes what Calico keeps.
pub fn writes_datastore(command: &str) -> bool {
    command.starts_with("calicoctl delete ") || command.contains("etcdctl txn")
}

/// Whether a command only shows something.
pub fn only_looks(command: &str) -> bool {
    let mut words = command.split(' ');
    let (program, verb) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match program {
        "ipaudit" => matches!(verb, "who" | "audit" | "node" | "explain"),
        "ssh" => true,
        "etcdctl" => verb == "get",
        "calicoctl" => {
            verb == "get" || command.starts_with("calicoctl ipam show") || command.starts_with("calicoctl ipam check")
        }
        "kubectl" => !command.contains(" delete "),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_repairs_nothing() {
        for (command, looks) in [
            ("ipaudit who 10.0.0.1", true),
            ("ipaudit audit --code IPA110 --all", true),
            ("ipaudit node --node worker-1 --all", true),
            ("etcdctl get /calico/x", true),
            ("kubectl get nodes -o wide", true),
            ("calicoctl ipam show --show-blocks", true),
            ("calicoctl get nodes -o wide", true),
            ("kubectl -n shop delete pod web-0", false),
            ("kubectl delete pods --all-namespaces -l k8s-app=calico-node", false),
            ("ipaudit release --handle x", false),
            ("calicoctl datastore migrate unlock", false),
            ("printf '' | etcdctl txn", false),
        ] {
            assert_eq!(only_looks(command), looks, "{command}");
        }
    }

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
