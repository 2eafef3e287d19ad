//! Values of attributes, borrowed from whoever holds them.

/// A value that JSON can carry, if only with a word beside it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    List(Vec<Value<'a>>),
    Map(Members<'a>),
}

/// Names and values in their order.
pub type Members<'a> = Vec<(&'a str, Value<'a>)>;
