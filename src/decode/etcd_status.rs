//! What etcd's members say of themselves: the text of an alarm.

use crate::model::EtcdAlarm;

/// The alarm that a line of `Status.errors` tells, without the member's name. `None`: the line tells something else, as
/// "etcdserver: no leader" does.
///
/// etcd 3.4 ends the line with a space and 3.7 does not; both print the id as a decimal number.
pub fn alarm(line: &str) -> Option<EtcdAlarm> {
    let mut alarm = EtcdAlarm::default();
    for word in line.split_whitespace() {
        match word.split_once(':') {
            Some(("memberID", id)) => alarm.member = format!("{:x}", id.parse::<u64>().ok()?),
            Some(("alarm", kind)) => kind.clone_into(&mut alarm.kind),
            _ => return None,
        }
    }
    (!matches!(alarm.kind.as_str(), "" | "NONE")).then_some(alarm)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As etcd 3.4.23 and 3.7.3 wrote them.
    #[test]
    fn alarms_are_read_as_both_versions_write_them() {
        let told = |line: &str| alarm(line).map(|a| (a.kind, a.member));
        let is = |kind: &str, member: &str| Some((kind.to_owned(), member.to_owned()));
        let (nospace, corrupt) = (is("NOSPACE", "ac7c97ef0ec193b0"), is("CORRUPT", "ac7c97ef0ec193b0"));
        assert_eq!(told("memberID:12428976124636271536 alarm:NOSPACE "), nospace);
        assert_eq!(told("memberID:12428976124636271536 alarm:NOSPACE"), nospace);
        assert_eq!(told("memberID:12428976124636271536 alarm:CORRUPT"), corrupt);
        // Protobuf leaves a number out that is 0: nobody knows which member it is.
        assert_eq!(told("alarm:CORRUPT "), is("CORRUPT", ""));
        for other in ["etcdserver: no leader", "", "memberID:7", "memberID:7 alarm:NONE", "memberID:x alarm:NOSPACE"] {
            assert_eq!(told(other), None, "{other:?}");
        }
    }
}
