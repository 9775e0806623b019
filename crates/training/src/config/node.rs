use std::{ops::Range, path::Path, sync::Arc};

use miette::NamedSource;
use serde::Deserialize;
use toml::{
    Spanned, Value,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::ConfigError;

/// A place in a source.
#[derive(Clone, Debug)]
pub struct Place {
    /// The text, under the name by which a person knows it.
    pub source: Arc<NamedSource<String>>,
    /// Bytes of the text.
    pub span: Range<usize>,
}

/// A TOML value with the place it was written at.
#[derive(Clone, Debug)]
pub struct Node {
    /// The key's place; the value's for what has no key.
    pub key: Place,
    /// The value's place.
    pub place: Place,
    /// The value.
    pub kind: NodeKind,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// A table, its keys in the order of writing.
    Table(Vec<(String, Node)>),
    /// An array.
    Array(Vec<Node>),
    /// A string, number, boolean or date.
    Scalar(Value),
}

impl Node {
    /// Parses a TOML document; `name` is what errors call it.
    ///
    /// # Errors
    /// Where the text is not TOML, with the line.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let source = Arc::new(NamedSource::new(name, text.to_owned()).with_language("TOML"));
        match DeTable::parse(text) {
            Ok(table) => {
                let span = table.span();
                let place = Place { source, span };
                Ok(Self::from_table(table.into_inner(), place.clone(), place))
            }
            Err(error) => {
                let place = Place {
                    source,
                    span: error.span().unwrap_or(0..0),
                };
                Err(ConfigError::at(
                    &place,
                    error.message().to_owned(),
                    "not valid TOML here",
                ))
            }
        }
    }

    /// Reads and parses a TOML file.
    ///
    /// # Errors
    /// Where the file cannot be read, or is not TOML.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            ConfigError::nowhere(format!("cannot read {}: {error}", path.display()))
                .help("check the path; sweep files that ship are in `sweeps/`")
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Parses `key=value`, as `--set` takes it: the key dotted, the value TOML or else a bare string.
    ///
    /// # Errors
    /// Where there is no `=`, or the key is not a key.
    pub fn parse_assignment(text: &str) -> Result<Self, ConfigError> {
        let name = "--set";
        let Some((key, value)) = text.split_once('=') else {
            return Err(ConfigError::nowhere(format!("--set {text}: there is no `=`"))
                .help("write --set key=value, for example --set schedule.lr=3e-4"));
        };
        Self::parse(name, text).or_else(|error| {
            let quoted = format!("{key}={}", Value::String(value.trim().to_owned()));
            Self::parse(name, &quoted).map_err(|_| error)
        })
    }

    fn from_table(table: DeTable<'_>, key: Place, place: Place) -> Self {
        let mut entries: Vec<(usize, String, Self)> = table
            .into_iter()
            .map(|(name, value)| {
                let key = Place {
                    source: place.source.clone(),
                    span: name.span(),
                };
                (
                    name.span().start,
                    name.into_inner().into_owned(),
                    Self::from_value(value, key),
                )
            })
            .collect();
        entries.sort_by_key(|(start, ..)| *start);
        let table = entries.into_iter().map(|(_, name, node)| (name, node)).collect();
        Self {
            key,
            place,
            kind: NodeKind::Table(table),
        }
    }

    fn from_value(value: Spanned<DeValue<'_>>, key: Place) -> Self {
        let place = Place {
            source: key.source.clone(),
            span: value.span(),
        };
        match value.into_inner() {
            DeValue::Table(table) => Self::from_table(table, key, place),
            DeValue::Array(items) => {
                let item = |item: Spanned<DeValue<'_>>| {
                    let place = Place {
                        source: key.source.clone(),
                        span: item.span(),
                    };
                    Self::from_value(item, place)
                };
                let kind = NodeKind::Array(items.into_iter().map(item).collect());
                Self { key, place, kind }
            }
            scalar => {
                let deserializer = ValueDeserializer::from(Spanned::new(place.span.clone(), scalar));
                // The parser has checked every scalar but the range of its numbers.
                let value = Value::deserialize(deserializer).unwrap_or(Value::Float(f64::NAN));
                Self {
                    key,
                    place,
                    kind: NodeKind::Scalar(value),
                }
            }
        }
    }

    /// The entries of a table; none for what is no table.
    pub fn entries(&self) -> &[(String, Self)] {
        match &self.kind {
            NodeKind::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The node at a dotted key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        key.split('.').try_fold(self, |node, part| {
            node.entries()
                .iter()
                .find(|(name, _)| name == part)
                .map(|(_, node)| node)
        })
    }

    /// The string that this node holds.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The leaves of nested tables, by their dotted keys, in the order of writing.
    pub fn leaves(&self) -> Vec<(String, &Self)> {
        fn walk<'a>(node: &'a Node, prefix: &str, leaves: &mut Vec<(String, &'a Node)>) {
            for (name, child) in node.entries() {
                let key = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                match &child.kind {
                    NodeKind::Table(_) => walk(child, &key, leaves),
                    _ => leaves.push((key, child)),
                }
            }
        }
        let mut leaves = Vec::new();
        walk(self, "", &mut leaves);
        leaves
    }

    /// Puts `value` at a dotted key, over what was there.
    pub fn set(&mut self, key: &str, value: Self) {
        let (first, rest) = key
            .split_once('.')
            .map_or((key, None), |(first, rest)| (first, Some(rest)));
        if !matches!(self.kind, NodeKind::Table(_)) {
            self.kind = NodeKind::Table(Vec::new());
        }
        let NodeKind::Table(entries) = &mut self.kind else {
            return;
        };
        let at = entries
            .iter()
            .position(|(name, _)| name == first)
            .unwrap_or_else(|| {
                let empty = Self {
                    kind: NodeKind::Table(Vec::new()),
                    ..value.clone()
                };
                entries.push((first.to_owned(), empty));
                entries.len() - 1
            });
        match rest {
            Some(rest) => entries[at].1.set(rest, value),
            None => entries[at].1 = value,
        }
    }

    /// Lays every leaf of `over` over this node.
    pub fn merge(&mut self, over: &Self) {
        for (key, leaf) in over.leaves() {
            self.set(&key, leaf.clone());
        }
    }

    /// Whether the values are equal, wherever they were written.
    pub fn is_equal(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (NodeKind::Scalar(a), NodeKind::Scalar(b)) => a == b,
            _ => self.to_value() == other.to_value(),
        }
    }

    /// The value alone.
    pub fn to_value(&self) -> Value {
        match &self.kind {
            NodeKind::Scalar(value) => value.clone(),
            NodeKind::Array(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            NodeKind::Table(entries) => Value::Table(
                entries
                    .iter()
                    .map(|(name, node)| (name.clone(), node.to_value()))
                    .collect(),
            ),
        }
    }
}
