//! The replies of one round trip, read as they come in (RESP2). Twin: `span_processors/redis/resp_replies.py`.
//!
//! Whoever sits at the other end may send anything: what is kept is bounded by the number of commands, what is announced is
//! reserved nowhere, and nothing recurses.

use std::fmt;
use std::ops::Range;

/// Bytes that may come in answer to a round trip: so many, and so many for each command.
const ROOM: usize = 65_536;
const ROOM_PER_COMMAND: usize = 1024;
/// Bytes of a status, of an error, or of a number.
const MAX_LINE: usize = 16_384;
/// Arrays within arrays.
const MAX_DEPTH: usize = 4;
/// Digits of a number.
const DIGITS: usize = 19;

/// Why these are no replies to what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    TooMuch,
    LongLine,
    NoNumber,
    NoEnd,
    TooDeep,
    Unknown,
    TooMany,
}

impl fmt::Display for Problem {
    /// In Python's words.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TooMuch => "Redis sent more than any reply to these commands takes",
            Self::LongLine => "Redis sent a line that is too long",
            Self::NoNumber => "Redis sent something else where a number belongs",
            Self::NoEnd => "Redis sent a text that does not end where it says",
            Self::TooDeep => "Redis sent arrays that are nested too deeply",
            Self::Unknown => "Redis sent a reply of an unknown type",
            Self::TooMany => "Redis sent more replies than it had got commands",
        })
    }
}

/// A reply, or a part of one: an array is followed by its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// Of a status as well. Where it stands in `Replies::data`.
    Text(Range<usize>),
    Error(Range<usize>),
    Int(i64),
    Null,
    Array(usize),
}

#[derive(Debug)]
pub struct Replies {
    missing: usize,
    room: usize,
    /// Everything that has come.
    data: Vec<u8>,
    /// How much of it was understood, and how much there has to be to go on.
    at: usize,
    needed: usize,
    tokens: Vec<Token>,
    /// Items that are still to come of arrays that are not all there yet.
    open: Vec<usize>,
    all_well: bool,
}

impl Replies {
    /// `wanted`: how many commands they answer.
    pub fn new(wanted: usize) -> Self {
        Self {
            missing: wanted,
            room: ROOM.saturating_add(ROOM_PER_COMMAND.saturating_mul(wanted)),
            data: Vec::new(),
            at: 0,
            needed: 1,
            tokens: Vec::new(),
            open: Vec::new(),
            all_well: true,
        }
    }

    /// Whether all replies are there now. After a problem nothing more may be asked.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<bool, Problem> {
        if chunk.len() > self.room - self.data.len() {
            return Err(Problem::TooMuch);
        }
        self.data.extend_from_slice(chunk);
        if self.data.len() < self.needed {
            return Ok(false);
        }
        self.read()?;
        if self.missing > 0 {
            return Ok(false);
        }
        if self.at < self.data.len() {
            return Err(Problem::TooMany);
        }
        Ok(true)
    }

    /// Whether there is neither an error nor a null among them, within arrays not counted.
    pub fn all_well(&self) -> bool {
        self.all_well
    }

    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    pub fn text(&self, range: &Range<usize>) -> &[u8] {
        &self.data[range.clone()]
    }

    fn read(&mut self) -> Result<(), Problem> {
        let size = self.data.len();
        while self.missing > 0 && self.at < size {
            let kind = self.data[self.at];
            if !matches!(kind, b'$' | b':' | b'+' | b'-' | b'*') {
                return Err(Problem::Unknown);
            }
            let Some(end) = end_of_line(&self.data, self.at) else {
                // The last byte may be the first half of the line's end.
                if size - self.at > MAX_LINE + 1 {
                    return Err(Problem::LongLine);
                }
                self.needed = size + 1;
                return Ok(());
            };
            if end - self.at > MAX_LINE {
                return Err(Problem::LongLine);
            }
            let line = self.at + 1..end;
            let mut after = end + 2;
            let token = match kind {
                b'$' => match self.length(&self.data[line])? {
                    None => Token::Null,
                    Some(length) => {
                        let stop = after + length;
                        if stop + 2 > size {
                            self.needed = stop + 2;
                            return Ok(());
                        }
                        if &self.data[stop..stop + 2] != b"\r\n" {
                            return Err(Problem::NoEnd);
                        }
                        let text = Token::Text(after..stop);
                        after = stop + 2;
                        text
                    }
                },
                b':' => Token::Int(number(&self.data[line])?),
                b'+' => Token::Text(line),
                b'-' => Token::Error(line),
                _ => match self.length(&self.data[line])? {
                    None => Token::Null,
                    Some(length) => {
                        if length > 0 && self.open.len() == MAX_DEPTH {
                            return Err(Problem::TooDeep);
                        }
                        Token::Array(length)
                    }
                },
            };
            self.at = after;
            self.put(token);
        }
        self.needed = self.at + 1;
        Ok(())
    }

    fn put(&mut self, token: Token) {
        if self.open.is_empty() && !matches!(token, Token::Text(_) | Token::Int(_)) {
            self.all_well = false;
        }
        let items = if let Token::Array(items) = token { items } else { 0 };
        self.tokens.push(token);
        if items > 0 {
            self.open.push(items);
            return;
        }
        // Arrays that are complete with it are items of theirs.
        while let Some(left) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return;
            }
            self.open.pop();
        }
        self.missing -= 1;
    }

    /// None is the length of a null.
    fn length(&self, line: &[u8]) -> Result<Option<usize>, Problem> {
        match number(line)? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| Problem::NoNumber)?;
                if length > self.room {
                    return Err(Problem::TooMuch);
                }
                Ok(Some(length))
            }
        }
    }
}

