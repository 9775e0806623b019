use std::borrow::Cow;

/// The bias, or zeros in its place, `width` of them. They are -0, which changes nothing when it is added, not even the
/// sign of a zero.
pub(super) fn or_zeros(bias: Option<&[f32]>, width: usize) -> Cow<'_, [f32]> {
    match bias {
        Some(bias) => Cow::Borrowed(bias),
        None => Cow::Owned(vec![-0.0; width]),
    }
}

/// How wide rows are taken to be where nothing depends on it: without a bias, elements stand for themselves.
pub(super) const ANY_WIDTH: usize = 1024;
