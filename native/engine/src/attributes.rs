//! Attributes as they may be seen, as JSON. Twin: `span_processors/encoding/clean_attributes.py`, which asks
//! `redaction/value_cleaner.py` what may be seen and `event/json_safe.py` how it is written.
//!
//! Whatever may hold a secret, is read in part only, or is written in a way that is not certain here, is `Refusal::Unsure`:
//! then Python does all of it. So what Python would find in its caches makes no difference, and is counted here as if it
//! had found nothing.

use crate::cleanliness::is_clean;
use crate::json::{Name, Spec, Unsure, of_members, push_float, push_inside, push_int, push_spec, push_text};
use crate::value::{Members, Value};
use crate::verdicts::{LONGEST, Question, Verdict, Verdicts};

/// `value_cleaner.SHORT`: texts up to this length are searched whatever was spent.
const SHORT: usize = 256;
/// `value_cleaner.OVERLAP`: so much more is searched of a text that is cut.
const OVERLAP: usize = 512;
/// `redaction._LONG_TEXTS`: what all texts of one set may have together, as a multiple of what one may.
const LONG_TEXTS: usize = 8;
const HIDDEN: &str = "[redacted]";
/// Texts that say so were cut before.
const CUT_BEFORE: &str = "more characters]";
/// At least the last 32 characters, which Python looks at.
const CUT_END: usize = 128;
/// Values of one set that are written here. Python has a budget of its own beyond.
const MOST_VALUES: usize = 4096;
/// Levels that are read here; far less than either budget of Python's.
pub const DEEPEST: usize = 16;
/// Keys that are asked about at a time.
const MOST_QUESTIONS: usize = 64;
/// `metadata_names.is_number`: the longest text that is a number.
const LONGEST_NUMBER: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Full,
    Hash,
    Off,
}

/// `RedactionPolicy`, as far as it matters here.
#[derive(Debug, Clone)]
pub struct Policy {
    pub content: Content,
    pub hides_emails: bool,
    /// In lower case.
    pub secret_keys: Vec<String>,
    pub max_length: usize,
    pub max_depth: usize,
    pub max_items: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Encoded {
    pub json: Vec<u8>,
    /// Empty where JSON says it all.
    pub types: Vec<u8>,
    /// Places of the attributes that were left out.
    pub removed: Vec<usize>,
    pub hidden: usize,
    /// Characters that the flow's budget is charged with.
    pub spent: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Python decides.
    Unsure,
    /// What Python has to say first.
    Unknown(Vec<Question>),
}

impl From<Unsure> for Refusal {
    fn from(_: Unsure) -> Self {
        Self::Unsure
    }
}

/// `budget`: characters that may be searched of the flow.
pub fn encode(
    policy: &Policy,
    verdicts: &Verdicts,
    attributes: &Members<'_>,
    budget: usize,
) -> Result<Encoded, Refusal> {
    let mut pass = Pass {
        policy,
        verdicts,
        out: Vec::with_capacity(256),
        characters: (LONG_TEXTS * policy.max_length).min(isize::MAX as usize) as isize,
        items: policy.max_items.min(isize::MAX as usize) as isize,
        values: 0,
        hidden: 0,
        budget,
        questions: Vec::new(),
    };
    let mut removed = Vec::new();
    let mut specs = Vec::new();
    pass.out.push(b'{');
    for (place, (key, value)) in attributes.iter().enumerate() {
        match pass.member(key, value, 0)? {
            Fate::Written(Some(spec)) => specs.push((Name::Key(key), spec)),
            Fate::Written(None) => {}
            Fate::Removed => removed.push(place),
        }
    }
    pass.out.push(b'}');
    if !pass.questions.is_empty() {
        return Err(Refusal::Unknown(pass.questions));
    }
    let mut types = Vec::new();
    if let Some(spec) = of_members(specs) {
        push_spec(&mut types, &spec)?;
    }
    Ok(Encoded {
        json: pass.out,
        types,
        removed,
        hidden: pass.hidden,
        spent: budget - pass.budget,
    })
}

/// What became of a member.
enum Fate<'a> {
    Written(Option<Spec<'a>>),
    Removed,
}

struct Pass<'p> {
    policy: &'p Policy,
    verdicts: &'p Verdicts,
    out: Vec<u8>,
    /// What is left of `ValueCleaner`'s budgets at least.
    characters: isize,
    items: isize,
    values: usize,
    hidden: usize,
    /// What is left to the flow.
    budget: usize,
    questions: Vec<Question>,
}

