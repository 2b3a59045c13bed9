//! Names of versions.

use std::fmt;

/// The version of a tag that all replicas share: a moment, so that a later one is greater, and a
/// random number, so that none ever comes again. All zeros: none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token([u8; Token::LENGTH]);

impl Token {
    /// Characters of its text.
    pub const LENGTH: usize = 32;
    /// Of them, digits of the moment: microseconds since 1970.
    pub const MOMENT: usize = 16;
    /// No version: that of what is kept without one.
    pub const NONE: Self = Self([b'0'; Self::LENGTH]);

    /// The token with this text.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: [u8; Self::LENGTH] = text.try_into().ok()?;
        let (moment, number) = text.split_at(Self::MOMENT);
        let legal = moment.iter().all(u8::is_ascii_digit)
            && number.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        legal.then_some(Self(text))
    }

    /// The second half of a new token.
    pub fn number() -> String {
        format!("{:016x}", rand::random::<u64>())
    }

    /// Its text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl Default for Token {
    fn default() -> Self {
        Self::NONE
    }
}

/// What was in force before the statement of an answer was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Version {
    /// In this process ([`Versions::current`](super::Versions::current)); 0 where it does not matter.
    pub epoch: u64,
    /// On all replicas; [`Token::NONE`] where they share nothing.
    pub token: Token,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_token_is_greater_and_nothing_else_is_one() {
        let token = |moment: u64| {
            Token::parse(format!("{moment:016}{}", Token::number()).as_bytes()).expect("it is one")
        };
        let (earlier, later) = (token(1_763_800_000_000_000), token(1_763_800_000_000_001));
        assert!(Token::NONE < earlier && earlier < later);
        assert_ne!(token(7), token(7), "the same moment is another token");
        for text in
            ["", "17", "17638000000000000123456789abcdeg", "x7638000000000000123456789abcdef"]
        {
            assert_eq!(Token::parse(text.as_bytes()), None, "{text}");
        }
    }
}
