mod write;

use std::{fs, path::Path};

use toml::Value;
use training::config::{ConfigError, Node, NodeKind, check_entry, nearest};

use crate::{
    Method,
    expression::Expression,
    keys::{SEED, is_key, nearest_key},
    schema::sweep_schema,
    sequence::Sequence,
    space::{Space, no_axes, place_of},
};

/// The keys of a sweep file.
const KEYS: [&str; 8] = [
    "name", "base", "seeds", "method", "axes", "trials", "derive", "skip",
];

/// A sweep file, with every value's place.
///
/// ```toml
/// name = "warm-up"
/// base = "recipe.toml"   # or a table [base] with the tables of a recipe
/// seeds = [0, 1, 2]      # the replicates; the base's own seed if left out
/// skip = "schedule.warmup >= training.steps" # or several: points for which one of them holds are no trials
///
/// [method]               # grid if left out, list where there are [[trials]]
/// name = "sobol"         # or random, halton, tpe; one-at-a-time; grid; list
/// points = 32
///
/// [axes]
/// schedule.warmup = [10, 100, 1000]            # a list of values
/// schedule.lr = { log-uniform = [1e-4, 1e-2] } # or uniform, integer: a range, which a grid has no use for
///
/// [[axes.zip]]           # axes that move together, as one
/// training.batch_size = [8, 16]
/// optimizer.beta2 = [0.999, 0.99]
///
/// [derive]               # keys that follow from others, in this order
/// training.steps = "32_768_000 / training.batch_tokens"
/// ```
///
/// Several `[[axes]]` are several spaces around one base, one after the other: each optimizer with learning rates of its own.
/// `[[trials]]` are points spelt out: the keys in which each of them is not the base.
///
/// Expressions know numbers, texts in quotes, the keys of a recipe, `+ - * / ^`, `== != < <= > >=`, `and`, `or`, `not`, and the
/// functions min, max, sqrt, ln, exp, abs, round, floor and ceil. They see a trial's keys as they are set, or else
/// their defaults.
#[derive(Clone, Debug)]
pub struct SweepFile {
    /// The sweep's name, and its directory's below `results`.
    pub name: String,
    /// Which points of the axes' spaces become trials.
    pub method: Method,
    pub(crate) base: Node,
    /// One or more, each of its axes.
    pub(crate) spaces: Vec<Space>,
    pub(crate) seeds: Vec<Node>,
    /// Keys that follow from others.
    pub(crate) derived: Vec<(String, Expression)>,
    /// A point for which one of them holds is no trial.
    pub(crate) skip: Vec<Expression>,
}

impl SweepFile {
    /// Reads a sweep file, with assignments such as those of `--set` laid over its base recipe.
    ///
    /// # Errors
    /// Where a file cannot be read or is not TOML, a key is unknown or missing, an axis is none or does not suit the method, an
    /// expression is none, or an assignment sets what an axis varies or what is derived.
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
                return Err(unknown_key(key, value));
            }
        }
        let method = method(node)?;
        let spaces = spaces(node, &method)?;
        let derived = derived(node, &spaces)?;
        let mut base = base(node, directory)?;
        for assignment in assignments {
            for (key, value) in assignment.leaves() {
                if spaces.iter().any(|space| space.keys().any(|axis| axis == key)) {
                    return Err(ConfigError::at(
                        &value.key,
                        format!("{key} is an axis of this sweep"),
                        "set here",
                    )
                    .help("take it out of [axes] to hold it fixed"));
                }
                if derived.iter().any(|(other, _)| *other == key) {
                    return Err(ConfigError::at(
                        &value.key,
                        format!("{key} follows from other keys in this sweep"),
                        "set here",
                    )
                    .help("take it out of [derive] to set it"));
                }
            }
            base.merge(assignment);
        }
        Ok(Self {
            name: name(node)?,
            method,
            base,
            spaces,
            seeds: seeds(node)?,
            derived,
            skip: skip(node)?,
        })
    }
}

