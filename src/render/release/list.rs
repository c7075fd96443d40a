//! The releases of the past, as the history has them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde_json::{Value, json};

use super::asked::AskedFor;
use crate::model::release::{ReleaseRow, StepOutcome};
use crate::model::{Foreign, SubjectKind};
use crate::render::table::counted;

/// What is said of a release that never said how it ended.
const OPEN: &str = "open";

/// The list as a table.
///
/// # Errors
/// As the writer's.
pub fn table(releases: &[ReleaseRow], asked: &BTreeMap<i64, AskedFor>, out: &mut dyn Write) -> io::Result<()> {
    if releases.is_empty() {
        return writeln!(out, "no release is recorded");
    }
    writeln!(out, "{:>6}  {:<20}  {:<8}  {:>12}  {:>8}  WHAT", "ID", "STARTED", "OUTCOME", "TRANSACTIONS", "SUBJECTS")?;
    for release in releases {
        let what = match (release.undoes, asked.get(&release.id)) {
            (Some(id), _) => Foreign::from(format!("undo of {id}")),
            (None, Some(asked)) => asked.says(subjects(release)),
            (None, None) => subjects(release),
        };
        let outcome = release.outcome.as_ref().map_or(OPEN.into(), |outcome| outcome.shown());
        let (id, started) = (release.id, release.started);
        let many = release.done().map(|step| step.intent.subjects.len()).sum::<usize>();
        writeln!(
            out,
            "{id:>6}  {started:<20}  {outcome:<8}  {:>12}  {many:>8}  {}",
            release.done().count(),
            what.shown()
        )?;
    }
    Ok(())
}

/// What it began to write: `10.65.247.4`, `4 addresses`; handles where there is no address.
fn subjects(release: &ReleaseRow) -> Foreign {
    let all = || release.steps.iter().flat_map(|step| &step.intent.subjects);
    let addresses = all().filter(|(kind, _)| *kind == SubjectKind::Address);
    let addresses: BTreeSet<&Foreign> = addresses.map(|(_, id)| id).collect();
    let handles: BTreeSet<&Foreign> = all().map(|(_, id)| id).collect();
    let (of, kind) =
        if addresses.is_empty() { (handles, SubjectKind::Handle) } else { (addresses, SubjectKind::Address) };
    match (of.len(), of.first()) {
        (0, _) | (_, None) => Foreign::default(),
        (1, Some(only)) => (*only).clone(),
        (many, _) => counted(many, kind).into(),
    }
}

