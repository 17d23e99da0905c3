//! The page one would rather look at: a matrix of rows and faults.

use std::fmt::Write as _;

use super::report::{Line, Report, Verdict};

const STYLE: &str = "body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:1200px;padding:0 1rem;\
background:#fbfbfa;color:#1c1e21}h1{font-size:1.5rem}h2{font-size:1.05rem;margin-top:2rem}\
table{border-collapse:collapse;width:100%}th,td{padding:.3rem .5rem;text-align:left;border-bottom:1px solid #e3e3df}\
th{position:sticky;top:0;background:#fbfbfa}td.n{text-align:right;font-variant-numeric:tabular-nums}\
.ok{background:#dff1e2}.bad{background:#f7d4d0;font-weight:600}.none{color:#8b8f94}\
.bar{display:flex;gap:1.5rem;flex-wrap:wrap;margin:1rem 0}.bar b{display:block;font-size:1.6rem}\
code{font-size:.92em}a{color:inherit}details summary{cursor:pointer}\
@media(prefers-color-scheme:dark){body,th{background:#17191c;color:#e6e6e3}.ok{background:#1f4029}\
.bad{background:#5a2320}th,td{border-color:#2c2f33}}";

/// The whole page.
pub(super) fn html(report: &Report) -> String {
    let totals = report.totals();
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>seams</title><style>{STYLE}</style><h1>The seam ledger</h1><div class=bar>"
    );
    for (key, label) in [
        ("rows", "rows"),
        ("exercised", "exercised"),
        ("deaf_killed", "deafness noticed"),
        ("mute_killed", "muteness noticed"),
        ("duplicate_safe", "safe when repeated"),
    ] {
        let _ = write!(page, "<div><b>{}</b>{label}</div>", totals[key]);
    }
    let holes = report.holes();
    let _ = write!(page, "<div><b>{}</b>holes</div></div>", holes.len());
    if !holes.is_empty() {
        page += "<h2>Holes</h2>";
        table(&mut page, holes.into_iter());
    }
    for (row, why) in &report.exceptions {
        let _ = write!(
            page,
            "<p>Exception: <code>{}</code>: {}</p>",
            escaped(row),
            escaped(why)
        );
    }
    let mut channels: Vec<&str> = report.rows.iter().map(|l| l.row.channel.name()).collect();
    channels.dedup();
    for channel in channels {
        let _ = write!(page, "<h2>{}</h2>", escaped(channel));
        table(
            &mut page,
            report
                .rows
                .iter()
                .filter(|l| l.row.channel.name() == channel),
        );
    }
    page + "</html>\n"
}

fn table<'a>(page: &mut String, lines: impl Iterator<Item = &'a Line>) {
    *page += "<table><tr><th>kind<th>from<th>to<th>vectors<th>tests<th>deaf<th>mute<th>twice<th>late</tr>";
    for line in lines {
        let (good, bad) = line.vectors;
        let _ = write!(
            page,
            "<tr id=\"{}\"><td><code>{}</code><td>{}<td>{}<td class=n>{good}/{bad}<td>{}",
            escaped(&line.row.id),
            escaped(&line.row.kind),
            line.row.producer.name(),
            line.row.consumer.name(),
            tests(&line.tests)
        );
        for verb in ["deaf", "mute", "twice", "late"] {
            cell(page, line, verb);
        }
    }
    *page += "</table>";
}

fn cell(page: &mut String, line: &Line, verb: &str) {
    let is_harmless = matches!(verb, "twice" | "late");
    let (class, text) = match (line.verdicts.get(verb), is_harmless) {
        (Some(Verdict::Noticed(test)), false) => ("ok", link(test, "noticed")),
        (Some(Verdict::Unnoticed), true) => ("ok", "safe".to_owned()),
        (Some(Verdict::Noticed(test)), true) => ("bad", link(test, "breaks")),
        (Some(Verdict::OnlyByCap(test)), _) => ("bad", link(test, "only by the cap")),
        (Some(Verdict::Unnoticed), false) => ("bad", "survives".to_owned()),
        (Some(Verdict::Unexercised), _) => ("bad", "no test".to_owned()),
        (None, _) => ("none", "–".to_owned()),
    };
    let _ = write!(page, "<td class={class}>{text}");
}

fn tests(tests: &[String]) -> String {
    if tests.is_empty() {
        return "<span class=none>none</span>".to_owned();
    }
    let items: String = tests
        .iter()
        .map(|t| format!("<li>{}</li>", link(t, t)))
        .collect();
    format!(
        "<details><summary>{}</summary><ul>{items}</ul></details>",
        tests.len()
    )
}

/// A link to the file of a test.
fn link(test: &str, text: &str) -> String {
    let mut parts = test.split("::");
    let (package, module) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let root = crate::root();
    let place = match package {
        "seamesh-tests" => root.join("tests/mesh").join(format!("{module}.rs")),
        "hub" => root.join("hub/tests/e2e").join(module),
        other => root
            .join("crates")
            .join(other.trim_start_matches("seamesh-"))
            .join("tests"),
    };
    format!(
        "<a href=\"{}\" title=\"{}\">{}</a>",
        escaped(&place.to_string_lossy()),
        escaped(test),
        escaped(text)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