fn unknown_key(key: &str, value: &Node) -> ConfigError {
    let label = nearest(key, &KEYS)
        .map(|nearest| format!("did you mean `{nearest}`?"))
        .unwrap_or_default();
    ConfigError::at(&value.key, format!("a sweep has no key `{key}`"), label).help(format!(
        "the keys of a sweep are {}; a recipe's keys stand in `[base]`",
        KEYS.map(|key| format!("`{key}`")).join(", ")
    ))
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

fn method(node: &Node) -> Result<Method, ConfigError> {
    let Some(method) = node.get("method") else {
        return Ok(match node.get("trials") {
            Some(_) => Method::List,
            None => Method::Grid,
        });
    };
    check_entry(node, "method", sweep_schema())?;
    method.to_value().try_into().map_err(|error: toml::de::Error| {
        ConfigError::at(
            &method.key,
            format!("[method]: {}", error.message()),
            "in this table",
        )
        .help("a method that draws points says how many: points = 32")
    })
}

/// The spaces of `[axes]`, or of `[[trials]]` a space that holds the one point.
fn spaces(node: &Node, method: &Method) -> Result<Vec<Space>, ConfigError> {
    let method_place = &node.get("method").unwrap_or(node).key;
    if *method == Method::List {
        if let Some(axes) = node.get("axes") {
            return Err(
                ConfigError::at(&axes.key, "a list of trials has no axes", "these axes")
                    .help("the method `list` takes [[trials]]; without them, axes are a grid"),
            );
        }
        let Some(trials) = node.get("trials") else {
            return Err(ConfigError::at(
                method_place,
                "there are no [[trials]]",
                "the method `list` takes them",
            )
            .help("write, for example, [[trials]] and below it schedule.lr = 1e-3"));
        };
        return listed_trials(trials);
    }
    if let Some(trials) = node.get("trials") {
        return Err(ConfigError::at(
            &trials.key,
            "trials are spelt out, but the method is another",
            "these trials",
        )
        .help("only the method `list` takes [[trials]]"));
    }
    let spaces = match node.get("axes") {
        None => vec![Space::default()],
        Some(axes) => match &axes.kind {
            NodeKind::Table(_) => vec![Space::read(axes)?],
            NodeKind::Array(spaces) if !spaces.is_empty() => {
                spaces.iter().map(Space::read).collect::<Result<_, _>>()?
            }
            _ => return Err(no_axes(axes)),
        },
    };
    suits(method, &spaces, node)?;
    Ok(spaces)
}

fn listed_trials(trials: &Node) -> Result<Vec<Space>, ConfigError> {
    let NodeKind::Array(points) = &trials.kind else {
        return Err(ConfigError::at(
            &trials.place,
            "trials is no list of tables",
            "expected [[trials]]",
        ));
    };
    for point in points {
        if let Some(seed) = point.get(SEED) {
            return Err(
                ConfigError::at(&seed.key, "the seed is the replicate of every trial", "set here")
                    .help("write seeds = [0, 1, 2] at the head of the file"),
            );
        }
    }
    Ok(points.iter().map(Space::of_one).collect())
}

/// Whether the method can make points of the spaces.
fn suits(method: &Method, spaces: &[Space], node: &Node) -> Result<(), ConfigError> {
    let place = &node.get("method").unwrap_or(node).key;
    match method {
        Method::Grid | Method::List | Method::OneAtATime => match spaces.iter().find_map(Space::range) {
            None => Ok(()),
            Some(range) => Err(ConfigError::at(
                &range.node.place,
                "a range has no end of values",
                "expected a list here",
            )
            .help("ranges are for the methods that draw points: random, sobol, halton and tpe")),
        },
        Method::Random(_) | Method::Sobol(_) | Method::Halton(_) | Method::Tpe(_) => {
            if spaces.iter().any(|space| space.axes.is_empty()) {
                return Err(
                    ConfigError::at(place, "there is nothing to draw from", "this method")
                        .help("write [axes], such as schedule.lr = { log-uniform = [1e-4, 1e-2] }"),
                );
            }
            let widest = spaces.iter().map(|space| space.axes.len()).max().unwrap_or(0);
            if matches!(method, Method::Sobol(_)) && widest > Sequence::SOBOL_DIMENSIONS {
                return Err(ConfigError::at(
                    place,
                    format!("{widest} axes are more than sobol has dimensions"),
                    format!("at most {}", Sequence::SOBOL_DIMENSIONS),
                )
                .help("random has as many as there are axes"));
            }
            if matches!(method, Method::Tpe(_)) && spaces.len() > 1 {
                return Err(ConfigError::at(place, "tpe searches one space", "this method")
                    .help("write one [axes] in place of several [[axes]]"));
            }
            Ok(())
        }
    }
}

fn derived(node: &Node, spaces: &[Space]) -> Result<Vec<(String, Expression)>, ConfigError> {
    let Some(derive) = node.get("derive") else {
        return Ok(Vec::new());
    };
    if !matches!(derive.kind, NodeKind::Table(_)) {
        return Err(ConfigError::at(
            &derive.place,
            "derive is no table",
            "expected [derive]",
        ));
    }
    // Dotted keys of one table stand together; what counts is the order of writing.
    let mut leaves = derive.leaves();
    leaves.sort_by_key(|(_, value)| value.key.span.start);
    let mut all = Vec::new();
    for (key, value) in leaves {
        if !is_key(&key) || key == SEED {
            let label =
                nearest_key(&key).map_or("no key".to_owned(), |near| format!("did you mean `{near}`?"));
            return Err(
                ConfigError::at(&value.key, format!("no recipe can derive `{key}`"), label).help(
                    "on the left stands a key of a recipe, such as schedule.lr; the seed comes from `seeds`",
                ),
            );
        }
        if let Some(axis) = spaces.iter().find_map(|space| place_of(space, &key)) {
            return Err(
                ConfigError::at(axis, format!("{key} is derived"), "and an axis here")
                    .help("take it out of [axes] or out of [derive]"),
            );
        }
        all.push((key, Expression::parse(value)?));
    }
    Ok(all)
}

fn skip(node: &Node) -> Result<Vec<Expression>, ConfigError> {
    match node.get("skip") {
        None => Ok(Vec::new()),
        Some(skip) => match &skip.kind {
            NodeKind::Array(conditions) => conditions.iter().map(Expression::parse).collect(),
            NodeKind::Scalar(Value::String(_)) => Ok(vec![Expression::parse(skip)?]),
            _ => Err(ConfigError::at(
                &skip.place,
                "skip is no condition",
                "expected a string, or a list of strings",
            )
            .help("such as skip = \"schedule.warmup >= training.steps\"")),
        },
    }
}
