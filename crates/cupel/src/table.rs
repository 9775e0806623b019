use comfy_table::{ContentArrangement, Table, presets};
use sweep::Comparison;

/// A table for a person: a header, and a row for each of `rows`.
pub fn table<R>(header: &[&str], rows: &[R]) -> Table
where
    R: AsRef<[String]>,
{
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    for row in rows {
        table.add_row(row.as_ref());
    }
    table
}

/// A comparison, its columns that are empty or zero all the way down, or hold tables, left out, and what its losses are to be measured
/// against.
pub fn comparison(comparison: &Comparison) -> String {
    let shown: Vec<usize> = (0..comparison.columns.len())
        .filter(|&column| {
            let count = ["diverged", "failed", "pending"].contains(&comparison.columns[column].as_str());
            let blank = |cell: &String| cell.is_empty() || (count && cell == "0");
            // Tables and lists, such as parameter groups, are too long to read here.
            let long = |cell: &String| cell.starts_with(['[', '{']);
            let mut cells = comparison.rows.iter().map(|row| &row[column]);
            cells.clone().any(|cell| !blank(cell)) && !cells.any(long)
        })
        .collect();
    // A key's last part is enough where no other key ends in it.
    let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    let header: Vec<String> = shown
        .iter()
        .map(|&column| {
            let name = &comparison.columns[column];
            let same = comparison
                .columns
                .iter()
                .filter(|other| last(other) == last(name))
                .count();
            if same > 1 { name.clone() } else { last(name) }
        })
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = comparison
        .rows
        .iter()
        .map(|row| {
            shown
                .iter()
                .map(|&column| rounded(&comparison.columns[column], &row[column]))
                .collect()
        })
        .collect();
    let mut text = table(&header, &rows).to_string();
    if let Some(entropy) = comparison.unigram_entropy {
        text += &format!(
            "\nval_loss in nats per token; knowing only the tokens' frequencies is worth {entropy:.4}"
        );
    }
    text
}

/// Losses with four digits behind the point; what the recipe says, as it says it.
fn rounded(column: &str, cell: &str) -> String {
    match (column, cell.parse::<f64>()) {
        ("difference", Ok(number)) => format!("{number:+.4}"),
        ("val_loss" | "val_loss_sd", Ok(number)) => format!("{number:.4}"),
        ("perplexity", Ok(number)) => format!("{number:.2}"),
        _ => cell.to_owned(),
    }
}

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (524_288, "524,288"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(thousands(number), text);
        }
    }
}