/// The same for programs.
pub fn document(releases: &[ReleaseRow], asked: &BTreeMap<i64, AskedFor>) -> Value {
    let of = |release: &ReleaseRow| {
        let each = release.steps.iter().flat_map(|s| s.intent.subjects.iter().map(|subject| (subject, s.outcome)));
        let subject = |((kind, id), outcome): (&(_, Foreign), Option<StepOutcome>)| json!({"kind": kind, "id": id, "outcome": outcome});
        let named = |id| -> Vec<Value> {
            let named = asked.get(&id).map(|asked| asked.named.as_slice()).unwrap_or_default();
            named.iter().map(|(kind, id)| json!({"kind": kind, "id": id})).collect()
        };
        json!({
            "id": release.id,
            "undoes": release.undoes,
            "code": asked.get(&release.id).and_then(|asked| asked.code.as_ref()),
            "named": named(release.id),
            "started": release.started,
            "finished": release.finished,
            "outcome": release.outcome.as_ref().map_or(json!(OPEN), |outcome| json!(outcome)),
            "transactions": release.done().count(),
            "subjects": each.map(subject).collect::<Vec<_>>(),
        })
    };
    json!({"schema": "ipaudit/releases/v1", "releases": releases.iter().map(of).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::release::{Intent, StepRow};
    use crate::model::{Conclusion, Term, Time};

    fn past() -> Vec<ReleaseRow> {
        let of = |id: &str, outcome| {
            let subjects = vec![(SubjectKind::Address, id.into()), (SubjectKind::Handle, format!("h{id}").into())];
            StepRow { id: 1, intent: Intent { subjects, ..Intent::default() }, outcome }
        };
        let release = ReleaseRow {
            id: 7,
            pair: 1,
            undoes: None,
            started: Time(0),
            finished: Some(Time(1_000_000_000)),
            outcome: Some(Conclusion::Partly.into()),
            plan: Foreign::default(),
            steps: vec![of("a", Some(StepOutcome::NotApplied)), of("b\r", Some(StepOutcome::Applied)), of("c", None)],
            forked_since: false,
        };
        let undo = ReleaseRow { id: 8, undoes: Some(7), outcome: None, finished: None, ..release.clone() };
        vec![release, undo]
    }

    fn text(releases: &[ReleaseRow]) -> String {
        let mut out = Vec::new();
        table(releases, &BTreeMap::new(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_recorded_is_said() {
        assert_eq!(text(&[]), "no release is recorded\n");
        assert_eq!(document(&[], &BTreeMap::new())["releases"], json!([]));
    }

    #[test]
    fn the_table_counts_what_was_done_and_names_the_first_subject() {
        let text = text(&past());
        let rows: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["ID", "STARTED", "OUTCOME", "TRANSACTIONS", "SUBJECTS", "WHAT"]);
        assert_eq!(rows[1], ["7", "1970-01-01T00:00:00Z", "partly", "1", "2", "3", "addresses"]);
        assert_eq!(rows[2][2..], ["open", "1", "2", "undo", "of", "7"]);
    }

    #[test]
    fn foreign_names_are_escaped_in_the_table_and_whole_in_the_document() {
        let mut releases = past();
        releases[0].steps.remove(0);
        releases[0].steps.truncate(1);
        assert!(text(&releases).contains("b\\r") && !text(&releases).contains('\r'));
        assert_eq!(document(&releases, &BTreeMap::new())["releases"][0]["subjects"][0]["id"], "b\r");
    }

    #[test]
    fn the_outcome_in_the_word_of_a_newer_ipaudit_is_foreign_text_too() {
        let mut releases = past();
        releases[0].outcome = Some(Term::of("half\u{1b}[2J"));
        assert!(text(&releases).contains("  half\\x1b[2J  ") && !text(&releases).contains('\u{1b}'));
        assert_eq!(document(&releases, &BTreeMap::new())["releases"][0]["outcome"], "half\u{1b}[2J");
    }

    #[test]
    fn the_document_has_every_subject_with_its_outcome() {
        let document = document(&past(), &BTreeMap::new());
        assert_eq!(document["schema"], "ipaudit/releases/v1");
        let (first, undo) = (&document["releases"][0], &document["releases"][1]);
        assert_eq!((&first["transactions"], &first["outcome"]), (&json!(1), &json!("partly")));
        assert_eq!(first["subjects"][1], json!({"kind": "handle", "id": "ha", "outcome": "not applied"}));
        assert_eq!(first["subjects"][4]["outcome"], Value::Null);
        assert_eq!((&undo["undoes"], &undo["outcome"], &undo["finished"]), (&json!(7), &json!("open"), &Value::Null));
    }

    #[test]
    fn what_was_asked_for_stands_in_both() {
        let asked = |asked: &str| BTreeMap::from([(7, AskedFor::of(asked))]);
        let rows = |asked: &BTreeMap<i64, AskedFor>, releases: &[ReleaseRow]| {
            let mut out = Vec::new();
            table(releases, asked, &mut out).unwrap();
            String::from_utf8(out).unwrap().lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        let code = asked(r#"{"code":"IPA110","older_than_seconds":3600}"#);
        let lines = rows(&code, &past());
        assert!(lines[0].ends_with("  all IPA110 older than 1h"), "{lines:?}");
        assert!(lines[1].ends_with("  undo of 7"), "{lines:?}");
        let both = document(&past(), &code);
        assert_eq!((&both["releases"][0]["code"], &both["releases"][1]["code"]), (&json!("IPA110"), &Value::Null));
        let plan = asked(r#"{"code":null,"plan":"9f","handles":["h"]}"#);
        assert!(rows(&plan, &past())[0].ends_with("  3 addresses, by plan"));
        assert_eq!(document(&past(), &plan)["releases"][0]["code"], Value::Null);
        // Stopped before its first write.
        let mut stopped = past();
        stopped[0].steps.clear();
        let lines = rows(&plan, &stopped);
        assert!(lines[0].ends_with("  0         0  h, by plan"), "{lines:?}");
        let named = &document(&stopped, &plan)["releases"][0]["named"];
        assert_eq!(*named, json!([{"kind": "handle", "id": "h"}]));
    }
}
