//! However many there are, and whatever others wrote.

use proptest::prelude::*;

use super::*;
use crate::model::escape::is_hidden;

#[test]
fn a_hundred_thousand_findings_are_a_few_lines_and_take_a_moment() {
    let mut findings: Vec<Finding> = (0..100_000).map(|i| leak(i, "node-1", 1)).collect();
    for (finding, i) in findings.iter_mut().zip(0u64..) {
        finding.node = Some(format!("node-{}", i % 5_000).into());
        if i % 2 == 0 {
            finding.root = Some(Root { code: Code(110), id: "10.65.3.8".into() });
        }
    }
    let started = std::time::Instant::now();
    let text = told(&view(&FindingKeeper::all(findings.clone()), &[]), Options::default());
    assert!(text.lines().count() < 20, "{text}");
    assert!(text.contains("50,000 addresses on 2,500 nodes") && text.contains("+50,000 findings"), "{text}");
    // Linear work takes some 0.1 s in a debug build; anything quadratic takes minutes.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

/// Every place where somebody else's text can stand.
fn foreign(name: &str, number: usize) -> Vec<Finding> {
    (0..number)
        .map(|i| {
            let mut finding = Finding::new(
                Code(if i % 2 == 0 { 101 } else { 503 }),
                Severity::Error,
                Subject::new(SubjectKind::Handle, format!("{name}{i}")),
                name,
            );
            finding.advice = format!("look at {name}").into();
            finding.next = vec![format!("ipaudit who {name}").into(), name.into()];
            finding.node = Some(name.into());
            let endpoint = Evidence::new().with("node", name).with("endpoint", name).with("addresses", vec![name]);
            finding.evidence = Evidence::new()
                .with("keep", name)
                .with("restart", vec![name, name])
                .with("endpoints", vec![endpoint])
                .with("reason", format!("{name}{i}"));
            finding
        })
        .collect()
}

proptest! {
    #[test]
    fn no_name_reaches_the_terminal_raw(name in "\\PC*|.*|[\u{0}-\u{9f}\u{200b}-\u{206f}]{0,20}", number in 1usize..12) {
        let mut findings = foreign(&name, number);
        findings.sort_by_key(|f| f.code);
        let skipped = [Skipped { code: Code(110), reason: format!("pods: {name}").into(), incomplete: true }];
        let kept = FindingKeeper::all(findings.clone());
        let mut view = view(&kept, &skipped);
        view.cluster.name = Some(name.as_str().into());
        view.cluster.calico_version = Some(name.as_str().into());
        view.pools[0].name = name.as_str().into();
        view.cluster.guid = name.as_str().into();
        view.unlooked = Some(FailedLook { why: name.as_str().into(), hint: name.as_str().into() });
        view.pools[0].cidr = name.clone();
        view.narrow.node = Some(name.clone());
        for input in &mut view.inputs {
            (input.state, input.detail) = (InputState::Partial, name.as_str().into());
            input.hint = name.as_str().into();
        }
        let mut out = Vec::new();
        crate::render::json::write_lines(&view, &mut out).unwrap();
        let lines = String::from_utf8(out).unwrap();
        prop_assert!(!lines.chars().any(|c| is_hidden(c) && c != '\n'), "{lines:?}");
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        prop_assert_eq!(first["advice"].as_str(), Some(findings[0].advice.raw()));
        for (all, quiet) in [(false, false), (true, false), (false, true)] {
            let text = told(&view, Options { all, quiet, ..Options::default() });
            let raw = text.chars().find(|c| is_hidden(*c) && *c != '\n');
            prop_assert!(raw.is_none(), "{raw:?} in {text:?}");
            // Colour adds its own sequences and nothing else.
            let colored = told(&view, Options { color: true, all, quiet, ..Options::default() });
            let mut plain = String::new();
            let mut rest = colored.as_str();
            while let Some((before, after)) = rest.split_once('\u{1b}') {
                plain.push_str(before);
                rest = after.split_once('m').map_or("", |(_, rest)| rest);
            }
            prop_assert_eq!(plain + rest, text);
        }
    }
}
