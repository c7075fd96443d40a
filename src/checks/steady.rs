//! Whether what one reading shows is enough, check by check.
//!
//! etcd is read at one revision, and still shows what lasts for a moment only: Calico writes a block and its handle, a
//! block and the Node, a block and the endpoint one after the other. And Kubernetes is read at another moment than etcd,
//! nobody knows whether before or after: what came or went between the two looks like damage. Whatever rests on either
//! counts when it was seen to hold twice (S), by an audit at least the settle time ago, or by a second look.

/// Why a finding must be seen to hold twice, or why once is enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Steady {
    /// It rests on pods, nodes or services, which are read at another moment than etcd; also where it rests on them only
    /// for whose a node is.
    KubernetesReadApart,
    /// It compares a node's kernel with what was read at another moment; the node was read twice itself.
    NodeReadApart,
    /// What it compares is written in two writes.
    TwoWrites,
    /// Its own rule wants what an earlier audit recorded: that is once, and now is twice.
    EarlierAudit,
    /// Each thing that it judges is wrong by itself, or wrong beside another one of the same revision in an order in
    /// which Calico never writes.
    OneMoment,
}

impl Steady {
    /// Whether it must be seen to hold twice.
    pub const fn is_steady(self) -> bool {
        matches!(self, Steady::KubernetesReadApart | Steady::NodeReadApart | Steady::TwoWrites)
    }
}

#[cfg(test)]
mod tests {
    use Steady::{
        EarlierAudit as Audit, KubernetesReadApart as Kube, NodeReadApart as Node, OneMoment as Once, TwoWrites as Two,
    };

    use super::*;
    use crate::checks::{ALL, Judges};
    use crate::model::Needs;

    /// The answer for every code; none changes unseen, and a new check needs one.
    const ANSWERS: &[(Steady, &[u16])] = &[
        (
            Kube,
            &[
                101, 103, 110, 111, 112, 113, 116, 117, 118, 120, 121, 122, 130, 132, 133, 406, 407, 409, 410, 501,
                502, 503, 505, 506, 702, 703, 705, 706, 710, 905, 906, 908,
            ],
        ),
        (Node, &[701, 704, 707, 709, 711, 720, 721, 722, 723, 724]),
        (Two, &[115, 131, 201, 202, 203, 204, 205, 206, 207, 208, 305, 402, 405, 508, 909]),
        (Audit, &[403, 404, 903, 904]),
        (
            Once,
            &[
                102, 104, 114, 301, 302, 303, 304, 306, 307, 401, 408, 504, 507, 601, 602, 603, 708, 790, 901, 902,
                907, 910,
            ],
        ),
    ];

    #[test]
    fn every_check_has_its_answer() {
        let mut answers: Vec<(u16, Steady)> =
            ANSWERS.iter().flat_map(|(steady, codes)| codes.iter().map(|code| (*code, *steady))).collect();
        answers.sort_by_key(|(code, _)| *code);
        let said: Vec<(u16, Steady)> = ALL.iter().map(|check| (check.code.0, check.steady)).collect();
        assert_eq!(said, answers);
    }

    #[test]
    fn what_rests_on_kubernetes_is_steady_also_without_pods() {
        for check in ALL.iter() {
            let by_need = check.needs.has_any(Needs::P.and(Needs::K).and(Needs::S));
            if by_need || check.ties.judges == Judges::OnlyOurs {
                assert!(check.is_steady(), "{}", check.code);
            }
        }
    }

    #[test]
    fn what_is_written_in_two_writes_is_steady() {
        let pairs = [Needs::B.and(Needs::H), Needs::B.and(Needs::N), Needs::B.and(Needs::W)];
        for check in ALL.iter() {
            if pairs.iter().any(|pair| check.needs.has(*pair)) {
                assert!(check.is_steady(), "{} needs {}", check.code, check.needs);
            }
        }
    }
}
