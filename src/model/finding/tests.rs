use std::collections::HashMap;

use super::*;

#[test]
fn codes_come_back() {
    assert_eq!("IPA101".parse(), Ok(Code(101)));
    assert_eq!(Code(101).to_string(), "IPA101");
    for wrong in ["101", "IPA1", "IPA1011", "IPAxyz", ""] {
        assert!(wrong.parse::<Code>().is_err(), "{wrong}");
    }
}

/// Stored in histories: another build, another version of the crate must give the same.
#[test]
fn hashes_are_the_same_in_every_build() {
    assert_eq!(hash128(b""), 0x99aa_06d3_0147_98d8_6001_c324_468d_497f);
    assert_eq!(hash128(b"a"), 0xa96f_af70_5af1_6834_e6c6_32b6_1e96_4e1f);
    assert_eq!(hash128(b"IPA110\x00192.168.91.33"), 0x5dda_c646_3c6e_3369_b833_fb89_d274_acf0);
    assert_eq!(hash64(b"a"), 0xe6c6_32b6_1e96_4e1f);
    assert_eq!(Parts::new().text("a").number(7).hash128(), Parts::new().text("a").number(7).hash128());
}

#[test]
fn borders_count() {
    let two = |a: &str, b: &str| Parts::new().text(a).text(b).hash128();
    assert_ne!(two("ab", "c"), two("a", "bc"));
    assert_ne!(Parts::new().given(Some("")).hash128(), Parts::new().given(None::<&str>).hash128());
}

/// Text as it stands in clusters: addresses, nodes of a cloud, pods of a set, handles, keys. Two digits a fixed distance
/// apart must not cancel out.
pub(crate) fn ordinary_names() -> Vec<String> {
    let mut names = Vec::new();
    for high in 0..256u32 {
        for low in 0..256u32 {
            names.push(format!("10.65.{high}.{low}"));
        }
    }
    for i in 0..30_000u32 {
        let (a, b, c) = (i % 256, i / 256 % 256, i * 7 % 256);
        names.push(format!("10.{a}.{b}.{c}/26"));
        names.push(format!("ip-10-{a}-{b}-{c}.ec2.internal"));
        names.push(format!("ipip-tunnel-addr-ip-10-{a}-{b}-{c}.ec2.internal"));
        names.push(format!("k8s-pod-network.vmi.shop.vm-{i:06}"));
        names.push(format!("shop-{a}/web-{b}-{c}-{i}"));
        names.push(format!("k8s-pod-network.{:064x}", u128::from(i) * 0x0001_0000_0001_0000_0001));
        names.push(format!("/calico/resources/v3/projectcalico.org/nodes/ip-10-{a}-{b}-{c}.ec2.internal"));
        names.push(format!("/calico/ipam/v2/host/ip-10-{a}-{b}-{c}/ipv4/block/10.65.{b}.{c}-26"));
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// What shares a number: must be nothing.
pub(crate) fn sharing<H: std::hash::Hash + Eq>(names: &[String], hash: impl Fn(&str) -> H) -> usize {
    let mut seen: HashMap<H, &str> = HashMap::with_capacity(names.len());
    names.iter().filter(|name| seen.insert(hash(name), name).is_some()).count()
}

#[test]
fn no_two_ordinary_names_share_a_hash() {
    let names = ordinary_names();
    assert!(names.len() > 200_000, "{}", names.len());
    assert_eq!(sharing(&names, |name| hash128(name.as_bytes())), 0);
    assert_eq!(sharing(&names, |name| hash64(name.as_bytes())), 0);
    assert_eq!(sharing(&names, |name| Parts::new().number(110).text(name).hash128()), 0);
}

#[test]
fn severities_order_and_parse() {
    assert!(Severity::Critical > Severity::Error && Severity::Warning > Severity::Note);
    assert_eq!("warning".parse(), Ok(Severity::Warning));
    assert!("fatal".parse::<Severity>().is_err());
}
