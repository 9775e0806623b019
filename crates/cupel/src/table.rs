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

/// What stands in a table of its own where there are tests: each configuration against the baseline.
const DIFFERENCES: [&str; 8] = [
    "difference",
    "noise_floor",
    "pairs",
    "difference_low",
    "difference_high",
    "p_value",
    "p_holm",
    "p_wilcoxon",
];

/// A comparison, what its losses are to be measured against, and what its keys do.
pub fn comparison(comparison: &Comparison) -> String {
    let configurations = &comparison.configurations;
    // The keys stand in front of the device.
    let keys = configurations.column("device").unwrap_or_default();
    let tested = configurations
        .column("p_value")
        .is_some_and(|column| configurations.rows.iter().any(|row| !row[column].is_empty()));
    let mut text = shown(configurations, |_, name| !tested || !DIFFERENCES.contains(&name));
    if let Some(entropy) = comparison.unigram_entropy {
        text += &format!(
            "\nval_loss in nats per token; knowing only the tokens' frequencies is worth {entropy:.4}"
        );
    }
    if tested {
        text += "\n\n";
        text += &shown(configurations, |column, name| {
            column <= keys || DIFFERENCES.contains(&name)
        });
    }
    if !comparison.effects.rows.is_empty() {
        text += &format!("\n\n{}", effects(&comparison.effects));
    }
    with_notes(text, &comparison.notes)
}

/// What is under a table, a line each.
pub fn with_notes(table: String, notes: &[String]) -> String {
    notes.iter().fold(table, |text, note| text + "\n" + note)
}

/// A table as a person reads it: all of its columns that say anything.
pub fn whole(table: &sweep::Table) -> String {
    shown(table, |_, _| true)
}

/// The effects, each in a row; then the levels of single keys. What two keys do level by level is in `effects.csv`.
fn effects(effects: &sweep::Table) -> String {
    let column = |name| effects.column(name).unwrap_or_default();
    let (effect, level) = (column("effect"), column("level"));
    let mut of_each = effects.clone();
    of_each.rows.dedup_by_key(|row| row[effect].clone());
    let mut of_levels = effects.clone();
    of_levels
        .rows
        .retain(|row| !row[level].is_empty() && !row[effect].contains('×'));
    let about_levels = ["level", "mean", "deviation"];
    let each = shown(&of_each, |_, name| !about_levels.contains(&name));
    let levels = shown(&of_levels, |_, name| {
        name == "effect" || about_levels.contains(&name)
    });
    format!("{each}\n\n{levels}")
}

/// Some columns of a table, without those that are empty or zero all the way down, or hold tables.
fn shown(all: &sweep::Table, choose: impl Fn(usize, &str) -> bool) -> String {
    let columns: Vec<usize> = (0..all.columns.len())
        .filter(|&column| {
            let name = all.columns[column].as_str();
            let count = [
                "diverged",
                "failed",
                "pending",
                "pairs",
                "diverged_a",
                "diverged_b",
            ]
            .contains(&name);
            let blank = |cell: &String| cell.is_empty() || (count && cell == "0");
            // Tables and lists, such as parameter groups, are too long to read here.
            let long = |cell: &String| cell.starts_with(['[', '{']);
            let mut cells = all.rows.iter().map(|row| &row[column]);
            choose(column, name) && cells.clone().any(|cell| !blank(cell)) && !cells.any(long)
        })
        .collect();
    // A key's last part is enough where no other key ends in it.
    let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    let header: Vec<String> = columns
        .iter()
        .map(|&column| {
            let name = &all.columns[column];
            let same = all
                .columns
                .iter()
                .filter(|other| last(other) == last(name))
                .count();
            if same > 1 { name.clone() } else { last(name) }
        })
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let cell = |row: &[String], column: usize| rounded(&all.columns[column], &row[column]);
    let rows: Vec<Vec<String>> = all
        .rows
        .iter()
        .map(|row| columns.iter().map(|&column| cell(row, column)).collect())
        .collect();
    table(&header, &rows).to_string()
}

/// Losses with four digits behind the point; what the recipe says, as it says it.
fn rounded(column: &str, cell: &str) -> String {
    let Ok(number) = cell.parse::<f64>() else {
        return cell.to_owned();
    };
    match column {
        "difference" | "difference_low" | "difference_high" | "deviation" => format!("{number:+.4}"),
        "p_value" | "p_holm" | "p_wilcoxon" if number < 5e-5 => "< 0.0001".to_owned(),
        "val_loss" | "val_loss_sd" | "val_loss_se" | "val_loss_low" | "val_loss_high" | "bootstrap_low"
        | "bootstrap_high" | "val_loss_a" | "val_loss_b" | "noise_floor" | "mean" | "p_value" | "p_holm"
        | "p_wilcoxon" => format!("{number:.4}"),
        "perplexity" | "f" => format!("{number:.2}"),
        "share" => format!("{:.1}%", 100.0 * number),
        "score" => format!("{number:.3}"),
        "steps_to_target" | "tokens_to_target" => number.to_string(),
        "seconds_to_target" => format!("{number:.1}"),
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
