//! Arithmetic and comparisons over the keys of a recipe, with errors that show the place.
//!
//! ```text
//! or         = and { "or" and }
//! and        = not { "and" not }
//! not        = "not" not | comparison
//! comparison = sum [ ("==" | "!=" | "<" | "<=" | ">" | ">=") sum ]
//! sum        = product { ("+" | "-") product }
//! product    = sign { ("*" | "/") sign }
//! sign       = "-" sign | power
//! power      = operand [ "^" sign ]
//! operand    = number | 'text' | "text" | true | false | key | function "(" or { "," or } ")" | "(" or ")"
//! ```

mod parse;

use std::ops::Range;

use toml::Value;
use training::config::{ConfigError, Node, NodeKind, Place};

/// An expression of a sweep file.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    /// The text as it was written.
    pub text: String,
    /// Where the text begins in the file; where it has escapes, the whole string.
    place: Place,
    root: Term,
}

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Number(f64),
    Text(String),
    Truth(bool),
}

#[derive(Clone, Debug)]
struct Term {
    span: Range<usize>,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Constant(Scalar),
    Key(String),
    Not(Box<Term>),
    Minus(Box<Term>),
    Binary(Operator, Box<[Term; 2]>),
    Call(Function, Vec<Term>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Min,
    Max,
    Sqrt,
    Ln,
    Exp,
    Abs,
    Round,
    Floor,
    Ceil,
}

impl Function {
    const ALL: [(&str, Self); 9] = [
        ("min", Self::Min),
        ("max", Self::Max),
        ("sqrt", Self::Sqrt),
        ("ln", Self::Ln),
        ("exp", Self::Exp),
        ("abs", Self::Abs),
        ("round", Self::Round),
        ("floor", Self::Floor),
        ("ceil", Self::Ceil),
    ];
}

impl Scalar {
    /// The value of a recipe; none for a list or a date.
    pub fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(integer) => Some(Self::Number(*integer as f64)),
            Value::Float(float) => Some(Self::Number(*float)),
            Value::Boolean(truth) => Some(Self::Truth(*truth)),
            Value::String(text) => Some(Self::Text(text.clone())),
            _ => None,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::Truth(_) => "true or false",
        }
    }
}

impl Expression {
    /// Parses the string that a node holds.
    ///
    /// # Errors
    /// Where it is no string, no expression, or names what is no key of a recipe.
    pub fn parse(node: &Node) -> Result<Self, ConfigError> {
        let Some(text) = node.as_str() else {
            return Err(
                ConfigError::at(&node.place, "an expression is a string", "expected a string")
                    .help("such as \"schedule.lr * training.batch_size\""),
            );
        };
        let place = text_place(&node.place, text);
        let root = parse::parse(text).map_err(|(span, fault)| fault.at(&within(&place, &span)))?;
        Ok(Self {
            text: text.to_owned(),
            place,
            root,
        })
    }

    /// An error that shows the whole expression.
    pub fn error(&self, message: &str, label: &str) -> ConfigError {
        ConfigError::at(&within(&self.place, &self.root.span), message, label)
    }

