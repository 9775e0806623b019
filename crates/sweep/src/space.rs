//! The axes of a sweep file: what they span, and the points of it.

use std::borrow::Cow;

use toml::Value;
use training::config::{ConfigError, Node, NodeKind, Place, nearest};

use crate::keys::{SEED, is_key};

/// Keys of a recipe with a value each.
pub(crate) type Point<'a> = Vec<(&'a str, Cow<'a, Node>)>;

/// What axes span.
#[derive(Clone, Debug, Default)]
pub(crate) struct Space {
    pub axes: Vec<Axis>,
}

/// Keys that move together, mostly one, and what they take.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    pub keys: Vec<String>,
    pub values: Values,
}

#[derive(Clone, Debug)]
pub(crate) enum Values {
    /// One after the other, each with a value for every key.
    Listed(Vec<Vec<Node>>),
    /// Any number between two.
    Range(Range),
}

#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub scale: Scale,
    pub low: f64,
    pub high: f64,
    pub node: Node,
}

/// How a range is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Uniform,
    LogUniform,
    Integer,
}

impl Scale {
    pub const ALL: [(&str, Self); 3] = [
        ("uniform", Self::Uniform),
        ("log-uniform", Self::LogUniform),
        ("integer", Self::Integer),
    ];
}

/// A list of values, written as a table.
const CHOICE: &str = "choice";
/// The key of `[axes]` whose tables are axes that move together.
pub(crate) const ZIP: &str = "zip";

impl Space {
    /// The space of an `[axes]` table.
    ///
    /// # Errors
    /// An axis that is no list and no range, is empty, or stands twice.
    pub fn read(axes: &Node) -> Result<Self, ConfigError> {
        if !matches!(axes.kind, NodeKind::Table(_)) {
            return Err(no_axes(axes));
        }
        let mut space = Self::default();
        for (name, node) in axes.entries() {
            if name == ZIP {
                let NodeKind::Array(groups) = &node.kind else {
                    return Err(ConfigError::at(
                        &node.place,
                        "zip is no list of tables",
                        "expected [[axes.zip]]",
                    ));
                };
                for group in groups {
                    space.axes.push(zip(group)?);
                }
            } else {
                read_axes(name, node, &mut space.axes)?;
            }
        }
        space.no_key_twice(axes)?;
        Ok(space)
    }

    /// The space that holds one point, spelt out.
    pub fn of_one(point: &Node) -> Self {
        let axis = |(key, value): (String, &Node)| Axis {
            keys: vec![key],
            values: Values::Listed(vec![vec![value.clone()]]),
        };
        Self {
            axes: point.leaves().into_iter().map(axis).collect(),
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.axes
            .iter()
            .flat_map(|axis| axis.keys.iter().map(String::as_str))
    }

    /// The first axis that is a range.
    pub fn range(&self) -> Option<&Range> {
        self.axes.iter().find_map(|axis| match &axis.values {
            Values::Range(range) => Some(range),
            Values::Listed(_) => None,
        })
    }

    /// How many points a grid has; axes that are ranges have none.
    pub fn grid_len(&self) -> usize {
        self.axes
            .iter()
            .fold(1, |product, axis| product.saturating_mul(axis.len()))
    }

    /// A point of the grid, the last axis fastest.
    pub fn grid_point(&self, mut index: usize) -> Point<'_> {
        let mut places = vec![0; self.axes.len()];
        for (place, axis) in places.iter_mut().zip(&self.axes).rev() {
            *place = index % axis.len().max(1);
            index /= axis.len().max(1);
        }
        self.axes
            .iter()
            .zip(places)
            .flat_map(|(axis, place)| axis.listed(place))
            .collect()
    }

    /// How many points there are one at a time: the base, and every value of every axis.
    pub fn one_at_a_time_len(&self) -> usize {
        1 + self.axes.iter().map(Axis::len).sum::<usize>()
    }

    /// The base, where nothing is set, or one value of one axis.
    pub fn one_at_a_time_point(&self, index: usize) -> Point<'_> {
        let Some(mut index) = index.checked_sub(1) else {
            return Vec::new();
        };
        for axis in &self.axes {
            if index < axis.len() {
                return axis.listed(index).collect();
            }
            index -= axis.len();
        }
        Vec::new()
    }

    /// The point at coordinates between 0 and 1, one for each axis.
    pub fn point(&self, unit: &[f64]) -> Point<'_> {
        self.axes
            .iter()
            .zip(unit)
            .flat_map(|(axis, unit)| axis.at(*unit))
            .collect()
    }

    fn no_key_twice(&self, axes: &Node) -> Result<(), ConfigError> {
        let keys: Vec<&str> = self.keys().collect();
        match keys.iter().enumerate().find(|(i, key)| keys[..*i].contains(key)) {
            None => Ok(()),
            Some((_, key)) => {
                Err(
                    ConfigError::at(&axes.key, format!("{key} is an axis twice"), "in these axes")
                        .help("a key moves either by itself or with others in one [[axes.zip]]"),
                )
            }
        }
    }
}

