use super::*;

#[test]
fn codes_come_back() {
    assert_eq!("IPA101".parse(), Ok(Code(101)));
    assert_eq!(Code(101).to_string(), "IPA101");
    for wrong in ["101", "IPA1", "IPA1011", "IPAxyz", ""] {
        assert!(wrong.parse::<Code>().is_err(), "{wrong}");
    }
}

#[test]
fn hashes_are_the_same_in_every_build() {
    assert_ne!(stable_hash(b""), stable_hash(b"\0"));
    assert_ne!(stable_hash(b"12345678"), stable_hash(b"123456780"));
    assert_eq!(stable_hash(b"calico"), stable_hash(b"calico"));
}

#[test]
fn severities_order_and_parse() {
    assert!(Severity::Critical > Severity::Error && Severity::Warning > Severity::Note);
    assert_eq!("warning".parse(), Ok(Severity::Warning));
    assert!("fatal".parse::<Severity>().is_err());
}
