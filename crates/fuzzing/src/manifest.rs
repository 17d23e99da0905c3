//! `agent.yaml` and the `AGENT.md` beside it.

use std::path::Path;

use seamesh_manifest::{BadManifest, Manifest, Weight};

/// A zero byte parts the manifest from the text about the agent.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (manifest, about) = text.split_once('\0').unwrap_or((text, ""));
    // A directory that is not there: no file decides what is found.
    let path = Path::new("/nonexistent/seamesh/agent.yaml");
    let findings = match Manifest::<String>::parse(manifest, about, path) {
        Ok(good) => {
            assert!(good.data_dir.is_absolute(), "{:?}", good.data_dir);
            assert!(!good.run.is_empty(), "an agent is started somehow");
            assert!(good.findings.iter().all(|f| f.weight == Weight::Warning));
            good.findings
        }
        Err(error) => {
            let bad = error.downcast::<BadManifest>().expect("says what is wrong");
            assert!(bad.findings.iter().any(|f| f.weight == Weight::Error));
            bad.findings
        }
    };
    // Each of the two ends a line of YAML, and the end of the text is a line of its own.
    let lines = manifest.matches(['\n', '\r']).count() as u64 + 2;
    for finding in findings {
        assert!(finding.line >= 1 && finding.column >= 1, "{finding:?}");
        assert!(finding.line <= lines, "{finding:?} of {lines} lines");
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let seeds = [
        "",
        "name: greeter\ndescription: Greets.\nregistry: https://mesh.example/\nsidecar: {api_key: k, socket: /run/s}\n\
         skills: {builtin: [delegate, find_agent], dirs: [c], disabled: [find_agent]}\ncallers: {greet: [ada, bob]}\n\
         data_dir: d\nrun: [node, agent.js]\n",
        "skills: [delegate]\nrun: [a]\0# X\n\nGreets people,\nall of them.\n\nMore.",
        "name: two words\nregistry: mesh:8080\nmax_turns: many\nskills:\n  builtin: [delegat]\n  dirs: [nowhere]\n\
         callers:\n  greet: [\"a b\"]\nprovider: acme\ndata_dir: 7\n",
        "name: a\nmodel: [b\nrun: c",
        "a: &a [x, x]\nb: [*a, *a]\n<<: {c: !!str 1}\nrun: [a]\n",
        "description: |\n  many\n  lines\nrun: [\"\\u00e9\", 'x', 0x1f, ~, 1e3, 2001-12-14]\n",
    ];
    seeds
        .into_iter()
        .map(|text| text.as_bytes().to_vec())
        .collect()
}
