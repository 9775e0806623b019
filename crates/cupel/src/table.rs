use comfy_table::{ContentArrangement, Table, presets};

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
