//! Whether a name names a secret. Twin: `span_processors/redaction/secret_names.py`.

/// A name that is longer says "may be": Python looks at the end of one only.
const LONGEST: usize = 200;

/// What a word ends with, beside the plural and digits.
const ENDS: [&[u8]; 9] = [
    b"password",
    b"passwd",
    b"passphrase",
    b"passcode",
    b"pwd",
    b"secret",
    b"credential",
    b"authorization",
    b"cookie",
];
const KEYS: [&[u8]; 10] = [
    b"api",
    b"access",
    b"private",
    b"signing",
    b"encryption",
    b"secret",
    b"account",
    b"auth",
    b"ssh",
    b"master",
];
const TOKEN_OF: [&[u8]; 12] = [
    b"access",
    b"api",
    b"auth",
    b"bearer",
    b"csrf",
    b"id",
    b"personal",
    b"refresh",
    b"secret",
    b"security",
    b"session",
    b"xsrf",
];

/// Whether Python's `secrecy` may say something of this name, with nothing but ASCII in it.
pub fn may_be_secret(name: &[u8]) -> bool {
    if name.len() > LONGEST {
        return true;
    }
    let lowered = name.to_ascii_lowercase();
    let mut before: &[u8] = b"";
    let mut at = 0;
    while at < name.len() {
        let end = word_end(name, at);
        if end == at {
            at += 1;
            continue;
        }
        let word = &lowered[at..end];
        if is_secret_word(word) || is_secret_pair(before, word) {
            return true;
        }
        before = word;
        at = end;
    }
    false
}

/// Where the word ends that begins here: `[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])`. Here itself if none does.
fn word_end(name: &[u8], at: usize) -> usize {
    let is_small = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let run = |from: usize, belongs: &dyn Fn(&u8) -> bool| {
        from + name[from.min(name.len())..]
            .iter()
            .take_while(|byte| belongs(byte))
            .count()
    };
    let begins_large = name[at].is_ascii_uppercase();
    let small_end = run(at + usize::from(begins_large), &is_small);
    if small_end > at + usize::from(begins_large) {
        return small_end;
    }
    let large_end = run(at, &|byte| byte.is_ascii_uppercase());
    // The last large letter belongs to the small ones behind it.
    if large_end > at && name.get(large_end).is_some_and(u8::is_ascii_lowercase) {
        large_end - 1
    } else {
        large_end
    }
}

fn is_secret_word(word: &[u8]) -> bool {
    let digits = word.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let letters = &word[..word.len() - digits];
    let singular = letters.strip_suffix(b"s").unwrap_or(letters);
    for stem in [letters, singular] {
        if ENDS.iter().any(|end| stem.ends_with(end)) {
            return true;
        }
        if stem
            .strip_suffix(b"key")
            .is_some_and(|rest| KEYS.iter().any(|key| rest.ends_with(key)))
        {
            return true;
        }
    }
    if letters.ends_with(b"token") {
        return true;
    }
    if letters
        .strip_suffix(b"tokens")
        .is_some_and(|rest| TOKEN_OF.iter().any(|of| rest.ends_with(of)))
    {
        return true;
    }
    // Digits behind the others are in none of the words that there are, so this is a little broader.
    matches!(
        letters,
        b"dbpass"
            | b"mypass"
            | b"smtppass"
            | b"userpass"
            | b"cvv"
            | b"cvc"
            | b"bearer"
            | b"jwt"
            | b"jwts"
            | b"otp"
            | b"totp"
    )
}

fn is_secret_pair(first: &[u8], second: &[u8]) -> bool {
    match second {
        b"key" | b"keys" => KEYS.contains(&first),
        b"pass" => matches!(first, b"db" | b"smtp" | b"user"),
        b"number" | b"numbers" => first == b"card",
        b"string" => first == b"connection",
        b"signature" => matches!(first, b"amz" | b"goog"),
        b"tokens" => TOKEN_OF.contains(&first),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::may_be_secret;

    #[test]
    fn names_are_told_apart() {
        for name in [
            "password",
            "userpassword1",
            "DBPASSWORD",
            "apiKeys",
            "API key",
            "access-token",
            "x.idtokens",
            "MYPass2Password",
            "card number",
            "clientSecret",
            "jwt",
            "TOTP",
            "X-Goog-Signature",
            "-pwd",
        ] {
            assert!(may_be_secret(name.as_bytes()), "{name}");
        }
        for name in [
            "author",
            "max_tokens",
            "key",
            "Key",
            "monkey",
            "passes",
            "keyboard",
            "tokens",
            "connection",
            "secretary",
            "",
        ] {
            assert!(!may_be_secret(name.as_bytes()), "{name}");
        }
    }
}
