//! The common name of a client certificate: to an etcd with authentication, that is the user.
//!
//! Just as much of X.509 as leads there; a certificate that is built otherwise has no name to us, and is used all the
//! same.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// OID 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// The version of a certificate, which the oldest lack.
const VERSION: u8 = 0xa0;
/// UTF8String, PrintableString, IA5String, TeletexString: bytes that are read as UTF-8, as Go does.
const STRINGS: [u8; 4] = [0x0c, 0x13, 0x16, 0x14];

/// Of the first certificate in this PEM text; of several names the last, as Go has it.
pub fn of(pem: &str) -> Option<String> {
    let der = first(pem)?;
    let (certificate, _) = expect(&der, SEQUENCE)?;
    let (mut rest, _) = expect(certificate, SEQUENCE)?;
    if let Some((_, behind)) = expect(rest, VERSION) {
        rest = behind;
    }
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        (_, _, rest) = part(rest)?;
    }
    let (mut subject, _) = expect(rest, SEQUENCE)?;
    let mut name = None;
    while let Some((mut set, behind)) = expect(subject, SET) {
        subject = behind;
        while let Some((attribute, behind)) = expect(set, SEQUENCE) {
            set = behind;
            name = common_name(attribute).or(name);
        }
    }
    name
}

fn common_name(attribute: &[u8]) -> Option<String> {
    let (kind, value) = expect(attribute, OBJECT_IDENTIFIER)?;
    let (tag, text, _) = part(value)?;
    let text = (kind == COMMON_NAME && STRINGS.contains(&tag)).then(|| String::from_utf8(text.to_vec()))?;
    text.ok().filter(|text| !text.is_empty())
}

fn first(pem: &str) -> Option<Vec<u8>> {
    let (_, behind) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = behind.split_once("-----END CERTIFICATE-----")?;
    STANDARD.decode(body.split_whitespace().collect::<String>()).ok()
}

/// The content of the first part, which has to have this tag, and what follows it.
fn expect(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = part(der)?;
    (tag == wanted).then_some((content, rest))
}

/// Tag, content, and what follows.
fn part(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // So many bytes of length; four are more than any certificate has.
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(names: &[(DnType, &str)]) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn the_subjects_common_name_and_nothing_else() {
        let named = certificate(&[(DnType::OrganizationName, "calico"), (DnType::CommonName, "ipaudit")]);
        assert_eq!(of(&named).as_deref(), Some("ipaudit"));
        assert_eq!(
            of(&format!("a comment\n{named}\n{}", certificate(&[]))).as_deref(),
            Some("ipaudit"),
            "the first one"
        );
        assert_eq!(of(&certificate(&[(DnType::OrganizationName, "calico")])), None);
        let long = "n".repeat(300);
        assert_eq!(of(&certificate(&[(DnType::CommonName, &long)])), Some(long));
        for text in ["", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = of(&format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----", STANDARD.encode(bytes)));
        }
    }
}
