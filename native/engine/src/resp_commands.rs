//! Commands as they go to Redis (RESP). Twin: `span_processors/redis/resp_commands.py`.

/// A text with its length in front and its end behind it.
pub fn push_word(out: &mut Vec<u8>, word: &[u8]) {
    out.push(b'$');
    push_number(out, word.len());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

/// XADD: `head` is the command up to its value, ready for the wire.
pub fn push_entry(out: &mut Vec<u8>, head: &[u8], value: &[u8]) {
    out.reserve(head.len() + value.len() + 16);
    out.extend_from_slice(head);
    push_word(out, value);
}

pub fn push_command<'a>(out: &mut Vec<u8>, words: impl ExactSizeIterator<Item = &'a [u8]>) {
    out.push(b'*');
    push_number(out, words.len());
    out.extend_from_slice(b"\r\n");
    for word in words {
        push_word(out, word);
    }
}

fn push_number(out: &mut Vec<u8>, number: usize) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::{push_command, push_entry, push_number};

    #[test]
    fn commands_are_words_with_their_lengths() {
        let mut out = Vec::new();
        push_command(&mut out, [&b"SET"[..], b"", b"a\r\nb"].into_iter());
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\na\r\nb\r\n");
    }

    #[test]
    fn an_entry_is_its_command_and_its_value() {
        let mut out = b"before".to_vec();
        push_entry(&mut out, b"*2\r\n$4\r\nXADD\r\n", &[b'x'; 1234]);
        assert_eq!(&out[..28], b"before*2\r\n$4\r\nXADD\r\n$1234\r\nx");
        assert_eq!(out.len(), 6 + 14 + 7 + 1234 + 2);
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for number in [0, 7, 10, 999, 65_536, usize::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
