//! Rows in columns, for people.

/// Lays rows out under their heads. Columns are as wide as their widest cell; the last one is not padded.
pub(crate) fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = heads.map(|head| head.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let padded = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(heads.to_vec())];
    lines.extend(
        rows.iter()
            .map(|row| line(row.iter().map(String::as_str).collect())),
    );
    lines.join("\n")
}

/// A text that may come from anybody, cut short and without control characters: safe for a terminal.
pub(crate) fn plain(text: &str, most_chars: usize) -> String {
    let mut clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(most_chars + 1)
        .collect();
    if clean.chars().count() > most_chars {
        clean.pop();
        clean.push('…');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_without_spaces() {
        let rows = [
            ["a".to_owned(), "long one".to_owned()],
            ["bbb".to_owned(), String::new()],
        ];
        assert_eq!(table(["ID", "X"], &rows), "ID   X\na    long one\nbbb");
    }

    #[test]
    fn what_an_agent_says_cannot_move_the_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\nc", 20), "a [2Jb c");
        assert_eq!(plain("abcdef", 3), "abc…");
    }
}
