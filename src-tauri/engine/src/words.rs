//! The words for every sentence, per language.

/// The words of one language.
pub struct Words {}
