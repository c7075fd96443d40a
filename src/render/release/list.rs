//! The releases of the past, as the history has them.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::model::escape::escape;
use crate::model::{SubjectKind, Time};

/// One release or undo of the past.
#[derive(Clone, Debug)]
pub struct PastRelease {
    pub id: i64,
    pub undoes: Option<i64>,
    pub started: Time,
    pub finished: Option<Time>,
    /// The history's word; `None`: it never said how it ended.
    pub outcome: Option<String>,
    pub transactions: Vec<PastTransaction>,
}

/// One of its transactions.
#[derive(Clone, Debug)]
pub struct PastTransaction {
    pub subjects: Vec<(SubjectKind, String)>,
    /// The history's word; `None`: nobody knows yet.
    pub outcome: Option<&'static str>,
    pub is_done: bool,
}

impl PastRelease {
    fn outcome(&self) -> &str {
        self.outcome.as_deref().unwrap_or("open")
    }

    fn done(&self) -> impl Iterator<Item = &PastTransaction> {
        self.transactions.iter().filter(|t| t.is_done)
    }
}

/// The list as a table.
///
/// # Errors
/// As the writer's.
pub fn table(releases: &[PastRelease], out: &mut dyn Write) -> io::Result<()> {
    if releases.is_empty() {
        return writeln!(out, "no release is recorded");
    }
    writeln!(out, "{:>6}  {:<30}  {:<8}  {:>12}  {:>8}  WHAT", "ID", "STARTED", "OUTCOME", "TRANSACTIONS", "SUBJECTS")?;
    for release in releases {
        let first = release.transactions.iter().flat_map(|t| &t.subjects).map(|(_, subject)| subject.as_str()).next();
        let what = match release.undoes {
            Some(id) => format!("undo of {id}"),
            None => first.unwrap_or_default().to_owned(),
        };
        let (id, started, outcome) = (release.id, release.started.to_rfc3339(), release.outcome());
        let (done, many) = (release.done().count(), release.done().map(|t| t.subjects.len()).sum::<usize>());
        writeln!(out, "{id:>6}  {started:<30}  {outcome:<8}  {done:>12}  {many:>8}  {}", escape(&what))?;
    }
    Ok(())
}

/// The same for programs.
pub fn document(releases: &[PastRelease]) -> Value {
    let of = |release: &PastRelease| {
        let each = release.transactions.iter().flat_map(|t| t.subjects.iter().map(|subject| (subject, t.outcome)));
        let of = |((kind, id), outcome): (&(SubjectKind, String), _)| json!({"kind": kind.word(), "id": id, "outcome": outcome});
        json!({
            "id": release.id,
            "undoes": release.undoes,
            "started": release.started,
            "finished": release.finished,
            "outcome": release.outcome(),
            "transactions": release.done().count(),
            "subjects": each.map(of).collect::<Vec<_>>(),
        })
    };
    json!({"schema": "ipaudit/releases/v1", "releases": releases.iter().map(of).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past() -> Vec<PastRelease> {
        let of = |id: &str, outcome, is_done| PastTransaction {
            subjects: vec![(SubjectKind::Address, id.to_owned()), (SubjectKind::Handle, format!("h{id}"))],
            outcome,
            is_done,
        };
        let release = PastRelease {
            id: 7,
            undoes: None,
            started: Time(0),
            finished: Some(Time(1_000_000_000)),
            outcome: Some("partly".to_owned()),
            transactions: vec![
                of("a", Some("not applied"), false),
                of("b\r", Some("applied"), true),
                of("c", None, false),
            ],
        };
        let undo = PastRelease { id: 8, undoes: Some(7), outcome: None, finished: None, ..release.clone() };
        vec![release, undo]
    }

    fn text(releases: &[PastRelease]) -> String {
        let mut out = Vec::new();
        table(releases, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_recorded_is_said() {
        assert_eq!(text(&[]), "no release is recorded\n");
        assert_eq!(document(&[])["releases"], json!([]));
    }

    #[test]
    fn the_table_counts_what_was_done_and_names_the_first_subject() {
        let text = text(&past());
        let rows: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["ID", "STARTED", "OUTCOME", "TRANSACTIONS", "SUBJECTS", "WHAT"]);
        assert_eq!(rows[1], ["7", "1970-01-01T00:00:00Z", "partly", "1", "2", "a"]);
        assert_eq!(rows[2][2..], ["open", "1", "2", "undo", "of", "7"]);
    }

    #[test]
    fn foreign_names_are_escaped_in_the_table_and_whole_in_the_document() {
        let mut releases = past();
        releases[0].transactions.remove(0);
        assert!(text(&releases).contains("b\\r") && !text(&releases).contains('\r'));
        assert_eq!(document(&releases)["releases"][0]["subjects"][0]["id"], "b\r");
    }

    #[test]
    fn the_document_has_every_subject_with_its_outcome() {
        let document = document(&past());
        assert_eq!(document["schema"], "ipaudit/releases/v1");
        let (first, undo) = (&document["releases"][0], &document["releases"][1]);
        assert_eq!((&first["transactions"], &first["outcome"]), (&json!(1), &json!("partly")));
        assert_eq!(first["subjects"][1], json!({"kind": "handle", "id": "ha", "outcome": "not applied"}));
        assert_eq!(first["subjects"][4]["outcome"], Value::Null);
        assert_eq!((&undo["undoes"], &undo["outcome"], &undo["finished"]), (&json!(7), &json!("open"), &Value::Null));
    }
}
