use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};

use super::Place;

/// What is wrong with a recipe or a sweep file: the cause, the place and the cure.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
pub struct ConfigError {
    message: String,
    label: String,
    #[source_code]
    source_code: Option<Arc<NamedSource<String>>>,
    #[label("{label}")]
    span: Option<SourceSpan>,
    #[help]
    help: Option<String>,
}

impl ConfigError {
    /// An error at a place; `label` stands beside the caret.
    pub fn at(place: &Place, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            label: label.into(),
            source_code: Some(place.source.clone()),
            span: Some(place.span.clone().into()),
            help: None,
        }
    }

    /// An error of something that was not written anywhere, such as a missing key.
    pub fn nowhere(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            label: String::new(),
            source_code: None,
            span: None,
            help: None,
        }
    }

    /// Says what would mend it.
    #[must_use]
    pub fn help(mut self, cure: impl Into<String>) -> Self {
        self.help = Some(cure.into());
        self
    }
}
