//! What a release does not take by its code, with what cures it. Nobody asked for what could have been done, so this is no
//! refusal: it is answered.

use std::io::{self, Write};

use super::wrap::write_text;
use crate::checks::evidence::sandbox;
use crate::model::foreign::foreign;
use crate::model::{Code, Foreign, MachineNow};
use crate::plan::refusal::{Objection, Refusal};

/// One thing and what cures it.
#[derive(Debug)]
struct Cure<'r> {
    subject: &'r Foreign,
    advice: &'r Foreign,
    sandboxes: &'r [(Foreign, MachineNow, Foreign)],
    commands: &'r [Foreign],
}

/// All things of one code.
#[derive(Debug)]
pub(super) struct Cures<'r> {
    code: Code,
    cures: Vec<Cure<'r>>,
    /// Releases all leaks among them at once.
    bulk: Option<&'r Foreign>,
}

impl<'r> Cures<'r> {
    /// `None` where something is refused for another reason.
    pub(super) fn of(refusals: &'r [Refusal]) -> Option<Cures<'r>> {
        let mut all: Option<Cures<'r>> = None;
        for refusal in refusals {
            let Objection::ByHand { code, advice, sandboxes, commands, bulk } = &refusal.objection else { return None };
            let cure = Cure { subject: &refusal.subject, advice, sandboxes, commands };
            let all = all.get_or_insert(Cures { code: *code, cures: Vec::new(), bulk: None });
            all.cures.push(cure);
            all.bulk = all.bulk.or(bulk.as_ref());
        }
        all
    }

    /// The first line.
    pub(super) fn answer(&self) -> Foreign {
        let code = self.code;
        match self.cures.as_slice() {
            [one] => foreign!("{}: release does not take {code} by code; what cures it:", one.subject),
            many => format!("release does not take {code} by code; what cures these {}:", many.len()).into(),
        }
    }

    /// Each advice once, and the commands on lines of their own, whole and all of them.
    ///
    /// # Errors
    /// As the writer's.
    pub(super) fn write(&self, width: usize, out: &mut dyn Write) -> io::Result<()> {
        if let Some(bulk) = self.bulk {
            writeln!(out, "leaks at once, each judged like any other:")?;
            writeln!(out, "  {}", bulk.shown())?;
            writeln!(out, "or one by one:")?;
        }
        let mut advised: Vec<&Foreign> = Vec::new();
        for Cure { advice, .. } in &self.cures {
            if advised.contains(advice) {
                continue;
            }
            advised.push(advice);
            if !advice.is_empty() {
                write_text(out, width, &advice.shown())?;
            }
            for cure in self.cures.iter().filter(|cure| cure.advice == *advice) {
                if self.cures.len() > 1 {
                    writeln!(out, "  {}", cure.subject.shown())?;
                }
                for (node, machine, command) in cure.sandboxes {
                    writeln!(out, "    # {}:", sandbox::where_to_look(node, *machine, "this").shown())?;
                    writeln!(out, "    {}", command.shown())?;
                }
                cure.commands.iter().try_for_each(|command| writeln!(out, "    {}", command.shown()))?;
            }
        }
        let is_txn = |command: &Foreign| command.raw().ends_with("| etcdctl txn");
        if self.cures.iter().any(|cure| cure.commands.iter().any(is_txn)) {
            write_text(
                out,
                width,
                "etcdctl txn prints SUCCESS when the key was as it was read here and is deleted; FAILURE: somebody wrote it \
                 meanwhile and nothing was deleted, so run this command again",
            )?;
        }
        let words = "etcdctl and calicoctl take their connection from their own settings; ipaudit as for this run";
        write_text(out, width, words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::endpoints::stale_endpoint;

    const BULK: &str = "ipaudit release --code IPA110 --older-than 15m --node=node-1";

    fn cure(subject: &str, command: &str) -> Refusal {
        let bulk = (subject == "shop/web-1").then(|| BULK.into());
        let advice = "its pod is gone".into();
        let commands = vec![command.into()];
        Refusal::new(
            subject,
            Objection::ByHand { code: stale_endpoint::CHECK.code, advice, sandboxes: Vec::new(), commands, bulk },
        )
    }

    fn lines(refusals: &[Refusal]) -> (Foreign, Vec<String>) {
        let cures = Cures::of(refusals).unwrap();
        let mut out = Vec::new();
        cures.write(1000, &mut out).unwrap();
        (cures.answer(), String::from_utf8(out).unwrap().lines().map(str::to_owned).collect())
    }

    #[test]
    fn what_cures_is_no_refusal_and_an_advice_is_told_once_the_bulk_command_first() {
        let release = |n: u8| cure(&format!("shop/web-{n}"), &format!("ipaudit release --handle k8s-pod-network.{n}"));
        let delete = cure("shop/x", "calicoctl delete workloadendpoint x --namespace=shop");
        let (answer, told) = lines(&[release(1), release(2), delete]);
        assert_eq!(answer, "release does not take IPA501 by code; what cures these 3:");
        assert_eq!(
            told,
            [
                "leaks at once, each judged like any other:",
                "  ipaudit release --code IPA110 --older-than 15m --node=node-1",
                "or one by one:",
                "its pod is gone",
                "  shop/web-1",
                "    ipaudit release --handle k8s-pod-network.1",
                "  shop/web-2",
                "    ipaudit release --handle k8s-pod-network.2",
                "  shop/x",
                "    calicoctl delete workloadendpoint x --namespace=shop",
                "etcdctl and calicoctl take their connection from their own settings; ipaudit as for this run",
            ]
        );
        let affinity = cure("host:node-1", "printf '' | etcdctl txn");
        assert!(lines(&[affinity]).1.iter().any(|line| line.contains("FAILURE: somebody wrote it meanwhile")));
        let (answer, told) = lines(&[release(2)]);
        assert_eq!(answer, "shop/web-2: release does not take IPA501 by code; what cures it:");
        assert_eq!(told[..2], ["its pod is gone", "    ipaudit release --handle k8s-pod-network.2"]);
    }
}
