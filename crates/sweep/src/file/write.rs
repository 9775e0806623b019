use serde::Serialize;
use toml::{Table, Value};
use training::config::Node;

use crate::{
    Method, SweepFile,
    space::{Range, Scale, Space, Values, ZIP},
};

#[derive(Serialize)]
struct MethodTable<'a> {
    method: &'a Method,
}

impl SweepFile {
    /// The sweep as a file that stands alone: the base written out, the assignments in it.
    pub fn to_toml(&self) -> String {
        let mut table = Table::new();
        table.insert("name".to_owned(), Value::String(self.name.clone()));
        if !self.seeds.is_empty() {
            table.insert("seeds".to_owned(), list(&self.seeds));
        }
        if !self.skip.is_empty() {
            let conditions = self.skip.iter().map(|skip| Value::String(skip.text.clone()));
            table.insert("skip".to_owned(), Value::Array(conditions.collect()));
        }
        table.insert("base".to_owned(), self.base.to_value());
        let mut text = toml::to_string(&table).unwrap_or_default();
        if !matches!(self.method, Method::Grid | Method::List) {
            let method = MethodTable { method: &self.method };
            text += &format!("\n{}", toml::to_string(&method).unwrap_or_default());
        }
        // The order of axes is the order of trials, and that of derived keys the order of computing; a table would sort
        // them.
        if !self.derived.is_empty() {
            text += "\n[derive]\n";
            for (key, expression) in &self.derived {
                text += &format!("{key} = {}\n", Value::String(expression.text.clone()));
            }
        }
        let header = match (&self.method, self.spaces.len()) {
            (Method::List, _) => "[[trials]]",
            (_, 1) => "[axes]",
            _ => "[[axes]]",
        };
        for space in &self.spaces {
            text += &format!("\n{header}\n{}", lines(space, &self.method));
        }
        text
    }
}

/// A line for each axis, and one for those that move together, which stand side by side.
fn lines(space: &Space, method: &Method) -> String {
    let (mut before, mut zips, mut after) = (String::new(), Vec::new(), String::new());
    for axis in &space.axes {
        let line = match (&axis.values, &axis.keys[..]) {
            (Values::Range(range), keys) => format!("{} = {}\n", keys.join("."), written(range)),
            (Values::Listed(rows), [key]) => {
                let values = rows.iter().flatten();
                let value = match method {
                    Method::List => values.map(Node::to_value).next().unwrap_or(list([])),
                    _ => list(values),
                };
                format!("{key} = {value}\n")
            }
            (Values::Listed(rows), keys) => {
                let column = |(i, key): (usize, &String)| {
                    format!("{key} = {}", list(rows.iter().filter_map(|row| row.get(i))))
                };
                let columns: Vec<String> = keys.iter().enumerate().map(column).collect();
                zips.push(format!("{{ {} }}", columns.join(", ")));
                continue;
            }
        };
        let part = if zips.is_empty() { &mut before } else { &mut after };
        part.push_str(&line);
    }
    match zips.is_empty() {
        true => before,
        false => format!("{before}{ZIP} = [{}]\n{after}", zips.join(", ")),
    }
}

fn written(range: &Range) -> String {
    let name = Scale::ALL
        .iter()
        .find(|(_, scale)| *scale == range.scale)
        .map_or("", |(name, _)| name);
    let number = |x: f64| match range.scale {
        Scale::Integer => Value::Integer(x as i64),
        Scale::Uniform | Scale::LogUniform => Value::Float(x),
    };
    format!("{{ {name} = [{}, {}] }}", number(range.low), number(range.high))
}

fn list<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Value {
    Value::Array(nodes.into_iter().map(Node::to_value).collect())
}
