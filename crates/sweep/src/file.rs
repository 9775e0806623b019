use std::{fs, path::Path};

use toml::{Table, Value};
use training::config::{ConfigError, Node, NodeKind};

/// The keys of a sweep file.
const KEYS: [&str; 4] = ["name", "base", "axes", "seeds"];
/// The recipe key that `seeds` sets.
pub(crate) const SEED: &str = "training.seed";

/// A sweep file, with every value's place.
///
/// ```toml
/// name = "warm-up"
/// base = "recipe.toml"   # or a table [base] with the tables of a recipe
/// seeds = [0, 1, 2]      # the replicates; the base's own seed if left out
///
/// [axes]
/// schedule.warmup = [10, 100, 1000]
/// ```
///
/// Several `[[axes]]` are several grids around one base, one after the other: each optimizer with learning rates of its own.
#[derive(Clone, Debug)]
pub struct SweepFile {
    /// The sweep's name, and its directory's below `results`.
    pub name: String,
    pub(crate) base: Node,
    /// One or more grids, each of its axes.
    pub(crate) grids: Vec<Vec<Axis>>,
    pub(crate) seeds: Vec<Node>,
}

/// A recipe key and the values that it takes.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    pub key: String,
    pub values: Vec<Node>,
}

impl SweepFile {
    /// Reads a sweep file, with assignments such as those of `--set` laid over its base recipe.
    ///
    /// # Errors
    /// Where a file cannot be read or is not TOML, a key is unknown or missing, an axis is no list or an empty one, or an
    /// assignment sets what an axis varies.
    pub fn read(path: &Path, assignments: &[Node]) -> Result<Self, ConfigError> {
        let node = Node::read(path)?;
        Self::from_node(&node, path.parent().unwrap_or(Path::new(".")), assignments)
    }

    /// The sweep that a node spells out; a base file is looked for in `directory`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_node(node: &Node, directory: &Path, assignments: &[Node]) -> Result<Self, ConfigError> {
        for (key, value) in node.entries() {
            if !KEYS.contains(&key.as_str()) {
                let nearest = KEYS
                    .iter()
                    .max_by(|a, b| strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)));
                let label = nearest
                    .map(|nearest| format!("did you mean `{nearest}`?"))
                    .unwrap_or_default();
                return Err(ConfigError::at(&value.key, format!("a sweep has no key `{key}`"), label)
                    .help("the keys of a sweep are `name`, `base`, `axes` and `seeds`; a recipe's keys stand in `[base]`"));
            }
        }
        let grids = grids(node)?;
        let mut base = base(node, directory)?;
        for assignment in assignments {
            for (key, value) in assignment.leaves() {
                if grids.iter().flatten().any(|axis| axis.key == key) {
                    return Err(ConfigError::at(
                        &value.key,
                        format!("{key} is an axis of this sweep"),
                        "set here",
                    )
                    .help("take it out of [axes] to hold it fixed"));
                }
            }
            base.merge(assignment);
        }
        Ok(Self {
            name: name(node)?,
            base,
            grids,
            seeds: seeds(node)?,
        })
    }

    /// The sweep as a file that stands alone: the base written out, the assignments in it.
    pub fn to_toml(&self) -> String {
        let list = |nodes: &[Node]| Value::Array(nodes.iter().map(Node::to_value).collect());
        let mut table = Table::new();
        table.insert("name".to_owned(), Value::String(self.name.clone()));
        if !self.seeds.is_empty() {
            table.insert("seeds".to_owned(), list(&self.seeds));
        }
        table.insert("base".to_owned(), self.base.to_value());
        let text = toml::to_string(&table).unwrap_or_default();
        let header = if self.grids.len() > 1 {
            "[[axes]]"
        } else {
            "[axes]"
        };
        // The order of the axes is the order of the trials, and a table would sort them.
        let grid = |grid: &Vec<Axis>| {
            let axes = grid
                .iter()
                .map(|axis| format!("{} = {}\n", axis.key, list(&axis.values)));
            format!("\n{header}\n{}", axes.collect::<String>())
        };
        text + &self.grids.iter().map(grid).collect::<String>()
    }
}