impl Axis {
    /// How many values are listed.
    fn len(&self) -> usize {
        match &self.values {
            Values::Listed(values) => values.len(),
            Values::Range(_) => 0,
        }
    }

    fn listed(&self, index: usize) -> impl Iterator<Item = (&str, Cow<'_, Node>)> {
        let values = match &self.values {
            Values::Listed(values) => values.get(index),
            Values::Range(_) => None,
        };
        let values = values.into_iter().flatten().map(Cow::Borrowed);
        self.keys.iter().map(String::as_str).zip(values)
    }

    /// What stands at a coordinate between 0 and 1.
    fn at(&self, unit: f64) -> Point<'_> {
        match &self.values {
            Values::Listed(values) => {
                let index = (unit * values.len() as f64) as usize;
                self.listed(index.min(values.len() - 1)).collect()
            }
            Values::Range(range) => {
                let value = Cow::Owned(range.at(unit));
                self.keys.iter().map(String::as_str).zip([value]).collect()
            }
        }
    }
}

impl Range {
    /// The number at a coordinate between 0 and 1. Six digits of it: what is compared can be read, and no platform's
    /// logarithm makes another recipe of it.
    fn at(&self, unit: f64) -> Node {
        let Self { low, high, .. } = *self;
        let rounded = |x: f64| format!("{x:.5e}").parse::<f64>().unwrap_or(x).clamp(low, high);
        let value = match self.scale {
            Scale::Uniform => Value::Float(rounded(low + unit * (high - low))),
            Scale::LogUniform => Value::Float(rounded((low.ln() + unit * (high.ln() - low.ln())).exp())),
            Scale::Integer => Value::Integer((low + (unit * (high - low + 1.0)).floor()).min(high) as i64),
        };
        Node {
            kind: NodeKind::Scalar(value),
            ..self.node.clone()
        }
    }

    fn read(scale: Scale, name: &str, key: &str, node: &Node) -> Result<Self, ConfigError> {
        let wrong = |label: &str| ConfigError::at(&node.place, format!("{key} has no such range"), label);
        let example = match scale {
            Scale::Uniform => "[0.0, 0.3]",
            Scale::LogUniform => "[1e-4, 1e-2]",
            Scale::Integer => "[2, 12]",
        };
        let NodeKind::Array(ends) = &node.kind else {
            return Err(
                wrong("expected a lowest and a highest value").help(format!("such as {name} = {example}"))
            );
        };
        let numbers: Vec<f64> = ends
            .iter()
            .filter_map(|end| match &end.kind {
                NodeKind::Scalar(Value::Integer(integer)) => Some(*integer as f64),
                NodeKind::Scalar(Value::Float(float)) if scale != Scale::Integer => Some(*float),
                _ => None,
            })
            .filter(|number| number.is_finite())
            .collect();
        let [low, high] = numbers[..] else {
            let kind = if scale == Scale::Integer {
                "two whole numbers"
            } else {
                "two numbers"
            };
            return Err(
                wrong(&format!("expected {kind}, the lowest and the highest value"))
                    .help(format!("such as {name} = {example}")),
            );
        };
        if ends.len() != 2 || low >= high {
            return Err(wrong("the lowest value must be below the highest"));
        }
        if scale == Scale::LogUniform && low <= 0.0 {
            return Err(wrong("the lowest value must be above 0, which has a logarithm"));
        }
        Ok(Self {
            scale,
            low,
            high,
            node: node.clone(),
        })
    }
}

/// The axes of an entry of `[axes]`: of a dotted key, or of a table of them.
fn read_axes(key: &str, node: &Node, axes: &mut Vec<Axis>) -> Result<(), ConfigError> {
    if let NodeKind::Table(entries) = &node.kind
        && !is_key(key)
        && !entries.iter().any(|(name, _)| is_range(name))
    {
        return entries
            .iter()
            .try_for_each(|(name, node)| read_axes(&format!("{key}.{name}"), node, axes));
    }
    not_the_seed(key, node)?;
    axes.push(Axis {
        keys: vec![key.to_owned()],
        values: values(key, node)?,
    });
    Ok(())
}