    /// The value, where `lookup` knows the keys'.
    ///
    /// # Errors
    /// A key that has no value, or a value of another kind than the operator takes.
    pub fn evaluate(&self, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<Scalar, ConfigError> {
        Evaluation {
            place: &self.place,
            lookup,
        }
        .term(&self.root)
    }

    /// The value as a node of a recipe, a whole number as an integer; errors of it show the expression.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), and where it is no finite number.
    pub fn node(&self, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<Node, ConfigError> {
        // Up to here, every whole f64 is the integer it looks like.
        const WHOLE: f64 = (1u64 << f64::MANTISSA_DIGITS) as f64;
        let place = within(&self.place, &self.root.span);
        let value = match self.evaluate(lookup)? {
            Scalar::Number(number) if !number.is_finite() => {
                let message = format!("this comes to {number}");
                return Err(ConfigError::at(&place, message, "expected a finite number"));
            }
            Scalar::Number(number) if number.fract() == 0.0 && number.abs() <= WHOLE => {
                Value::Integer(number as i64)
            }
            Scalar::Number(number) => Value::Float(number),
            Scalar::Text(text) => Value::String(text),
            Scalar::Truth(truth) => Value::Boolean(truth),
        };
        Ok(Node {
            key: place.clone(),
            place,
            kind: NodeKind::Scalar(value),
        })
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), and where it is neither true nor false.
    pub fn holds(&self, lookup: &dyn Fn(&str) -> Option<Value>) -> Result<bool, ConfigError> {
        Evaluation {
            place: &self.place,
            lookup,
        }
        .truth(&self.root)
    }
}

struct Evaluation<'a> {
    place: &'a Place,
    lookup: &'a dyn Fn(&str) -> Option<Value>,
}

impl Evaluation<'_> {
    fn term(&self, term: &Term) -> Result<Scalar, ConfigError> {
        Ok(match &term.kind {
            Kind::Constant(constant) => constant.clone(),
            Kind::Key(key) => (self.lookup)(key)
                .as_ref()
                .and_then(Scalar::from_value)
                .ok_or_else(|| {
                    let message = format!("{key} has no value in one of the trials");
                    ConfigError::at(&within(self.place, &term.span), message, "this key").help(format!(
                        "set {key} in [base], or ask first: `and` and `or` look no further than they must"
                    ))
                })?,
            Kind::Not(operand) => Scalar::Truth(!self.truth(operand)?),
            Kind::Minus(operand) => Scalar::Number(-self.number(operand)?),
            Kind::Binary(operator, operands) => self.binary(*operator, operands)?,
            Kind::Call(function, arguments) => Scalar::Number(self.call(*function, arguments)?),
        })
    }

    fn binary(&self, operator: Operator, operands: &[Term; 2]) -> Result<Scalar, ConfigError> {
        let [left, right] = operands;
        match operator {
            Operator::Or => return Ok(Scalar::Truth(self.truth(left)? || self.truth(right)?)),
            Operator::And => return Ok(Scalar::Truth(self.truth(left)? && self.truth(right)?)),
            Operator::Equal | Operator::NotEqual => {
                let (a, b) = (self.term(left)?, self.term(right)?);
                if a.kind() != b.kind() {
                    return Err(self.wrong_kind(right, &b, a.kind()));
                }
                return Ok(Scalar::Truth((a == b) == (operator == Operator::Equal)));
            }
            _ => {}
        }
        let (a, b) = (self.number(left)?, self.number(right)?);
        Ok(match operator {
            Operator::Less => Scalar::Truth(a < b),
            Operator::LessOrEqual => Scalar::Truth(a <= b),
            Operator::Greater => Scalar::Truth(a > b),
            Operator::GreaterOrEqual => Scalar::Truth(a >= b),
            Operator::Add => Scalar::Number(a + b),
            Operator::Subtract => Scalar::Number(a - b),
            Operator::Multiply => Scalar::Number(a * b),
            Operator::Divide => Scalar::Number(a / b),
            Operator::Power => Scalar::Number(a.powf(b)),
            Operator::Or | Operator::And | Operator::Equal | Operator::NotEqual => Scalar::Truth(false),
        })
    }

    fn call(&self, function: Function, arguments: &[Term]) -> Result<f64, ConfigError> {
        let numbers: Result<Vec<f64>, _> = arguments.iter().map(|term| self.number(term)).collect();
        let numbers = numbers?;
        let first = numbers[0];
        Ok(match function {
            Function::Min => numbers.into_iter().fold(f64::INFINITY, f64::min),
            Function::Max => numbers.into_iter().fold(f64::NEG_INFINITY, f64::max),
            Function::Sqrt => first.sqrt(),
            Function::Ln => first.ln(),
            Function::Exp => first.exp(),
            Function::Abs => first.abs(),
            Function::Round => first.round(),
            Function::Floor => first.floor(),
            Function::Ceil => first.ceil(),
        })
    }

    fn number(&self, term: &Term) -> Result<f64, ConfigError> {
        match self.term(term)? {
            Scalar::Number(number) => Ok(number),
            other => Err(self.wrong_kind(term, &other, "a number")),
        }
    }

    fn truth(&self, term: &Term) -> Result<bool, ConfigError> {
        match self.term(term)? {
            Scalar::Truth(truth) => Ok(truth),
            other => Err(self.wrong_kind(term, &other, "true or false")),
        }
    }

