//! Columns that line up, for lists printed to stdout.

/// Lines of `rows` under `header`, each column as wide as its widest cell, three spaces apart.
pub fn render<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = header.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = line(&header.map(str::to_owned), &widths);
    for row in rows {
        text.push_str(&line(row, &widths));
    }
    text
}

fn line<const N: usize>(cells: &[String; N], widths: &[usize; N]) -> String {
    let padded: Vec<String> =
        cells.iter().zip(widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
    format!("{}\n", padded.join("   ").trim_end())
}

/// Columns as Helm prints them: each as wide as its widest cell and at most `max`, tabs between, no line end at the end.
pub fn tabbed<const N: usize>(rows: &[[String; N]], max: usize) -> String {
    let cut = |cell: &String| match cell.chars().count() > max {
        true => cell.chars().take(max.saturating_sub(3)).chain("...".chars()).collect(),
        false => cell.clone(),
    };
    let rows: Vec<[String; N]> =
        rows.iter().map(|row| std::array::from_fn(|column| cut(&row[column]))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("\t")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_without_spaces() {
        let rows = [["a".into(), "1".into()], ["longer".into(), "2".into()]];
        assert_eq!(render(["NAME", "N"], &rows), "NAME     N\na        1\nlonger   2\n");
    }
}