fn is_range(name: &str) -> bool {
    name == CHOICE || Scale::ALL.iter().any(|(scale, _)| *scale == name)
}

fn values(key: &str, node: &Node) -> Result<Values, ConfigError> {
    let [(name, range)] = node.entries() else {
        if matches!(node.kind, NodeKind::Table(_)) {
            return Err(ConfigError::at(
                &node.place,
                format!("{key} is several ranges"),
                "expected one of them",
            ));
        }
        return Ok(Values::Listed(
            listed(key, node)?.into_iter().map(|value| vec![value]).collect(),
        ));
    };
    if name == CHOICE {
        let range = Node {
            key: node.key.clone(),
            ..range.clone()
        };
        return values(key, &range);
    }
    let names: Vec<&str> = Scale::ALL.iter().map(|(name, _)| *name).chain([CHOICE]).collect();
    match Scale::ALL.iter().find(|(known, _)| known == name) {
        Some((_, scale)) => Range::read(*scale, name, key, range).map(Values::Range),
        None => {
            let label =
                nearest(name, &names).map_or("no range".to_owned(), |near| format!("did you mean `{near}`?"));
            Err(
                ConfigError::at(&range.key, format!("there is no range `{name}`"), label)
                    .help(format!("the ranges are {}", names.join(", "))),
            )
        }
    }
}

/// The values of a list.
fn listed(key: &str, node: &Node) -> Result<Vec<Node>, ConfigError> {
    let values = match &node.kind {
        NodeKind::Array(values) if !values.is_empty() => values,
        NodeKind::Array(_) => {
            return Err(ConfigError::at(
                &node.place,
                format!("the axis {key} is empty"),
                "expected at least one value",
            ));
        }
        _ => {
            return Err(ConfigError::at(
                &node.place,
                format!("the axis {key} is no list"),
                "expected a list of values",
            )
            .help("to hold a key fixed, put it into [base]"));
        }
    };
    // Errors of a value show the value, errors of the key the key.
    Ok(values
        .iter()
        .map(|value| Node {
            key: node.key.clone(),
            ..value.clone()
        })
        .collect())
}

/// The axis of an `[[axes.zip]]`.
fn zip(group: &Node) -> Result<Axis, ConfigError> {
    let mut lists: Vec<(String, &Node, Vec<Node>)> = Vec::new();
    for (key, node) in group.leaves() {
        not_the_seed(&key, node)?;
        let values = listed(&key, node)?;
        lists.push((key, node, values));
    }
    let [(first, _, values), _, ..] = &lists[..] else {
        return Err(ConfigError::at(
            &group.place,
            "there is nothing to move together",
            "expected two or more axes",
        ));
    };
    let count = values.len();
    if let Some((key, node, values)) = lists.iter().find(|(_, _, values)| values.len() != count) {
        return Err(ConfigError::at(
            &node.place,
            format!("{key} has {} values where {first} has {count}", values.len()),
            format!("expected {count} values"),
        )
        .help("axes that move together are of one length"));
    }
    let rows = (0..count).map(|i| lists.iter().map(|(_, _, values)| values[i].clone()).collect());
    Ok(Axis {
        values: Values::Listed(rows.collect()),
        keys: lists.iter().map(|(key, ..)| key.clone()).collect(),
    })
}

fn not_the_seed(key: &str, node: &Node) -> Result<(), ConfigError> {
    if key != SEED {
        return Ok(());
    }
    Err(
        ConfigError::at(&node.key, "the seed is no axis but the replicate", "an axis here")
            .help("write seeds = [0, 1, 2] at the head of the file"),
    )
}

pub(crate) fn no_axes(axes: &Node) -> ConfigError {
    ConfigError::at(
        &axes.place,
        "axes is no table",
        "expected [axes], or [[axes]] for several grids",
    )
}

/// The place of a key of a space, for errors of it.
pub(crate) fn place_of<'a>(space: &'a Space, key: &str) -> Option<&'a Place> {
    let axis = space
        .axes
        .iter()
        .find(|axis| axis.keys.iter().any(|other| other == key))?;
    let column = axis.keys.iter().position(|other| other == key)?;
    match &axis.values {
        Values::Listed(rows) => rows.first()?.get(column).map(|node| &node.key),
        Values::Range(range) => Some(&range.node.key),
    }
}