    fn wrong_kind(&self, term: &Term, found: &Scalar, expected: &str) -> ConfigError {
        ConfigError::at(
            &within(self.place, &term.span),
            format!("this is {}", found.kind()),
            format!("expected {expected}"),
        )
    }
}

/// Where the text of a TOML string stands between its quotes; the whole string where it has escapes.
fn text_place(place: &Place, text: &str) -> Place {
    let written = place.source.inner().get(place.span.clone()).unwrap_or_default();
    let span = match written.find(text) {
        Some(offset) if !text.is_empty() => {
            let start = place.span.start + offset;
            start..start + text.len()
        }
        _ => place.span.clone(),
    };
    Place {
        source: place.source.clone(),
        span,
    }
}

/// The place of a part of the text; the whole where that is not the text as written.
fn within(text: &Place, part: &Range<usize>) -> Place {
    let span = text.span.start + part.start..text.span.start + part.end;
    Place {
        source: text.source.clone(),
        span: if span.end <= text.span.end {
            span
        } else {
            text.span.clone()
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expression(text: &str) -> Result<Expression, ConfigError> {
        let quoted = Value::String(text.to_owned()).to_string();
        Expression::parse(Node::parse("test", &format!("e = {quoted}"))?.get("e").unwrap())
    }

    fn lookup(key: &str) -> Option<Value> {
        Some(match key {
            "training.batch_size" => Value::Integer(16),
            "schedule.lr" => Value::Float(0.5),
            "optimizer.name" => Value::String("adamw".to_owned()),
            "model.bias" => Value::Boolean(true),
            _ => return None,
        })
    }

    fn value(text: &str) -> Scalar {
        expression(text).unwrap().evaluate(&lookup).unwrap()
    }

    #[test]
    fn operators_bind_as_in_mathematics() {
        for (text, expected) in [
            ("1 + 2 * 3 - 4 / 2", 5.0),
            ("8 - 4 - 2", 2.0),
            ("8 / 4 / 2", 1.0),
            ("2 ^ 3 ^ 2", 512.0),
            ("-2 ^ 2", -4.0),
            ("2 ^ -1", 0.5),
            ("(1 + 2) * 3", 9.0),
            ("2 - -1", 3.0),
            ("524_288 / 2e3", 262.144),
            ("min(3, 1, 2) + max(3, 1, 2)", 4.0),
            ("sqrt(training.batch_size) * schedule.lr", 2.0),
            ("ln(exp(1)) + abs(-1) + round(2.5) + floor(1.9) + ceil(1.1)", 8.0),
        ] {
            assert_eq!(value(text), Scalar::Number(expected), "{text}");
        }
    }

    #[test]
    fn conditions_hold_or_do_not() {
        for (text, expected) in [
            ("1 < 2 and 2 <= 2 and 3 > 2 and 2 >= 2", true),
            ("true or false and false", true),
            ("not true or true", true),
            ("not (true or true)", false),
            ("not 1 == 2", true),
            ("optimizer.name == 'adamw' and model.bias", true),
            ("optimizer.name != \"sgd\"", true),
            // What stands behind is not looked at.
            ("optimizer.name == 'sgd' and optimizer.beta1 > 0", false),
            ("model.bias or optimizer.beta1 > 0", true),
        ] {
            assert_eq!(value(text), Scalar::Truth(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z.0-9+*/()^<>=!'\" ,-]{0,40}") {
            if let Ok(expression) = expression(&text) {
                let _ = expression.node(&lookup);
                let _ = expression.holds(&lookup);
            }
        }

        #[test]
        fn sums_and_products_are_those_of_rust(a in -1e6..1e6f64, b in -1e6..1e6f64, c in 1.0..1e6f64) {
            prop_assert_eq!(value(&format!("{a} * ({b} - {c}) / {c} + {b}")), Scalar::Number(a * (b - c) / c + b));
        }

        #[test]
        fn nesting_is_bounded(depth in 0..5000usize) {
            let text = format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
            prop_assert_eq!(expression(&text).is_ok(), depth <= parse::DEEPEST);
        }
    }
}