impl Pass<'_> {
    /// `ValueCleaner.attribute`, with the key in front.
    fn member<'a>(&mut self, key: &str, value: &Value<'a>, depth: usize) -> Result<Fate<'a>, Refusal> {
        if key.len() > LONGEST {
            return Err(Refusal::Unsure);
        }
        let Some(verdict) = self.verdicts.of(key, depth > 0) else {
            if self.questions.len() >= MOST_QUESTIONS {
                return Err(Refusal::Unknown(std::mem::take(&mut self.questions)));
            }
            self.questions.push((key.to_owned(), depth > 0));
            return Ok(Fate::Removed);
        };
        let verdict = match verdict {
            Verdict::Renamed => return Err(Refusal::Unsure),
            Verdict::Count => match is_number(value)? {
                true => Verdict::Plain,
                false => Verdict::Content,
            },
            Verdict::Token if matches!(value, Value::Bool(_) | Value::Int(_) | Value::Float(_)) => Verdict::Plain,
            other => other,
        };
        let is_shown = matches!(value, Value::Null | Value::Text(HIDDEN)) || verdict == Verdict::Kept;
        if verdict == Verdict::Content && !is_shown {
            match self.policy.content {
                Content::Full => {}
                Content::Hash => return Err(Refusal::Unsure),
                Content::Off => {
                    self.hidden += 1;
                    return Ok(Fate::Removed);
                }
            }
        }
        if !matches!(self.out.last(), Some(b'{')) {
            self.out.push(b',');
        }
        push_text(&mut self.out, key)?;
        self.out.push(b':');
        if is_shown {
            return Ok(Fate::Written(self.as_it_is(value, depth)?));
        }
        if matches!(verdict, Verdict::Secret | Verdict::Token) {
            self.hidden += 1;
            self.count()?;
            push_text(&mut self.out, HIDDEN)?;
            return Ok(Fate::Written(None));
        }
        Ok(Fate::Written(self.value(value, depth)?))
    }

    /// `ValueCleaner.value`. A negative depth is never needed: content within an object counts from its own level there.
    fn value<'a>(&mut self, value: &Value<'a>, depth: usize) -> Result<Option<Spec<'a>>, Refusal> {
        match value {
            Value::Text(text) => {
                self.count()?;
                self.text(text)?;
                Ok(None)
            }
            Value::List(items) => {
                self.enter(depth)?;
                self.out.push(b'[');
                let mut specs = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    self.step()?;
                    if index > 0 {
                        if may_be_option(&items[index - 1]) && matches!(item, Value::Text(_)) {
                            return Err(Refusal::Unsure);
                        }
                        self.out.push(b',');
                    }
                    if let Some(spec) = self.value(item, depth + 1)? {
                        specs.push((Name::Index(index), spec));
                    }
                }
                self.out.push(b']');
                Ok(of_members(specs))
            }
            Value::Map(members) => {
                self.enter(depth)?;
                self.out.push(b'{');
                let mut specs = Vec::new();
                for (key, member) in members {
                    self.step()?;
                    self.key(key)?;
                    if let Fate::Written(Some(spec)) = self.member(key, member, depth + 1)? {
                        specs.push((Name::Key(key), spec));
                    }
                }
                self.out.push(b'}');
                Ok(of_members(specs))
            }
            _ => self.as_it_is(value, depth),
        }
    }

    /// A value that nothing is looked for in.
    fn as_it_is<'a>(&mut self, value: &Value<'a>, depth: usize) -> Result<Option<Spec<'a>>, Refusal> {
        self.count()?;
        if depth >= DEEPEST {
            return Err(Refusal::Unsure);
        }
        match value {
            Value::Null => self.out.extend_from_slice(b"null"),
            Value::Bool(true) => self.out.extend_from_slice(b"true"),
            Value::Bool(false) => self.out.extend_from_slice(b"false"),
            Value::Int(number) => return Ok(push_int(&mut self.out, *number)),
            Value::Float(number) => return Ok(push_float(&mut self.out, *number)?),
            Value::Text(text) => push_text(&mut self.out, text)?,
            Value::List(items) => {
                self.out.push(b'[');
                let mut specs = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.out.push(b',');
                    }
                    if let Some(spec) = self.as_it_is(item, depth + 1)? {
                        specs.push((Name::Index(index), spec));
                    }
                }
                self.out.push(b']');
                return Ok(of_members(specs));
            }
            Value::Map(members) => {
                self.out.push(b'{');
                let mut specs = Vec::new();
                for (index, (key, member)) in members.iter().enumerate() {
                    if index > 0 {
                        self.out.push(b',');
                    }
                    push_text(&mut self.out, key)?;
                    self.out.push(b':');
                    if let Some(spec) = self.as_it_is(member, depth + 1)? {
                        specs.push((Name::Key(key), spec));
                    }
                }
                self.out.push(b'}');
                return Ok(of_members(specs));
            }
        }
        Ok(None)
    }

    /// A text that is certainly clean, cut where it is too long.
    fn text(&mut self, text: &str) -> Result<(), Refusal> {
        let length = length_of(text);
        let limit = self.policy.max_length;
        if length > SHORT {
            let read = length.min(limit);
            // Less is read of what comes when others have used up what there is.
            if self.characters < limit as isize || read > self.budget {
                return Err(Refusal::Unsure);
            }
            self.budget -= read;
        }
        self.characters -= length.min(limit) as isize;
        if length <= limit {
            if !self.is_clean(text) {
                return Err(Refusal::Unsure);
            }
            return Ok(push_text(&mut self.out, text)?);
        }
        if !self.is_clean(beginning(text, limit + OVERLAP)) || may_be_cut_before(text) {
            return Err(Refusal::Unsure);
        }
        self.out.push(b'"');
        push_inside(&mut self.out, beginning(text, limit))?;
        push_inside(&mut self.out, &format!("… [{} {CUT_BEFORE}", length - limit))?;
        self.out.push(b'"');
        Ok(())
    }

    /// A name within an object is a text like any other.
    fn key(&mut self, key: &str) -> Result<(), Refusal> {
        let length = length_of(key);
        if length > SHORT.min(self.policy.max_length) || !self.is_clean(key) {
            return Err(Refusal::Unsure);
        }
        self.characters -= length as isize;
        Ok(())
    }

    fn is_clean(&self, text: &str) -> bool {
        if self.policy.hides_emails && text.contains('@') {
            return false;
        }
        if !self.policy.secret_keys.is_empty() {
            if !text.is_ascii() {
                return false;
            }
            let lowered = text.to_ascii_lowercase();
            if self.policy.secret_keys.iter().any(|key| lowered.contains(key)) {
                return false;
            }
        }
        is_clean(text)
    }

    fn enter(&mut self, depth: usize) -> Result<(), Refusal> {
        self.count()?;
        self.items -= 1;
        if depth >= self.policy.max_depth.min(DEEPEST) {
            return Err(Refusal::Unsure);
        }
        Ok(())
    }

    /// Python leaves out what comes after either budget is used up.
    fn step(&mut self) -> Result<(), Refusal> {
        if self.items <= 0 || self.characters <= 0 {
            return Err(Refusal::Unsure);
        }
        self.items -= 1;
        Ok(())
    }

    fn count(&mut self) -> Result<(), Refusal> {
        self.values += 1;
        if self.values > MOST_VALUES {
            return Err(Refusal::Unsure);
        }
        Ok(())
    }
}

