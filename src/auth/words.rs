//! What users bring along: names, passwords, refresh tokens.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::SignInId;
use super::keys::random;

const NAME_CHARS: std::ops::RangeInclusive<usize> = 3..=64;
const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 8..=128;

/// A user's name, in lower case. E-mail addresses fit; letters that look like others do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Names are the same whatever their case.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"._@+-".contains(&b);
        if !NAME_CHARS.contains(&text.len()) || !text.bytes().all(legal) {
            return Err("must have 3 to 64 of the characters a-z, A-Z, 0-9 and . _ @ + -");
        }
        Ok(Self(Self::folded(text)))
    }

    /// As it is stored, if it is one.
    pub(super) fn folded(text: &str) -> String {
        text.to_ascii_lowercase()
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A password, which nobody sees.
pub struct Password(String);

impl Password {
    /// One to be set. Any characters, taken as they come.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn parse(text: String) -> Result<Self, &'static str> {
        if !PASSWORD_CHARS.contains(&text.chars().count()) {
            return Err("must have 8 to 128 characters");
        }
        Ok(Self(text))
    }

    /// One to be compared: whatever it is.
    pub fn any(text: String) -> Self {
        Self(text)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A refresh token: the number of its sign-in and 256 random bits, of which only the hash is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    sign_in: SignInId,
    secret: [u8; 32],
}

impl RefreshToken {
    /// The first one of a sign-in.
    pub(super) fn new() -> Self {
        Self { sign_in: SignInId(u128::from_be_bytes(random())), secret: random() }
    }

    /// The one that comes after it.
    pub(super) fn next(&self) -> Self {
        Self { sign_in: self.sign_in, secret: random() }
    }

    /// `None` for what cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let (sign_in, secret) = text.split_once('.')?;
        let secret = BASE64_URL_SAFE_NO_PAD.decode(secret).ok()?;
        Some(Self { sign_in: SignInId::parse(sign_in)?, secret: secret.try_into().ok()? })
    }

    /// As the client gets it: a secret.
    pub(super) fn to_text(&self) -> String {
        format!("{}.{}", self.sign_in.to_text(), BASE64_URL_SAFE_NO_PAD.encode(self.secret))
    }

    /// The sign-in that it is of.
    pub(super) fn sign_in(&self) -> SignInId {
        self.sign_in
    }

    /// What is kept of it. Of 256 random bits a plain hash tells nothing.
    pub(super) fn hash(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(self.secret))
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl SignInId {
    /// As it is stored and stands in tokens: 22 characters.
    pub(super) fn to_text(self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0.to_be_bytes())
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(u128::from_be_bytes(bytes.try_into().ok()?)))
    }
}
