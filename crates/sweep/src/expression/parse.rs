//! From text to terms.

use std::ops::Range;

use training::config::{ConfigError, Place, nearest};

use super::{Function, Kind, Operator, Scalar, Term};
use crate::keys::{SEED, is_key, nearest_key};

/// How deep parentheses, signs, nots and powers may nest.
pub(super) const DEEPEST: usize = 100;
/// How many bytes an expression may have; terms nest no deeper.
const LONGEST: usize = 4096;

/// What is wrong with a text.
pub(super) struct Fault {
    message: String,
    label: String,
    help: Option<String>,
}

impl Fault {
    fn new(message: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            label: label.into(),
            help: None,
        }
    }

    pub fn at(self, place: &Place) -> ConfigError {
        let error = ConfigError::at(place, self.message, self.label);
        match self.help {
            Some(help) => error.help(help),
            None => error,
        }
    }
}

type Parsed = Result<Term, (Range<usize>, Fault)>;

const COMPARISONS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    // The longer first, of which the shorter is the beginning.
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

pub(super) fn parse(text: &str) -> Parsed {
    if text.len() > LONGEST {
        let fault = Fault::new("the expression is too long", format!("more than {LONGEST} bytes"));
        return Err((0..text.len(), fault));
    }
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    let term = parser.or()?;
    match parser.rest().chars().next() {
        None => Ok(term),
        Some(next) => {
            let here = parser.at..parser.at + next.len_utf8();
            let mut fault = Fault::new(
                "the expression should end here",
                "expected an operator or the end",
            );
            if next == '=' {
                fault.help = Some("`==` compares".to_owned());
            }
            Err((here, fault))
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&mut self) -> &'a str {
        let rest = self.text[self.at..].trim_start();
        self.at = self.text.len() - rest.len();
        rest
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let there = self.rest().starts_with(symbol);
        if there {
            self.at += symbol.len();
        }
        there
    }

    fn word(&mut self, word: &str) -> bool {
        let there = name(self.rest()) == word;
        if there {
            self.at += word.len();
        }
        there
    }

    fn or(&mut self) -> Parsed {
        self.chain(Self::and, |parser| parser.word("or").then_some(Operator::Or))
    }

    fn and(&mut self) -> Parsed {
        self.chain(Self::not, |parser| parser.word("and").then_some(Operator::And))
    }

    fn not(&mut self) -> Parsed {
        self.rest();
        let start = self.at;
        if !self.word("not") {
            return self.comparison();
        }
        let operand = self.nested(Self::not)?;
        Ok(Term {
            span: start..operand.span.end,
            kind: Kind::Not(Box::new(operand)),
        })
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.sum()?;
        for (symbol, operator) in COMPARISONS {
            if self.symbol(symbol) {
                return Ok(binary(operator, left, self.sum()?));
            }
        }
        Ok(left)
    }

    fn sum(&mut self) -> Parsed {
        self.chain(Self::product, |parser| {
            let plus = parser.symbol("+").then_some(Operator::Add);
            plus.or_else(|| parser.symbol("-").then_some(Operator::Subtract))
        })
    }

    fn product(&mut self) -> Parsed {
        self.chain(Self::sign, |parser| {
            let times = parser.symbol("*").then_some(Operator::Multiply);
            times.or_else(|| parser.symbol("/").then_some(Operator::Divide))
        })
    }

    fn sign(&mut self) -> Parsed {
        self.rest();
        let start = self.at;
        if !self.symbol("-") {
            return self.power();
        }
        let operand = self.nested(Self::sign)?;
        Ok(Term {
            span: start..operand.span.end,
            kind: Kind::Minus(Box::new(operand)),
        })
    }

    fn power(&mut self) -> Parsed {
        let base = self.operand()?;
        if !self.symbol("^") {
            return Ok(base);
        }
        let exponent = self.nested(Self::sign)?;
        Ok(binary(Operator::Power, base, exponent))
    }

    fn operand(&mut self) -> Parsed {
        let rest = self.rest();
        let start = self.at;
        match rest.chars().next() {
            Some('(') => {
                self.at += 1;
                let inner = self.nested(Self::or)?;
                self.closing(start)?;
                Ok(Term {
                    span: start..self.at,
                    ..inner
                })
            }
            Some(quote @ ('\'' | '"')) => self.quoted(quote),
            Some(digit) if digit.is_ascii_digit() || digit == '.' => self.number(),
            Some(letter) if letter.is_ascii_alphabetic() || letter == '_' => self.named(),
            found => {
                let end = start + found.map_or(0, char::len_utf8);
                let fault = Fault::new("something is missing here", "expected a number, a text or a key");
                Err((start..end, fault))
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Parsed {
        let start = self.at;
        let text = &self.text[start + 1..];
        let Some(end) = text.find(quote) else {
            let fault = Fault::new("a text has no end", format!("expected another {quote}"));
            return Err((start..self.text.len(), fault));
        };
        self.at = start + 1 + end + 1;
        Ok(constant(start..self.at, Scalar::Text(text[..end].to_owned())))
    }

    fn number(&mut self) -> Parsed {
        let start = self.at;
        let text = &self.text[start..];
        let part = |(i, c): (usize, char)| {
            let exponent_sign = "+-".contains(c) && text[..i].ends_with(['e', 'E']);
            !(c.is_ascii_alphanumeric() || "._".contains(c) || exponent_sign)
        };
        let length = text
            .char_indices()
            .find(|&at| part(at))
            .map_or(text.len(), |(i, _)| i);
        self.at += length;
        let span = start..self.at;
        match text[..length].replace('_', "").parse() {
            Ok(number) => Ok(constant(span, Scalar::Number(number))),
            Err(_) => {
                let message = format!("{} is no number", &text[..length]);
                Err((span, Fault::new(message, "expected a number, such as 3e-4")))
            }
        }
    }

    fn named(&mut self) -> Parsed {
        let start = self.at;
        let name = name(&self.text[start..]);
        self.at += name.len();
        let span = start..self.at;
        if let Some(truth) = [("true", true), ("false", false)]
            .iter()
            .find(|(word, _)| *word == name)
        {
            return Ok(constant(span, Scalar::Truth(truth.1)));
        }
        if self.rest().starts_with('(') {
            return self.call(name, span);
        }
        if name == SEED {
            let mut fault = Fault::new("the seed is the replicate of every point", "not known here");
            fault.help = Some("what an expression says holds for a point with all its seeds".to_owned());
            return Err((span, fault));
        }
        if is_key(name) {
            return Ok(Term {
                span,
                kind: Kind::Key(name.to_owned()),
            });
        }
        let label = nearest_key(name).map_or_else(
            || "no key of a recipe".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        let mut fault = Fault::new(format!("a recipe has no key `{name}`"), label);
        fault.help = Some("write a key with its table, such as schedule.lr, and a text in quotes".to_owned());
        Err((span, fault))
    }

    fn call(&mut self, name: &str, span: Range<usize>) -> Parsed {
        let names = Function::ALL.map(|(name, _)| name);
        let Some((_, function)) = Function::ALL.iter().find(|(known, _)| *known == name) else {
            let label = nearest(name, &names).map_or_else(
                || "no function".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            let mut fault = Fault::new(format!("there is no function `{name}`"), label);
            fault.help = Some(format!("the functions are {}", names.join(", ")));
            return Err((span, fault));
        };
        let open = self.at;
        self.at += 1;
        let mut arguments = vec![self.nested(Self::or)?];
        while self.symbol(",") {
            arguments.push(self.nested(Self::or)?);
        }
        self.closing(open)?;
        let several = matches!(function, Function::Min | Function::Max);
        if arguments.len() > 1 && !several {
            let message = format!("{name} takes one number");
            return Err((
                span.start..self.at,
                Fault::new(message, format!("{} here", arguments.len())),
            ));
        }
        Ok(Term {
            span: span.start..self.at,
            kind: Kind::Call(*function, arguments),
        })
    }

    fn closing(&mut self, open: usize) -> Result<(), (Range<usize>, Fault)> {
        if self.symbol(")") {
            return Ok(());
        }
        let fault = Fault::new("a parenthesis is not closed", "this one");
        Err((open..open + 1, fault))
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Parsed) -> Parsed {
        if self.depth == DEEPEST {
            let fault = Fault::new(
                "the expression is nested too deeply",
                format!("at most {DEEPEST} deep"),
            );
            return Err((self.at..self.at, fault));
        }
        self.depth += 1;
        let term = parse(self)?;
        self.depth -= 1;
        Ok(term)
    }

    fn chain(
        &mut self,
        operand: fn(&mut Self) -> Parsed,
        operator: fn(&mut Self) -> Option<Operator>,
    ) -> Parsed {
        let mut left = operand(self)?;
        while let Some(operator) = operator(self) {
            left = binary(operator, left, operand(self)?);
        }
        Ok(left)
    }
}

fn name(text: &str) -> &str {
    let part = |c: char| c.is_ascii_alphanumeric() || "_.".contains(c);
    &text[..text.find(|c| !part(c)).unwrap_or(text.len())]
}

fn constant(span: Range<usize>, value: Scalar) -> Term {
    Term {
        span,
        kind: Kind::Constant(value),
    }
}

fn binary(operator: Operator, left: Term, right: Term) -> Term {
    Term {
        span: left.span.start..right.span.end,
        kind: Kind::Binary(operator, Box::new([left, right])),
    }
}
