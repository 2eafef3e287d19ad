//! What the native core computes, on plain bytes and texts. Each module names its Python twin, which stays the reference.

pub mod caught;
pub mod cleanliness;
pub mod secret_names;
pub mod words;
