//! Whether a text certainly holds no secret. Twin: `span_processors/redaction/{secret_patterns,assignments}.py`.
//!
//! Python is the only judge of secrets. This looks, in one pass, for what each of its patterns cannot do without, and
//! says "clean" only where none of that is there. Every test in here may be broader than its pattern, never narrower;
//! tests on the Python side hold the two together.

use crate::secret_names::may_be_secret;
use crate::words::{Words, pair};

/// Without one of these no name names a secret; `secret_names.STEMS`.
static STEMS: Words<16> = Words::in_any_case([
    b"auth",
    b"bearer",
    b"card",
    b"connection",
    b"cookie",
    b"credential",
    b"cvc",
    b"cvv",
    b"jwt",
    b"key",
    b"otp",
    b"pass",
    b"pwd",
    b"secret",
    b"signature",
    b"token",
]);

/// What credentials begin with. `gl`, `sk-`, `xox` and those without a separator are looked at more closely.
static BEGINNINGS: Words<32> = Words::as_written([
    b"-----BEGIN",
    b"AIza",
    b"AKIA",
    b"ASIA",
    b"GOCSPX-",
    b"SG.",
    b"eyJ",
    b"gho_",
    b"ghp_",
    b"ghr_",
    b"ghs_",
    b"ghu_",
    b"github_pat_",
    b"gl",
    b"gsk",
    b"hf",
    b"hvs.",
    b"k_live_",
    b"k_test_",
    b"lsv2_",
    b"npm",
    b"nvapi-",
    b"pplx-",
    b"pypi-",
    b"r8",
    b"sk-",
    b"tvly",
    b"whsec_",
    b"xai-",
    b"xapp-",
    b"xox",
    b"ya29.",
]);

/// Names in two words; `assignments._NAMES`.
static FIRST_WORDS: Words<2> = Words::in_any_case([b"card", b"connection"]);
static SECOND_WORDS: Words<2> = Words::in_any_case([b"number", b"string"]);

/// Words in front of a credential of their own; `secret_patterns._SCHEMES`.
static SCHEMES: Words<4> = Words::in_any_case([b"basic", b"bearer", b"digest", b"token"]);

/// Characters that become ASCII ones in lower case: Python finds names in the lowered text.
const KELVIN: &[u8] = "\u{212a}".as_bytes();
const DOTTED_I: &[u8] = "\u{130}".as_bytes();

/// Characters of a name in front of its telling word that Python looks at.
const LOOKED_BACK: usize = 32;

const SHORTEST_CARD: usize = 13;
const LONGEST_CARD: usize = 19;

/// Bits of what may stand at a byte.
const STEM: u8 = 1;
const BEGINNING: u8 = 2;
const SCHEME: u8 = 4;
const SIGN: u8 = 8;

/// Signs that mean something by themselves.
static SIGNS: [u8; 256] = {
    let mut table = [0_u8; 256];
    let signs = [b'{', b'[', b'\\', b'<', b':', KELVIN[0], DOTTED_I[0]];
    let mut index = 0;
    while index < signs.len() {
        table[signs[index] as usize] = SIGN;
        index += 1;
    }
    let mut digit = b'0';
    while digit <= b'9' {
        table[digit as usize] = SIGN;
        digit += 1;
    }
    table
};

/// What may begin with two bytes, by five bits of each: nearly all positions of a text are done with by this.
static PAIRS: [u8; 1024] = {
    let pairs = STEMS.marked([0; 1024], STEM);
    let pairs = BEGINNINGS.marked(pairs, BEGINNING);
    SCHEMES.marked(pairs, SCHEME)
};

/// Whether Python's redactor would certainly leave this text as it is, as far as secrets go.
pub fn is_clean(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut seen = Seen::default();
    let mut at = 0;
    while at < bytes.len() {
        let next = bytes.get(at + 1).copied().unwrap_or(0);
        let may_begin = SIGNS[bytes[at] as usize] | PAIRS[pair(bytes[at], next)];
        if may_begin != 0 {
            if may_begin & SIGN != 0 {
                match bytes[at] {
                    b'{' | b'[' => seen.structure = true,
                    b'\\' => seen.backslash = true,
                    b'<' => {
                        if is_telling_element(bytes, at) {
                            return false;
                        }
                    }
                    b':' => {
                        if is_login(bytes, at) {
                            return false;
                        }
                    }
                    b'0'..=b'9' => {
                        let end = run_end(bytes, at, |byte| byte.is_ascii_digit());
                        if is_card(bytes, at, end) {
                            return false;
                        }
                        // `r8_` and the like begin with a letter, so nothing else begins among digits.
                        at = end;
                        continue;
                    }
                    _ => {
                        let rest = &bytes[at..];
                        if rest.starts_with(KELVIN) || rest.starts_with(DOTTED_I) {
                            return false;
                        }
                    }
                }
            }
            if may_begin & BEGINNING != 0 && is_credential(bytes, at) {
                return false;
            }
            if may_begin & SCHEME != 0 && is_scheme(bytes, at) {
                return false;
            }
            if may_begin & STEM != 0 {
                if let Some(stem) = STEMS.at(bytes, at) {
                    seen.stem = true;
                    if at >= seen.name_end {
                        seen.name_end = run_end(bytes, at + stem.len(), is_name);
                        seen.is_assigned = is_assigned(bytes, seen.name_end);
                    }
                    if is_secret_name(bytes, at, stem.len(), &seen) {
                        return false;
                    }
                }
            }
            // Names in objects are secret by their structure, which only Python reads.
            if seen.structure && (seen.stem || seen.backslash) {
                return false;
            }
        }
        at += 1;
    }
    true
}