/// `metadata_names.is_number`.
fn is_number(value: &Value<'_>) -> Result<bool, Unsure> {
    match value {
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => Ok(true),
        // Other alphabets have digits too.
        Value::Text(text) if !text.is_ascii() => Err(Unsure),
        Value::Text(text) => {
            Ok(!text.is_empty() && text.len() <= LONGEST_NUMBER && text.bytes().all(|byte| byte.is_ascii_digit()))
        }
        _ => Ok(false),
    }
}

/// `--password` among the arguments of a command; the next one is the secret.
fn may_be_option(value: &Value<'_>) -> bool {
    matches!(value, Value::Text(text) if text.starts_with('-') && !text.contains('='))
}

fn may_be_cut_before(text: &str) -> bool {
    let end = &text.as_bytes()[text.len().saturating_sub(CUT_END)..];
    end.windows(CUT_BEFORE.len()).any(|part| part == CUT_BEFORE.as_bytes())
}

/// In characters, as Python counts.
fn length_of(text: &str) -> usize {
    text.chars().count()
}

/// The first characters of a text.
fn beginning(text: &str, length: usize) -> &str {
    text.char_indices().nth(length).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::{Content, Encoded, Policy, Refusal, encode};
    use crate::value::Value;
    use crate::verdicts::{Verdict, Verdicts};

    fn policy(content: Content) -> Policy {
        Policy {
            content,
            hides_emails: false,
            secret_keys: vec!["tenant".into()],
            max_length: 300,
            max_depth: 16,
            max_items: 50,
        }
    }

    fn verdicts() -> Verdicts {
        let mut verdicts = Verdicts::default();
        for (key, verdict) in [
            ("a", Verdict::Plain),
            ("kept", Verdict::Kept),
            ("said", Verdict::Content),
            ("count", Verdict::Count),
            ("password", Verdict::Secret),
            ("tokens", Verdict::Token),
            ("new name", Verdict::Renamed),
        ] {
            verdicts.learn((key.into(), false), verdict);
            verdicts.learn((key.into(), true), verdict);
        }
        verdicts
    }

    fn encoded(content: Content, attributes: Vec<(&str, Value<'_>)>) -> Result<Encoded, Refusal> {
        encode(&policy(content), &verdicts(), &attributes, 10_000)
    }

    fn shown(content: Content, attributes: Vec<(&str, Value<'_>)>) -> (String, String, usize) {
        let done = encoded(content, attributes).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(done.json), text(done.types), done.hidden)
    }

    #[test]
    fn values_and_their_types_are_written() {
        let nested = Value::Map(vec![("a", Value::List(vec![Value::Int(1 << 60), Value::Null]))]);
        let given = vec![("a", Value::Float(2.0)), ("kept", nested), ("tokens", Value::Int(5))];
        assert_eq!(
            shown(Content::Off, given),
            (
                r#"{"a":2,"kept":{"a":["1152921504606846976",null]},"tokens":5}"#.into(),
                r#"{"a":"double","kept":{"a":{"0":"int"}}}"#.into(),
                0
            )
        );
    }

    #[test]
    fn secrets_are_hidden_by_their_names_and_content_by_policy() {
        let given = || {
            vec![
                ("said", Value::Text("hello")),
                (
                    "a",
                    Value::Map(vec![("said", Value::Text("hello")), ("count", Value::Text("7"))]),
                ),
                ("password", Value::Text("hunter2")),
            ]
        };
        assert_eq!(
            shown(Content::Off, given()),
            (
                r#"{"a":{"count":"7"},"password":"[redacted]"}"#.into(),
                String::new(),
                3
            )
        );
        assert_eq!(
            shown(Content::Full, given()),
            (
                r#"{"said":"hello","a":{"said":"hello","count":"7"},"password":"[redacted]"}"#.into(),
                String::new(),
                1
            )
        );
        assert_eq!(encoded(Content::Off, given()).unwrap().removed, [0]);
        assert_eq!(encoded(Content::Hash, given()), Err(Refusal::Unsure));
    }

    #[test]
    fn long_texts_are_cut_and_charged() {
        let long = "é".repeat(301);
        let done = encode(
            &Policy {
                secret_keys: Vec::new(),
                ..policy(Content::Off)
            },
            &verdicts(),
            &vec![("a", Value::Text(&long))],
            10_000,
        )
        .unwrap();
        assert_eq!(done.spent, 300);
        assert!(
            String::from_utf8(done.json)
                .unwrap()
                .ends_with("é… [1 more characters]\"}")
        );
    }

    #[test]
    fn what_is_not_certain_is_left_to_python() {
        let long = "a b ".repeat(70);
        let many = vec![Value::Text(&long); 9];
        for given in [
            vec![("a", Value::Text("password=hunter2"))],
            vec![("a", Value::Text("the Tenant"))],
            vec![("a", Value::Text("\0"))],
            vec![("new name", Value::Null)],
            vec![("a", Value::List(many))],
            vec![("a", Value::List(vec![Value::Null; 51]))],
            vec![(
                "a",
                Value::List(vec![Value::Text("--password"), Value::Text("hunter2")]),
            )],
            vec![("count", Value::Text("٣"))],
        ] {
            assert_eq!(encoded(Content::Off, given.clone()), Err(Refusal::Unsure), "{given:?}");
        }
        let text = "a".repeat(300);
        let given = vec![("a", Value::Text(&text))];
        assert_eq!(
            encode(&policy(Content::Off), &verdicts(), &given, 299),
            Err(Refusal::Unsure)
        );
    }

    #[test]
    fn unknown_keys_are_asked_about_at_once() {
        let given = vec![
            ("new", Value::Int(1)),
            ("a", Value::Map(vec![("newer", Value::Int(1))])),
        ];
        let asked = vec![("new".to_owned(), false), ("newer".to_owned(), true)];
        assert_eq!(encoded(Content::Off, given), Err(Refusal::Unknown(asked)));
    }
}
