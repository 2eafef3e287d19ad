//! What the native core computes, on plain bytes and texts. Each module names its Python twin, which stays the reference.

#![forbid(unsafe_code)]

pub mod attributes;
pub mod caught;
pub mod cleanliness;
pub mod json;
pub mod resp_commands;
pub mod resp_replies;
pub mod secret_names;
pub mod value;
pub mod verdicts;
pub mod words;