/// What stands somewhere in the text and matters only together.
#[derive(Default)]
struct Seen {
    structure: bool,
    backslash: bool,
    stem: bool,
    /// Where the last name ended that has a telling word in it: the others in it are not followed by anything else, and
    /// reading it again for each of them would take time square to its length.
    name_end: usize,
    /// Whether something that assigns a value stands there.
    is_assigned: bool,
}

fn run_end(bytes: &[u8], from: usize, belongs: impl Fn(u8) -> bool) -> usize {
    bytes[from..]
        .iter()
        .position(|&byte| !belongs(byte))
        .map_or(bytes.len(), |length| from + length)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

/// Something that Python may take for white space: all of ASCII's, and anything beyond ASCII.
fn may_be_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | 0x1c..=0x1f | b' ') || !byte.is_ascii()
}

/// What assigns a value stands behind a name that ends here: `password=…`, `"api_key": …`.
fn is_assigned(bytes: &[u8], end: usize) -> bool {
    let mut next = run_end(bytes, end, |byte| byte == b'\\');
    if matches!(bytes.get(next), Some(b'"' | b'\'')) {
        next += 1;
    }
    next = run_end(bytes, next, |byte| matches!(byte, b']' | b')'));
    next = run_end(bytes, next, may_be_space);
    matches!(bytes.get(next), Some(b':' | b'=' | b'%'))
}

/// Whether the name around a telling word is one of a secret, and has a value behind it: behind a sign, or as the option
/// of a command (`--pwd …`).
fn is_secret_name(bytes: &[u8], at: usize, length: usize, seen: &Seen) -> bool {
    let end = seen.name_end;
    let is_spaced = bytes.get(end) == Some(&b' ');
    if !seen.is_assigned && !is_spaced {
        return false;
    }
    if is_spaced
        && end == at + length
        && FIRST_WORDS.at(bytes, at).is_some()
        && SECOND_WORDS.at(bytes, end + 1).is_some()
    {
        return true;
    }
    let Some(start) = name_start(bytes, at) else {
        return true;
    };
    (seen.is_assigned || bytes[start] == b'-') && may_be_secret(&bytes[start..end])
}

/// Where the name begins that a telling word stands in; also `API key` is one. None where it is longer than Python looks.
fn name_start(bytes: &[u8], at: usize) -> Option<usize> {
    let back = |from: usize| {
        bytes[..from]
            .iter()
            .rev()
            .take(LOOKED_BACK + 1)
            .take_while(|&&byte| is_name(byte))
            .count()
    };
    let before = back(at);
    if before == 0 && at > 0 && bytes[at - 1] == b' ' {
        let word = back(at - 1);
        return (word < LOOKED_BACK).then(|| at - 1 - word);
    }
    (before <= LOOKED_BACK).then(|| at - before)
}

/// A beginning of a credential, and behind it what may be one.
fn is_credential(bytes: &[u8], at: usize) -> bool {
    let Some(beginning) = BEGINNINGS.at(bytes, at) else {
        return false;
    };
    let behind = &bytes[at + beginning.len()..];
    match beginning {
        // `task-force` has one inside of a word.
        b"sk-" => {
            (at == 0 || !bytes[at - 1].is_ascii_alphanumeric())
                && behind.len() >= 16
                && behind[..16]
                    .iter()
                    .all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        }
        b"gl" => [b"pat-".as_slice(), b"ptt-", b"dt-", b"rt-", b"cbt-", b"soat-"]
            .iter()
            .any(|word| behind.starts_with(word)),
        b"xox" => behind.get(1) == Some(&b'-'),
        b"npm" | b"gsk" | b"tvly" | b"r8" | b"hf" => matches!(behind.first(), Some(b'_' | b'-')),
        _ => true,
    }
}

