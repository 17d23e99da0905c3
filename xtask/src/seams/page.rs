//! The page one would rather look at: a matrix of rows and faults.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::faults::{HARMFUL, HARMLESS};
use super::report::{Line, Report, Verdict};

const STYLE: &str = include_str!("page.css");

/// What each fault is, for whoever meets the page first.
const MEANING: [(&str, &str); 7] = [
    (
        "deaf",
        "the consumer reads the message and does nothing: a test must fail",
    ),
    ("mute", "the producer does not send it: a test must fail"),
    ("twice", "the consumer gets it twice: every test must pass"),
    (
        "late",
        "the consumer stops for 60 ms before it: every test must pass",
    ),
    (
        "reorder",
        "its connection waits for 60 ms, others go on: every test must pass",
    ),
    (
        "reconnect",
        "its connection ends right after it: every test must pass",
    ),
    (
        "restart",
        "a test passes in which an end of it was killed and started again",
    ),
];

/// The whole page.
pub(super) fn html(report: &Report) -> String {
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>The seam ledger</title><style>{STYLE}</style><h1>The seam ledger</h1>\
         <p class=lead>Everything that two processes of the mesh say to each other, and what happens to the tests when \
         either end is broken on purpose. Measured in {:.0} s, with {:.0} s of processor time.</p>",
        report.seconds.0, report.seconds.1
    );
    totals(&mut page, report);
    overview(&mut page, report);
    let holes = report.holes();
    if !holes.is_empty() {
        page += "<h2 class=holes>Holes</h2>";
        table(&mut page, holes.into_iter(), "hole-");
    }
    for (row, why) in &report.exceptions {
        let (row, why) = (escaped(row), escaped(why));
        let _ = write!(page, "<p>Exception: <code>{row}</code>: {why}</p>");
    }
    for channel in channels(report) {
        let _ = write!(page, "<h2>{}</h2>", escaped(channel));
        let lines = report.rows.iter();
        table(
            &mut page,
            lines.filter(|l| l.row.channel.name() == channel),
            "",
        );
    }
    page += "<h2>What was planted</h2><dl>";
    for (verb, meaning) in MEANING {
        let _ = write!(page, "<dt>{verb}<dd>{meaning}");
    }
    page + "</dl></html>\n"
}

fn channels(report: &Report) -> Vec<&'static str> {
    let mut channels: Vec<_> = report.rows.iter().map(|l| l.row.channel.name()).collect();
    channels.dedup();
    channels
}

/// A card for each total, with a bar of how much of what is possible it is.
fn totals(page: &mut String, report: &Report) {
    let totals = report.totals();
    let number = |key: &str| totals[key].as_u64().unwrap_or_default();
    let (rows, holes) = (report.rows.len(), report.holes().len());
    let planted = |verb: &str| {
        let lines = report.rows.iter();
        lines.filter(|l| l.is_safe(verb).is_some()).count()
    };
    *page += "<div class=cards>";
    for (key, label, of) in [
        ("exercised", "exercised", rows),
        ("deaf_killed", "deafness noticed", rows),
        ("mute_killed", "muteness noticed", rows),
        ("duplicate_safe", "safe when repeated", planted("twice")),
        ("delay_safe", "safe when late", planted("late")),
        ("reorder_safe", "safe out of order", planted("reorder")),
        (
            "reconnect_safe",
            "safe over a reconnect",
            planted("reconnect"),
        ),
        ("restart_safe", "seen over a restart", rows),
    ] {
        let (is, of) = (number(key), of as u64);
        let share = (is * 100).checked_div(of).unwrap_or(0);
        let class = if is == of { "full" } else { "part" };
        let _ = write!(
            page,
            "<div class={class}><b>{is}<small> of {of}</small></b>{label}<i style=\"--share:{share}%\"></i></div>"
        );
    }
    let class = if holes == 0 { "full" } else { "open" };
    let _ = write!(
        page,
        "<div class={class}><b>{holes}</b>holes<i style=\"--share:100%\"></i></div></div>"
    );
}

/// One square for each row, by channel and by who says it to whom.
fn overview(page: &mut String, report: &Report) {
    let holes: Vec<&str> = report.holes().iter().map(|l| l.row.id.as_str()).collect();
    *page += "<div class=map>";
    for channel in channels(report) {
        let _ = write!(page, "<section><h3>{}</h3>", escaped(channel));
        let lines = report.rows.iter();
        let mut by_ends: BTreeMap<String, Vec<&Line>> = BTreeMap::new();
        for line in lines.filter(|l| l.row.channel.name() == channel) {
            let (from, to) = (line.row.producer.name(), line.row.consumer.name());
            by_ends
                .entry(format!("{from} → {to}"))
                .or_default()
                .push(line);
        }
        for (ends, lines) in by_ends {
            let _ = write!(page, "<p><span>{}</span>", escaped(&ends));
            for line in lines {
                let id = escaped(&line.row.id);
                let class = match holes.contains(&line.row.id.as_str()) {
                    true => "bad",
                    false => "ok",
                };
                let kind = escaped(&line.row.kind);
                let _ = write!(
                    page,
                    "<a class={class} href=\"#{id}\" title=\"{kind}\"></a>"
                );
            }
            *page += "</p>";
        }
        *page += "</section>";
    }
    *page += "</div>";
}

fn table<'a>(page: &mut String, lines: impl Iterator<Item = &'a Line>, prefix: &str) {
    *page += "<table><tr><th>kind<th>from<th>to<th>vectors<th>tests";
    for verb in HARMFUL.iter().chain(&HARMLESS) {
        let _ = write!(page, "<th>{verb}");
    }
    *page += "</tr>";
    for line in lines {
        let (good, bad) = line.vectors;
        let _ = write!(
            page,
            "<tr id=\"{prefix}{}\"><td><code>{}</code><td>{}<td>{}<td class=n>{good}/{bad}<td>{}",
            escaped(&line.row.id),
            escaped(&line.row.kind),
            line.row.producer.name(),
            line.row.consumer.name(),
            tests(&line.tests)
        );
        for verb in HARMFUL {
            cell(page, line, verb, false);
        }
        for verb in HARMLESS {
            cell(page, line, verb, true);
        }
    }
    *page += "</table>";
}

fn cell(page: &mut String, line: &Line, verb: &str, is_harmless: bool) {
    let (class, text) = match (line.verdicts.get(verb), is_harmless) {
        (Some(Verdict::Noticed(test)), false) => ("ok", link(test, "noticed")),
        (Some(Verdict::Unnoticed), true) => ("ok", "safe".to_owned()),
        (Some(Verdict::Noticed(test)), true) => ("bad", link(test, "breaks")),
        (Some(Verdict::OnlyByCap(test)), _) => ("bad", link(test, "only by the cap")),
        (Some(Verdict::Unsteady(test)), _) => ("bad", link(test, "unsteady test")),
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
