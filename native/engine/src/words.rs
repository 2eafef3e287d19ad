//! Lists of words that are looked for at every byte of a text.

/// At most 255 words of at least two bytes, in the order of their first bytes.
pub struct Words<const N: usize> {
    words: [&'static [u8]; N],
    ignores_case: bool,
    /// Where the words with a first byte are in the list.
    ranges: [(u8, u8); 256],
}

impl<const N: usize> Words<N> {
    /// Words in lower case that may be written in any.
    pub const fn in_any_case(words: [&'static [u8]; N]) -> Self {
        Self::new(words, true)
    }

    pub const fn as_written(words: [&'static [u8]; N]) -> Self {
        Self::new(words, false)
    }

    const fn new(words: [&'static [u8]; N], ignores_case: bool) -> Self {
        let mut ranges = [(0_u8, 0_u8); 256];
        let mut index = 0;
        while index < N {
            let first = words[index][0] as usize;
            assert!(words[index].len() >= 2);
            assert!(
                index == 0 || words[index - 1][0] <= words[index][0],
                "sorted by first byte"
            );
            if ranges[first].1 == 0 {
                ranges[first].0 = index as u8;
            }
            ranges[first].1 = index as u8 + 1;
            if ignores_case {
                ranges[words[index][0].to_ascii_uppercase() as usize] = ranges[first];
            }
            index += 1;
        }
        Self {
            words,
            ignores_case,
            ranges,
        }
    }

    /// Mark the pairs of bytes that these words begin with, by the low five bits of each: the same in both cases.
    pub const fn marked(&self, mut pairs: [u8; 1024], bit: u8) -> [u8; 1024] {
        let mut index = 0;
        while index < N {
            pairs[pair(self.words[index][0], self.words[index][1])] |= bit;
            index += 1;
        }
        pairs
    }

    /// The word that stands here.
    pub fn at(&self, bytes: &[u8], at: usize) -> Option<&'static [u8]> {
        let (from, to) = self.ranges[*bytes.get(at)? as usize];
        let rest = &bytes[at..];
        self.words[from as usize..to as usize]
            .iter()
            .find(|word| {
                rest.get(..word.len()).is_some_and(|part| {
                    if self.ignores_case {
                        part.eq_ignore_ascii_case(word)
                    } else {
                        part == **word
                    }
                })
            })
            .copied()
    }
}

/// The place of two bytes in a table of pairs.
pub const fn pair(first: u8, second: u8) -> usize {
    ((first as usize & 31) << 5) | (second as usize & 31)
}

#[cfg(test)]
mod tests {
    use super::{Words, pair};

    static SOME: Words<3> = Words::in_any_case([b"ab", b"abc", b"xy"]);

    #[test]
    fn words_are_where_they_stand() {
        assert_eq!(SOME.at(b"-AbC", 1), Some(b"ab".as_slice()));
        assert_eq!(SOME.at(b"-xY", 1), Some(b"xy".as_slice()));
        assert_eq!(SOME.at(b"-a", 1), None);
        assert_eq!(SOME.at(b"-", 1), None);
    }

    #[test]
    fn pairs_are_marked_in_any_case() {
        let pairs = SOME.marked([0; 1024], 4);
        assert_eq!(pairs[pair(b'A', b'b')], 4);
        assert_eq!(pairs[pair(b'x', b'Y')], 4);
        assert_eq!(pairs[pair(b'b', b'a')], 0);
    }
}
