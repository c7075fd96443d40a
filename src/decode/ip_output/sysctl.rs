//! Lines of sysctls: `net/ipv4/conf/eth0/proxy_arp=0`, and as `sysctl -a` prints them, `net.ipv4.conf.eth0.proxy_arp = 0`.

use super::bad::{BadPaste, silence};
use crate::model::Foreign;
use crate::model::node_evidence::{Dump, Sysctls};

/// What the lines say of the settings that count; all others are passed over.
///
/// # Errors
/// A file in which no line is a setting.
pub fn read(file: &str, bytes: Option<&Vec<u8>>) -> Result<Dump<Sysctls>, BadPaste> {
    let Some(bytes) = bytes else { return Ok(Dump::NotAsked) };
    if let Some(bad) = BadPaste::encoded(file, bytes) {
        return Err(bad);
    }
    if let Some(why) = silence(file, bytes) {
        return Ok(Dump::NotRead(why.into()));
    }
    let text = String::from_utf8_lossy(bytes);
    let mut sysctls = Sysctls::default();
    let mut known = false;
    for (path, value) in text.lines().filter_map(|line| line.split_once('=')) {
        known |= take(&mut sysctls, &slashed(path.trim()), value.trim());
    }
    let cause: Foreign = "no line is a setting below net".into();
    let hint = "it wants lines as net/ipv4/conf/eth0/proxy_arp=0, or what sysctl -a prints";
    if known { Ok(Dump::Read(sysctls)) } else { Err(BadPaste { file: file.to_owned(), cause, hint }) }
}

/// With slashes between the parts: `sysctl` prints dots, and a dot in an interface's name as a slash.
fn slashed(path: &str) -> String {
    let first = path.find(['.', '/']).and_then(|at| path.get(at..=at));
    match first {
        Some(".") => path
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect(),
        _ => path.to_owned(),
    }
}

fn take(sysctls: &mut Sysctls, path: &str, value: &str) -> bool {
    let Some(path) = path.strip_prefix("net/") else { return false };
    let value: Option<i64> = value.parse().ok();
    if path == "ipv4/ip_forward" {
        sysctls.ip_forward = value;
        return true;
    }
    // `ipv4/conf`, the interface, the setting.
    let Some((front, name)) = path.rsplit_once('/') else { return false };
    let mut parts = front.splitn(3, '/');
    let (Some(family), Some(kind), Some(dev)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let own = sysctls.of.entry(dev.into()).or_default();
    match own.slot(&format!("{family}/{kind}"), name) {
        Some(slot) => {
            *slot = value;
            true
        }
        None => false,
    }
}
