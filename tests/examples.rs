//! What lies in `examples/` to be tried is still what it is said to be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

/// The incident is the golden case, compressed: what the demo shows is what the golden test proves.
#[test]
fn the_incident_is_the_golden_case() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["etcd.jsonl", "cluster.json"] {
        let golden = std::fs::read(root.join("tests/golden/incident-2017").join(file)).unwrap();
        let zipped = std::fs::read(root.join("examples/incident-2017").join(format!("{file}.gz"))).unwrap();
        let mut example = Vec::new();
        GzDecoder::new(zipped.as_slice()).read_to_end(&mut example).unwrap();
        assert!(golden == example, "{file}: gzip -9nc tests/golden/incident-2017/{file} makes it anew");
    }
    let case = std::fs::read_to_string(root.join("tests/golden/incident-2017/case.json")).unwrap();
    let demo = std::fs::read_to_string(root.join("scripts/demo.sh")).unwrap();
    let now = demo.lines().find_map(|line| line.strip_prefix("now=")).unwrap().split(' ').next().unwrap();
    assert!(case.contains(&format!(r#""captured_at": "{now}""#)), "the demo judges as of {now}");
}

/// README shows the demo's audit as it is printed: what its snapshot says, and what a history adds.
#[test]
fn readme_shows_what_the_demo_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let shown = readme.split("<!-- step 2 of").nth(1).unwrap().split("<!-- end of step 2 -->").next().unwrap();
    let printed = std::fs::read_to_string(root.join("tests/snapshots/incident-2017.txt")).unwrap();
    let summary = printed.lines().rfind(|line| line.contains(" explained; ")).unwrap();
    let (counts, exit) = summary.split_once("  exit ").unwrap();
    let wanted = format!("{counts}  History: 8 new.  exit {exit}");
    assert!(shown.lines().any(|line| line == wanted), "README's step 2 does not end with: {wanted}");
    let findings = |text: &str| -> Vec<String> {
        let codes = text.lines().filter(|line| line.starts_with("IPA"));
        codes.map(|line| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!(findings(shown), findings(&printed));
}