fn name(node: &Node) -> Result<String, ConfigError> {
    let Some(value) = node.get("name") else {
        return Err(
            ConfigError::at(&node.place, "a sweep needs a name", "not in this file")
                .help("begin the file with, for example, name = \"warm-up\""),
        );
    };
    let fits = |text: &&str| {
        !text.is_empty()
            && !text.starts_with('.')
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    value.as_str().filter(fits).map(str::to_owned).ok_or_else(|| {
        ConfigError::at(
            &value.place,
            "a sweep's name is also a directory's",
            "expected letters, digits, `-`, `_` and `.`",
        )
    })
}

fn base(node: &Node, directory: &Path) -> Result<Node, ConfigError> {
    match node.get("base") {
        None => Node::parse("base", ""),
        Some(base) => match (&base.kind, base.as_str()) {
            (NodeKind::Table(_), _) => Ok(base.clone()),
            (_, Some(path)) => {
                let path = directory.join(path).display().to_string();
                let text = fs::read_to_string(&path).map_err(|error| {
                    ConfigError::at(&base.place, format!("cannot read {path}: {error}"), "this file")
                        .help("a base is looked for beside the sweep file")
                })?;
                Node::parse(&path, &text)
            }
            _ => Err(ConfigError::at(
                &base.place,
                "base is neither a recipe nor a file",
                "expected a table or a path",
            )),
        },
    }
}

fn grids(node: &Node) -> Result<Vec<Vec<Axis>>, ConfigError> {
    let Some(axes) = node.get("axes") else {
        return Ok(vec![Vec::new()]);
    };
    match &axes.kind {
        NodeKind::Table(_) => Ok(vec![grid(axes)?]),
        NodeKind::Array(grids) if !grids.is_empty() => grids.iter().map(grid).collect(),
        _ => Err(no_grid(axes)),
    }
}

fn grid(axes: &Node) -> Result<Vec<Axis>, ConfigError> {
    if !matches!(axes.kind, NodeKind::Table(_)) {
        return Err(no_grid(axes));
    }
    axes.leaves()
        .into_iter()
        .map(|(key, value)| axis(key, value))
        .collect()
}

fn no_grid(axes: &Node) -> ConfigError {
    ConfigError::at(
        &axes.place,
        "axes is no table",
        "expected [axes], or [[axes]] for several grids",
    )
}

fn axis(key: String, value: &Node) -> Result<Axis, ConfigError> {
    if key == SEED {
        return Err(ConfigError::at(
            &value.key,
            "the seed is no axis but the replicate",
            "an axis here",
        )
        .help("write seeds = [0, 1, 2] at the head of the file"));
    }
    let values = match &value.kind {
        NodeKind::Array(values) if !values.is_empty() => values,
        NodeKind::Array(_) => {
            return Err(ConfigError::at(
                &value.place,
                format!("the axis {key} is empty"),
                "expected at least one value",
            ));
        }
        _ => {
            return Err(ConfigError::at(
                &value.place,
                format!("the axis {key} is no list"),
                "expected a list of values",
            )
            .help("to hold a key fixed, put it into [base]"));
        }
    };
    // Errors of a value show the value, errors of the key the key.
    let values = values
        .iter()
        .map(|v| Node {
            key: value.key.clone(),
            ..v.clone()
        })
        .collect();
    Ok(Axis { key, values })
}

fn seeds(node: &Node) -> Result<Vec<Node>, ConfigError> {
    let Some(seeds) = node.get("seeds") else {
        return Ok(Vec::new());
    };
    match &seeds.kind {
        NodeKind::Array(values) if !values.is_empty() => Ok(values.clone()),
        _ => Err(ConfigError::at(
            &seeds.place,
            "seeds is no list of seeds",
            "expected, for example, [0, 1, 2]",
        )),
    }
}
