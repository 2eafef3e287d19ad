//! What becomes of values by their keys, as Python has said it. Twin: `span_processors/redaction/redaction.py`.

use std::collections::HashMap;

/// Keys that are remembered, and how long they may be. As in Python; longer ones are left to it.
const REMEMBERED: usize = 4096;
pub const LONGEST: usize = 256;

/// `Verdict` of `value_cleaner.py`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Kept,
    Plain,
    Count,
    Content,
    Token,
    Secret,
    Renamed,
}

impl Verdict {
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "kept" => Self::Kept,
            "plain" => Self::Plain,
            "count" => Self::Count,
            "content" => Self::Content,
            "token" => Self::Token,
            "secret" => Self::Secret,
            "renamed" => Self::Renamed,
            _ => return None,
        })
    }
}

/// A key, and whether it is a member's of an object.
pub type Question = (String, bool);

#[derive(Debug, Default)]
pub struct Verdicts {
    own: HashMap<String, Verdict>,
    nested: HashMap<String, Verdict>,
}

impl Verdicts {
    pub fn of(&self, key: &str, nested: bool) -> Option<Verdict> {
        let known = if nested { &self.nested } else { &self.own };
        known.get(key).copied()
    }

    pub fn learn(&mut self, (key, nested): Question, verdict: Verdict) {
        let known = if nested { &mut self.nested } else { &mut self.own };
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, verdict);
    }
}
