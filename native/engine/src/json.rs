//! JSON as `orjson` writes it. Twin: `span_processors/event/json_safe.py`, for what JSON cannot say by itself.

use std::io::Write;

/// Python's side decides: the core is not certain that it would write the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsure;

/// The largest integer that every reader of JSON keeps exactly.
const MAX_SAFE: u64 = (1 << 53) - 1;
/// Beyond these a double is written with an exponent.
const SMALLEST: f64 = 1e-5;
const LARGEST: f64 = 1e16;

/// What JSON could not say of a value, to stand in `types`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec<'a> {
    Word(&'static str),
    Members(Vec<(Name<'a>, Spec<'a>)>),
}

/// A member of an object or of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name<'a> {
    Key(&'a str),
    Index(usize),
}

const INT: Option<Spec<'static>> = Some(Spec::Word("int"));
const DOUBLE: Option<Spec<'static>> = Some(Spec::Word("double"));

/// How each byte is escaped: not at all, by a letter behind a backslash, or as `\u00..`.
const PLAIN: u8 = 0;
const CODE: u8 = 1;
static ESCAPES: [u8; 256] = {
    let mut table = [PLAIN; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = CODE;
        byte += 1;
    }
    table[0x08] = b'b';
    table[b'\t' as usize] = b't';
    table[b'\n' as usize] = b'n';
    table[0x0c] = b'f';
    table[b'\r' as usize] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

pub fn push_text(out: &mut Vec<u8>, text: &str) -> Result<(), Unsure> {
    out.push(b'"');
    push_inside(out, text)?;
    out.push(b'"');
    Ok(())
}

/// A text or a part of one, without quotes around it. There is no NUL in what is written: Postgres cannot keep it.
pub fn push_inside(out: &mut Vec<u8>, text: &str) -> Result<(), Unsure> {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    let mut written = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let escape = ESCAPES[byte as usize];
        if escape == PLAIN {
            continue;
        }
        if byte == 0 {
            return Err(Unsure);
        }
        out.extend_from_slice(&bytes[written..at]);
        written = at + 1;
        if escape == CODE {
            push_formatted(out, format_args!("\\u{byte:04x}"));
        } else {
            out.extend_from_slice(&[b'\\', escape]);
        }
    }
    out.extend_from_slice(&bytes[written..]);
    Ok(())
}

pub fn push_int(out: &mut Vec<u8>, number: i64) -> Option<Spec<'static>> {
    if number.unsigned_abs() <= MAX_SAFE {
        push_formatted(out, format_args!("{number}"));
        return None;
    }
    push_formatted(out, format_args!("\"{number}\""));
    INT
}

pub fn push_float(out: &mut Vec<u8>, number: f64) -> Result<Option<Spec<'static>>, Unsure> {
    if !number.is_finite() {
        let word: &[u8] = if number.is_nan() {
            b"\"NaN\""
        } else if number > 0.0 {
            b"\"Infinity\""
        } else {
            b"\"-Infinity\""
        };
        out.extend_from_slice(word);
        return Ok(DOUBLE);
    }
    let size = number.abs();
    if number.fract() == 0.0 {
        if size > MAX_SAFE as f64 {
            return Err(Unsure);
        }
        if number == 0.0 && number.is_sign_negative() {
            // No integer stands for it.
            out.extend_from_slice(b"-0.0");
        } else {
            push_formatted(out, format_args!("{}", number as i64));
        }
        return Ok(DOUBLE);
    }
    if !(SMALLEST..LARGEST).contains(&size) {
        return Err(Unsure);
    }
    push_formatted(out, format_args!("{number}"));
    Ok(None)
}

/// What of the members could not be said, if anything.
pub fn of_members<'a>(members: Vec<(Name<'a>, Spec<'a>)>) -> Option<Spec<'a>> {
    (!members.is_empty()).then_some(Spec::Members(members))
}

pub fn push_spec(out: &mut Vec<u8>, spec: &Spec<'_>) -> Result<(), Unsure> {
    match spec {
        Spec::Word(word) => push_text(out, word),
        Spec::Members(members) => {
            out.push(b'{');
            for (index, (name, member)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                match name {
                    Name::Key(key) => push_text(out, key)?,
                    Name::Index(place) => push_formatted(out, format_args!("\"{place}\"")),
                }
                out.push(b':');
                push_spec(out, member)?;
            }
            out.push(b'}');
            Ok(())
        }
    }
}

fn push_formatted(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    // Writing to a vector does not fail.
    let _ = out.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::{Spec, Unsure, push_float, push_int, push_text};

    fn text(text: &str) -> Result<String, Unsure> {
        let mut out = Vec::new();
        push_text(&mut out, text)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn float(number: f64) -> Result<(String, bool), Unsure> {
        let mut out = Vec::new();
        let spec = push_float(&mut out, number)?;
        Ok((String::from_utf8(out).unwrap(), spec.is_some()))
    }

    #[test]
    fn texts_are_escaped() {
        assert_eq!(
            text("a\"b\\c\n\u{1}\u{7f}é").unwrap(),
            "\"a\\\"b\\\\c\\n\\u0001\u{7f}é\""
        );
        assert_eq!(text("\0"), Err(Unsure));
    }

    #[test]
    fn numbers_that_json_cannot_say_are_marked() {
        let mut out = Vec::new();
        assert_eq!(push_int(&mut out, 1 << 53), Some(Spec::Word("int")));
        assert_eq!(push_int(&mut out, -5), None);
        assert_eq!(out, b"\"9007199254740992\"-5");
        assert_eq!(float(1.0), Ok(("1".into(), true)));
        assert_eq!(float(-0.0), Ok(("-0.0".into(), true)));
        assert_eq!(float(0.1), Ok(("0.1".into(), false)));
        assert_eq!(float(f64::NAN), Ok(("\"NaN\"".into(), true)));
        assert_eq!(float(1e300), Err(Unsure));
        assert_eq!(float(1e-7), Err(Unsure));
    }
}
