//! The file that both SDKs read and write.

use std::path::Path;

use seamesh_testkit::Cassette;

#[test]
fn a_cassette_is_written_as_it_was_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reader.json");
    let cassette = Cassette::load(&path).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy.json");
    cassette.save(&copy).unwrap();
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert_eq!(text(&copy), text(&path));
    let skills: Vec<_> = cassette
        .answers("reader")
        .unwrap()
        .into_iter()
        .map(|(skill, _)| skill)
        .collect();
    assert_eq!(skills, ["close", "read"]);
}

#[test]
fn what_is_no_cassette_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.json");
    for (text, why) in [
        ("{", "no cassette"),
        (r#"{"version": 2, "calls": []}"#, "version 2"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = format!("{:#}", Cassette::load(&path).unwrap_err());
        assert!(
            error.contains(why) && error.contains("record it anew"),
            "{error}"
        );
    }
    let nobody = Cassette::default().answers("reader");
    assert!(nobody.is_err());
}