fn end_of_line(data: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = data[at..].iter().position(|&byte| byte == b'\r') {
        at += found;
        match data.get(at + 1) {
            Some(b'\n') => return Some(at),
            Some(_) => at += 1,
            None => return None,
        }
    }
    None
}

fn number(line: &[u8]) -> Result<i64, Problem> {
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    if digits.is_empty() || digits.len() > DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Problem::NoNumber);
    }
    std::str::from_utf8(line)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Problem::NoNumber)
}

#[cfg(test)]
mod tests {
    use super::{Problem, Replies, Token};

    /// What comes of bytes that arrive so many at a time.
    fn read(wanted: usize, bytes: &[u8], at_a_time: usize) -> Result<Option<Vec<Token>>, Problem> {
        let mut replies = Replies::new(wanted);
        for chunk in bytes.chunks(at_a_time) {
            if replies.feed(chunk)? {
                return Ok(Some(replies.tokens.clone()));
            }
        }
        Ok(None)
    }

    fn read_anyhow(wanted: usize, bytes: &[u8]) -> Result<Option<Vec<Token>>, Problem> {
        let at_once = read(wanted, bytes, usize::MAX);
        for at_a_time in [1, 2, 3, 7] {
            assert_eq!(read(wanted, bytes, at_a_time), at_once, "{at_a_time} at a time");
        }
        at_once
    }

    #[test]
    fn every_type_is_read_in_whatever_pieces() {
        let bytes = b"$3\r\n1-0\r\n:-7\r\n+OK\r\n-ERR no\r\n$-1\r\n*-1\r\n*2\r\n*1\r\n:1\r\n$0\r\n\r\n*0\r\n";
        assert_eq!(
            read_anyhow(8, bytes),
            Ok(Some(vec![
                Token::Text(4..7),
                Token::Int(-7),
                Token::Text(15..17),
                Token::Error(20..26),
                Token::Null,
                Token::Null,
                Token::Array(2),
                Token::Array(1),
                Token::Int(1),
                Token::Text(54..54),
                Token::Array(0),
            ]))
        );
    }

    #[test]
    fn what_is_no_reply_is_a_problem() {
        for (bytes, problem) in [
            (&b">2\r\n+a\r\n+b\r\n"[..], Problem::Unknown),
            (b"%1\r\n", Problem::Unknown),
            (b"$x\r\n", Problem::NoNumber),
            (b"$-2\r\n", Problem::NoNumber),
            (b":\r\n", Problem::NoNumber),
            (b":+1\r\n", Problem::NoNumber),
            (b":9223372036854775808\r\n", Problem::NoNumber),
            (b":12345678901234567890\r\n", Problem::NoNumber),
            (b"$3\r\nabcd\r\n", Problem::NoEnd),
            (b"$1000000\r\n", Problem::TooMuch),
            (b"*2147483647\r\n", Problem::TooMuch),
            (b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", Problem::TooDeep),
        ] {
            assert_eq!(read_anyhow(2, bytes), Err(problem), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut bytes = vec![b'+'; super::MAX_LINE];
        bytes.extend_from_slice(b"\r\n");
        assert!(matches!(read(1, &bytes, 7), Ok(Some(_))));
        assert_eq!(read(1, &bytes[..bytes.len() - 1], usize::MAX), Ok(None));
        bytes.insert(0, b'+');
        assert_eq!(read(1, &bytes, 7), Err(Problem::LongLine));
        assert_eq!(read(1, &bytes, usize::MAX), Err(Problem::LongLine));
        assert_eq!(read(1, &bytes[..bytes.len() - 1], usize::MAX), Err(Problem::LongLine));
        assert_eq!(
            read(1, &[b'-'; super::MAX_LINE + 2], usize::MAX),
            Err(Problem::LongLine)
        );
    }

    #[test]
    fn more_than_was_asked_for_is_a_problem() {
        assert_eq!(read(1, b"+OK\r\n+", usize::MAX), Err(Problem::TooMany));
        let endless = b"*1\r\n".repeat(20_000);
        assert_eq!(read(1, &endless, usize::MAX), Err(Problem::TooMuch));
        let items = [&b"*60000\r\n"[..], &b":1\r\n".repeat(20_000)].concat();
        assert_eq!(read(1, &items, 4096), Err(Problem::TooMuch));
    }

    #[test]
    fn errors_and_nulls_are_not_well() {
        for (bytes, well) in [
            (&b"+OK\r\n:1\r\n"[..], true),
            (b"+OK\r\n-ERR\r\n", false),
            (b"+OK\r\n$-1\r\n", false),
            (b"+OK\r\n*1\r\n:1\r\n", false),
        ] {
            let mut replies = Replies::new(2);
            assert_eq!(replies.feed(bytes), Ok(true));
            assert_eq!(replies.all_well(), well);
        }
    }
}
