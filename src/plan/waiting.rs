//! What can be waited for: when a refusal of today is none any more, if nothing else changes.

use super::circumstances::NodeDoubt;
use super::refusal::Objection;
use super::rules::DEPARTED;
use crate::model::Time;

/// From when on it may be allowed: the audits that it lacks can have looked, the node is gone for long enough. `None`:
/// time alone does not help.
pub fn allowed_from(objection: &Objection) -> Option<Time> {
    match objection {
        Objection::TooYoung(lacking) | Objection::TooYoungInAnyCase(lacking) => Some(lacking.from),
        Objection::Node(_, NodeDoubt::GoneSince(since))
        | Objection::EndpointOn { doubt: NodeDoubt::GoneSince(since), .. } => Some(since.plus(DEPARTED)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::circumstances::Lacking;

    #[test]
    fn audits_and_a_nodes_hour_can_be_waited_for_and_nothing_else() {
        let lacking = Lacking { audits: 2, from: Time(7) };
        assert_eq!(allowed_from(&Objection::TooYoung(lacking)), Some(Time(7)));
        assert_eq!(allowed_from(&Objection::TooYoungInAnyCase(lacking)), Some(Time(7)));
        let doubt = NodeDoubt::GoneSince(Time(7));
        let hour = Some(Time(7).plus(DEPARTED));
        assert_eq!(allowed_from(&Objection::Node("n".into(), doubt)), hour);
        let endpoint = Objection::EndpointOn { endpoint: "e".into(), node: "n".into(), doubt };
        assert_eq!(allowed_from(&endpoint), hour);
        for objection in [Objection::Node("n".into(), NodeDoubt::NotReady), Objection::Unproven, Objection::Unwatched] {
            assert_eq!(allowed_from(&objection), None, "{objection:?}");
        }
    }
}
