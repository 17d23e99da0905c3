//! Files under 700 lines, functions under 100.

use super::Finding;
use super::tree::{TextFile, Tree};

/// Longest file, in lines: what a reader can hold in mind.
const MAX_FILE: usize = 700;
/// Longest function, in lines: a flat table or a core's one `match` may reach it.
const MAX_FUNCTION: usize = 100;

/// Files and functions that are too long.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let files = tree
        .files
        .iter()
        .filter(|f| f.is_source(&["rs", "py", "ts", "tsx", "css"]));
    files
        .flat_map(|file| [file_length(file), function_length(file)].concat())
        .collect()
}

fn file_length(file: &TextFile) -> Vec<Finding> {
    let lines = file.text.lines().count();
    if lines <= MAX_FILE {
        return Vec::new();
    }
    let what =
        format!("{lines} lines, at most {MAX_FILE}: split it where a noun exists for the half");
    vec![Finding::new("file-length", &file.path, 0, what).amount(lines)]
}

/// Each function and its length: from its `fn` or `def` to the line that ends it at the same indentation.
fn function_length(file: &TextFile) -> Vec<Finding> {
    let lines: Vec<&str> = file.text.lines().collect();
    let end: fn(&[&str], usize) -> Option<usize> = match file.path.rsplit('.').next() {
        Some("rs") => rust_end,
        Some("py") => python_end,
        _ => return Vec::new(),
    };
    let mut findings = Vec::new();
    for start in 0..lines.len() {
        let Some(end) = end(&lines, start) else {
            continue;
        };
        let length = end - start + 1;
        if length > MAX_FUNCTION {
            let what =
                format!("a function of {length} lines, at most {MAX_FUNCTION}: name its parts");
            findings
                .push(Finding::new("function-length", &file.path, start + 1, what).amount(length));
        }
    }
    findings
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn rust_end(lines: &[&str], start: usize) -> Option<usize> {
    let text = lines[start].trim_start();
    let visible = text
        .strip_prefix("pub(crate) ")
        .or(text.strip_prefix("pub(super) "))
        .or(text.strip_prefix("pub "))
        .unwrap_or(text);
    let words = ["fn ", "async fn ", "const fn ", "unsafe fn "];
    if !words.iter().any(|w| visible.starts_with(w)) || text.ends_with(';') || text.ends_with('}') {
        return None;
    }
    let close = format!("{}}}", " ".repeat(indent(lines[start])));
    (start + 1..lines.len()).find(|&i| lines[i] == close)
}

fn python_end(lines: &[&str], start: usize) -> Option<usize> {
    let text = lines[start].trim_start();
    if !text.starts_with("def ") && !text.starts_with("async def ") {
        return None;
    }
    let own = indent(lines[start]);
    let after = |&i: &usize| {
        let line = lines[i].trim_start();
        !line.is_empty() && indent(lines[i]) <= own && !line.starts_with(')')
    };
    let next = (start + 1..lines.len()).find(after).unwrap_or(lines.len());
    (start..next).rev().find(|&i| !lines[i].trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(path: &str, text: &str) -> Vec<Finding> {
        check(&Tree::of(&[(path, text)]))
    }

    #[test]
    fn a_file_over_the_limit_is_found_with_its_length() {
        let found = check_one("crates/x/src/a.rs", &"// x\n".repeat(701));
        assert_eq!((found[0].rule, found[0].amount), ("file-length", Some(701)));
        assert!(check_one("crates/x/src/a.rs", &"// x\n".repeat(700)).is_empty());
    }

    #[test]
    fn a_long_function_is_found_where_it_begins() {
        let body = "        x();\n".repeat(100);
        let text = format!(
            "impl A {{\n    pub(crate) async fn long() {{\n{body}    }}\n\n    fn short() {{\n    }}\n}}\n"
        );
        let found = check_one("crates/x/src/a.rs", &text);
        assert_eq!(
            (found.len(), found[0].line, found[0].amount),
            (1, 2, Some(102))
        );
    }

    #[test]
    fn a_python_function_ends_where_its_indentation_does() {
        let body = "        x()\n".repeat(101);
        let text = format!(
            "class A:\n    def long(\n        self,\n    ) -> None:\n{body}\n    def short(self) -> None:\n        pass\n"
        );
        let found = check_one("python/src/seamesh/a.py", &text);
        assert_eq!(
            (found.len(), found[0].line, found[0].amount),
            (1, 2, Some(104))
        );
    }

    #[test]
    fn generated_files_may_be_long() {
        assert!(check_one("hub/src/generated/wire.ts", &"//\n".repeat(2000)).is_empty());
    }
}
