//! What can be typed about findings of a report: whole commands, with the file that was asked.

use super::ReportView;
use crate::checks::evidence::{ask_who, shell};
use crate::model::row::Episode;
use crate::model::{Code, Foreign, SubjectKind, Time};

/// Which etcd and which Kubernetes it was, the history does not know.
pub const LEFT_OUT: &str = "The commands that read etcd and Kubernetes leave out how they are reached: they take the \
                            connection flags of your audits, or their variables.";

/// Whether a command reads etcd or Kubernetes.
pub fn reads_live(command: &Foreign) -> bool {
    let is_of = |of: &str| command.raw().starts_with(of);
    is_of("ipaudit audit") || is_of("ipaudit release") || (is_of("ipaudit who") && !is_of("ipaudit who --offline "))
}

/// What shows all findings of a code as this report has them.
pub fn see_all(code: Code, guid: &Foreign, view: &ReportView) -> Foreign {
    let mut flags = vec![format!("--since {}", second(view.since))];
    if view.until < view.now {
        flags.push(format!("--until {}", view.until));
    }
    flags.extend(view.narrowed_by.iter().filter(|flag| !flag.starts_with("--code ")).cloned());
    flags.extend(of_one(guid, view));
    flags.push(format!("--code {code} --all"));
    flags.extend(view.db.clone());
    format!("ipaudit report {}", flags.join(" ")).into()
}

/// What says more of findings of one code: who each of the first `few` is about, or all of them where `who` does not know
/// such things.
pub fn ask(lines: &[&Episode], few: usize, guid: &Foreign, view: &ReportView) -> Vec<Foreign> {
    let whose: Vec<Foreign> = lines.iter().take(few).filter_map(|line| who(line, guid, view)).collect();
    match lines.first() {
        Some(first) if whose.is_empty() => vec![see_all(first.finding.code, guid, view)],
        _ => whose,
    }
}

/// What says more of the thing that a finding is about, at the time of which the report is.
fn who(line: &Episode, guid: &Foreign, view: &ReportView) -> Option<Foreign> {
    let known = [SubjectKind::Address, SubjectKind::Handle, SubjectKind::Block, SubjectKind::Pod, SubjectKind::Node];
    line.finding.kind.known().filter(|kind| known.contains(kind))?;
    let mut words = Vec::new();
    if view.until < view.now {
        words.push(format!("--offline --at {}", view.until));
        words.extend(of_one(guid, view));
    }
    words.extend(view.db.clone());
    let ask = ask_who(line.finding.subject.raw());
    // A word that could be a flag stands behind `--`, and nothing may follow it.
    let more = if words.is_empty() { String::new() } else { format!(" {}", words.join(" ")) };
    Some(ask.replacen("ipaudit who", &format!("ipaudit who{more}"), 1).into())
}

/// What tells of a cluster until its last audit, and of a day at the least.
pub fn until_then(guid: &Foreign, last: Time, view: &ReportView) -> Foreign {
    let day = std::time::Duration::from_secs(86_400);
    let mut flags = vec![
        format!("--since {}", second(view.since.min(last.minus(day)))),
        format!("--until {last}"),
        format!("--cluster {}", shell(guid.raw())),
    ];
    flags.extend(view.db.clone());
    format!("ipaudit report {}", flags.join(" ")).into()
}

/// Whole seconds are read more easily, and begin no later.
fn second(at: Time) -> Time {
    Time(at.0.div_euclid(1_000_000_000).saturating_mul(1_000_000_000))
}

/// Of several clusters the one.
fn of_one(guid: &Foreign, view: &ReportView) -> Option<String> {
    let is_said = view.narrowed_by.iter().any(|flag| flag.starts_with("--cluster "));
    (view.clusters.len() > 1 && !is_said).then(|| format!("--cluster {}", shell(guid.raw())))
}

#[cfg(test)]
mod tests {
    use super::super::ClusterReport;
    use super::super::testing::{at, line, report};
    use super::*;
    use crate::model::Severity;

    #[test]
    fn commands_ask_the_same_file_at_the_same_time_of_the_same_cluster() {
        let (guid, leak) = (Foreign::from("6f1c2a9e0000"), line(110, Severity::Error, "10.0.0.9"));
        let mut view = report();
        let of_one = |view: &ReportView| who(&leak, &guid, view).map(|command| command.raw().to_owned());
        assert_eq!(of_one(&view).as_deref(), Some("ipaudit who 10.0.0.9"));
        let all = |view: &ReportView| see_all(Code(110), &guid, view).raw().to_owned();
        assert_eq!(all(&view), format!("ipaudit report --since {} --code IPA110 --all", at(0)));
        view.db = Some("--db 'a b'".to_owned());
        view.until = at(20);
        view.narrowed_by = vec!["--code IPA110".to_owned(), "--node n".to_owned()];
        view.clusters.push(ClusterReport::default());
        assert!(reads_live(&who(&leak, &guid, &report()).unwrap()) && !reads_live(&who(&leak, &guid, &view).unwrap()));
        let then = format!("--offline --at {}", at(20));
        assert_eq!(of_one(&view), Some(format!("ipaudit who {then} --cluster 6f1c2a9e0000 --db 'a b' 10.0.0.9")));
        let wanted = format!(
            "ipaudit report --since {} --until {} --node n --cluster 6f1c2a9e0000 --code IPA110 --all --db 'a b'",
            at(0),
            at(20)
        );
        assert_eq!(all(&view), wanted);
        let mut odd = leak.clone();
        odd.finding.subject = "-x\r".into();
        assert_eq!(who(&odd, &guid, &report()).unwrap().raw(), r#"ipaudit who -- "$(printf '\055x\r')""#);
        odd.finding.kind = SubjectKind::Pool.into();
        assert_eq!(who(&odd, &guid, &report()), None);
        assert_eq!(ask(&[&odd], 3, &guid, &report()), [see_all(Code(110), &guid, &report())]);
    }
}