/// `Bearer …`, or another scheme with something behind it that is no word of prose.
fn is_scheme(bytes: &[u8], at: usize) -> bool {
    let Some(scheme) = SCHEMES.at(bytes, at) else {
        return false;
    };
    let end = at + scheme.len();
    let from = run_end(bytes, end, may_be_space);
    if from == end {
        return false;
    }
    let to = run_end(bytes, from, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'+' | b'/' | b'=' | b'-')
    });
    let mut value = &bytes[from..to];
    if value.len() < 8 {
        return false;
    }
    if scheme == b"bearer" {
        return true;
    }
    while let [shorter @ .., b'.'] = value {
        value = shorter;
    }
    let [first, others @ ..] = value else {
        return true;
    };
    // As `isalpha() and (islower() or istitle())` of Python.
    !(first.is_ascii_alphabetic() && others.iter().all(u8::is_ascii_lowercase))
}

/// `<password>…`: an element whose name is one of a secret.
fn is_telling_element(bytes: &[u8], at: usize) -> bool {
    let end = run_end(bytes, at + 1, |byte| is_name(byte) || byte == b':');
    may_be_secret(&bytes[at + 1..end])
}

/// `://user:password@…`.
fn is_login(bytes: &[u8], at: usize) -> bool {
    if !bytes[at..].starts_with(b"://") {
        return false;
    }
    let ends = |byte: u8| matches!(byte, b'/' | b'"' | b'<' | b'>' | b'\t'..=b'\r' | b' ');
    let end = run_end(bytes, at + 3, |byte| !ends(byte));
    bytes[at + 3..end].contains(&b'@')
}

/// The number of a payment card in one or in groups. `from..to` is a whole run of digits.
fn is_card(bytes: &[u8], from: usize, to: usize) -> bool {
    if !(b'2'..=b'6').contains(&bytes[from]) {
        return false;
    }
    let digits = to - from;
    if digits >= SHORTEST_CARD {
        return digits <= LONGEST_CARD && passes_luhn(&bytes[from..to]);
    }
    if digits != 4 {
        return false;
    }
    let Some(second) = after_separator(bytes, to) else {
        return false;
    };
    match group_end(bytes, second) - second {
        6 => after_separator(bytes, second + 6).is_some_and(|third| group_end(bytes, third) > third),
        4 => after_separator(bytes, second + 4).is_some_and(|third| group_end(bytes, third) == third + 4),
        _ => false,
    }
}

fn group_end(bytes: &[u8], from: usize) -> usize {
    run_end(bytes, from, |byte| byte.is_ascii_digit())
}

/// Where it goes on behind a blank (also one that does not break), a point or a dash.
fn after_separator(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b' ' | b'.' | b'-' => Some(at + 1),
        0xc2 if bytes.get(at + 1) == Some(&0xa0) => Some(at + 2),
        _ => None,
    }
}

fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| {
            let value = u32::from(digit - b'0') << (place % 2);
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::is_clean;

    #[test]
    fn prose_is_clean() {
        for text in [
            "",
            "The basic information about the token economy, in English.",
            "a task-force-of-many-people at http://example.org/a@b, 2026-11-30 12:00",
            "{\"size\": 3}",
            "order 1234567890123456789012",
            "<td>42</td>",
            "Key: a; author=b; max_tokens: 100, \"completion_tokens\" : 7",
            "well-known key points",
            "<keyword>a</keyword>",
        ] {
            assert!(is_clean(text), "{text}");
        }
    }

    #[test]
    fn what_may_be_a_secret_is_not() {
        for text in [
            "password=hunter2",
            "Pass\u{212a}ey",
            "API key : abc",
            "--db-pwd abc",
            "card number: 1",
            "\"token\\\" : 1",
            "Authorization\u{a0}: abc",
            "Bearer abcdefgh",
            "basic dXNlcjpwYXNz",
            "sk-abcdefghijklmnop",
            "glpat-abc",
            "postgres://me:it@host",
            "4111 1111 1111 1111",
            "4111111111111111",
            "3782 822463 10005",
            "<db_password>x",
            "[1] and the author",
            "{\\n}",
        ] {
            assert!(!is_clean(text), "{text}");
        }
    }

    #[test]
    fn any_cut_of_a_text_can_be_read() {
        let text = "://@ <auth 4111-1111-1111-1111 basic \u{a0}sk- \u{212a} --token= xox";
        // Miri takes minutes for all of them.
        let step = if cfg!(miri) { 7 } else { 1 };
        for (start, _) in text.char_indices().step_by(step) {
            for (end, _) in text.char_indices().filter(|(end, _)| *end >= start) {
                let _ = is_clean(&text[start..end]);
            }
        }
    }
}
