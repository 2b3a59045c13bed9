//! `[auth]`: who may write: the keys that tokens are signed with, how long they hold, what a password
//! costs and how often somebody may guess.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::file::Backend;
use super::resolve::{Database, not_zero};

/// A key has at least as many bytes as what it makes (RFC 7518, section 3.2).
pub const KEY_BYTES: usize = 32;

/// `[auth]` as written.
#[derive(Debug, Deserialize)]
pub(super) struct File {
    pub signing_key: Option<String>,
    pub signing_key_file: Option<PathBuf>,
    pub generate_key: Option<bool>,
    pub store: SignInStore,
    #[serde(with = "humantime_serde")]
    pub access_lifetime: Duration,
    #[serde(with = "humantime_serde")]
    pub refresh_lifetime: Duration,
    pub sign_ins_per_user: u32,
    pub hash_memory: ByteSize,
    pub hash_iterations: u32,
    pub hashes_at_once: usize,
    #[serde(with = "humantime_serde")]
    pub hash_wait: Duration,
    pub failures: u32,
    pub failures_per_address: u32,
    #[serde(with = "humantime_serde")]
    pub failures_per: Duration,
}

/// `[auth]`
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each key is explained in config/default.toml")]
pub struct Auth {
    /// From `signing_key`, `signing_key_file` and `generate_key`.
    pub keys: KeySource,
    /// The file of the keys where nothing names it: beside that of SQLite.
    pub key_beside: Option<PathBuf>,
    pub store: SignInStore,
    pub access_lifetime: Duration,
    pub refresh_lifetime: Duration,
    pub sign_ins_per_user: u32,
    /// In KiB.
    pub hash_memory_kib: u32,
    pub hash_iterations: u32,
    pub hashes_at_once: usize,
    pub hash_wait: Duration,
    pub failures: u32,
    pub failures_per_address: u32,
    pub failures_per: Duration,
}

/// Where sign-ins are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SignInStore {
    /// Beside the users.
    Database,
    /// In the Redis of `[cache]`.
    Redis,
}

/// A secret to sign tokens with.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    /// One of this many bytes.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes.to_vec())
    }

    /// The secret itself, for whoever signs.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// As it stands in a file.
    pub fn to_base64(&self) -> String {
        BASE64_STANDARD.encode(&self.0)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where the keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Here: the first signs, all verify.
    Keys(Vec<SigningKey>),
    /// In a file that could not be read, and is to be made when it is not there.
    Generated(PathBuf),
    /// Nowhere, which ends a start; where it was to be, if that was said.
    Missing(Option<PathBuf>),
}

impl KeySource {
    /// What ends a start, and what to do.
    pub fn problem(&self) -> Option<String> {
        match self {
            KeySource::Missing(Some(path)) => {
                let path = path.display();
                Some(format!(
                    "`auth.signing_key_file`: {path} is not there; `poolwise auth key > {path}` makes it. \
                     Every replica needs the same."
                ))
            }
            KeySource::Missing(None) => Some(
                "`auth.signing_key_file` is missing: tokens are signed with a key that every replica has. \
                 Make one with `poolwise auth key > FILE` and name the file there."
                    .into(),
            ),
            KeySource::Keys(_) | KeySource::Generated(_) => None,
        }
    }
}

/// Reads keys, one a line (or separated by commas) in base64; lines that begin with `#` are comments.
///
/// # Errors
/// A sentence without the key.
pub fn parse_keys(text: &str) -> Result<Vec<SigningKey>, String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words = lines.flat_map(|line| line.split([',', ' ', '\t'])).filter(|word| !word.is_empty());
    let mut keys = Vec::new();
    for (index, word) in words.enumerate() {
        let number = index + 1;
        let key = BASE64_STANDARD.decode(word.trim());
        let key = key.map_err(|_| format!("key {number} is not base64"))?;
        if key.len() < KEY_BYTES {
            let bytes = key.len();
            return Err(format!(
                "key {number} has {bytes} bytes, fewer than {KEY_BYTES}; `poolwise auth key` makes one"
            ));
        }
        keys.push(SigningKey(key));
    }
    if keys.is_empty() {
        return Err("there is no key in it; `poolwise auth key` makes one".into());
    }
    Ok(keys)
}

/// Where keys are looked for, and made where that is allowed, when no file is named.
fn beside(raw: &File, database: &Database) -> Option<PathBuf> {
    let unnamed = raw.signing_key.is_none() && raw.signing_key_file.is_none();
    if !unnamed || raw.generate_key == Some(false) || database.backend != Backend::Sqlite {
        return None;
    }
    let path = database.url.expose().trim_start_matches("sqlite:").trim_start_matches("//");
    Some(Path::new(path.split('?').next().unwrap_or(path)).with_extension("key"))
}

/// What is unwise about it.
pub(super) fn warning(generate_key: Option<bool>, replicas: u32) -> Option<String> {
    (generate_key == Some(true) && replicas > 1).then(|| {
        format!(
            "auth.generate_key = true with server.replicas = {replicas}: replicas that do not share a disk make a key each and refuse the tokens of the others; \
             make one with `poolwise auth key > FILE`, give it to every replica as auth.signing_key_file, and remove auth.generate_key"
        )
    })
}

fn keys(raw: &File, database: &Database, problems: &mut Vec<String>) -> KeySource {
    let named = raw.signing_key_file.as_deref();
    if raw.signing_key.is_some() && named.is_some() {
        problems
            .push("`auth.signing_key` and `auth.signing_key_file` are both set; keep one".into());
    }
    let beside_it = beside(raw, database);
    let mut read = |key: &str, text: &str| match parse_keys(text) {
        Ok(keys) => KeySource::Keys(keys),
        Err(why) => {
            problems.push(match &beside_it {
                Some(path) => format!("`auth.{key}`: {}: {why}", path.display()),
                None => format!("`auth.{key}`: {why}"),
            });
            KeySource::Missing(None)
        }
    };
    if let Some(text) = &raw.signing_key {
        return read("signing_key", text);
    }
    let may_make =
        raw.generate_key.unwrap_or(database.backend == Backend::Sqlite && named.is_none());
    let Some(path) = named.map(Path::to_owned).or_else(|| beside_it.clone()) else {
        if raw.generate_key == Some(true) {
            problems.push(
                "`auth.generate_key` needs `auth.signing_key_file`, where the key will be".into(),
            );
        }
        return KeySource::Missing(None);
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => read("signing_key_file", &text),
        // Whatever hinders it is said by whoever needs it: many a command does not.
        Err(_) if may_make => KeySource::Generated(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            KeySource::Missing(raw.signing_key_file.clone())
        }
        Err(error) => {
            let path = path.display();
            problems.push(format!("`auth.signing_key_file`: {path} cannot be read: {error}"));
            KeySource::Missing(None)
        }
    }
}

/// OWASP's least ("Password Storage Cheat Sheet": 7 MiB with 5 iterations).
const LEAST_MEMORY_KIB: u64 = 7 * 1024;
const MOST_MEMORY_KIB: u64 = 1024 * 1024;
const MOST_ITERATIONS: u32 = 100;

/// Applies every rule.
pub(super) fn auth(raw: File, database: &Database, problems: &mut Vec<String>) -> Auth {
    let (keys, key_beside) = (keys(&raw, database, problems), beside(&raw, database));
    for (key, duration) in [
        ("auth.access_lifetime", raw.access_lifetime),
        ("auth.refresh_lifetime", raw.refresh_lifetime),
        ("auth.hash_wait", raw.hash_wait),
        ("auth.failures_per", raw.failures_per),
    ] {
        not_zero(key, duration, problems);
    }
    for (key, count) in [
        ("auth.hashes_at_once", raw.hashes_at_once),
        ("auth.sign_ins_per_user", raw.sign_ins_per_user as usize),
        ("auth.failures", raw.failures as usize),
        ("auth.failures_per_address", raw.failures_per_address as usize),
    ] {
        if count == 0 {
            problems.push(format!("`{key}` must be at least 1"));
        }
    }
    let memory_kib = raw.hash_memory.as_u64() / 1024;
    if !(LEAST_MEMORY_KIB..=MOST_MEMORY_KIB).contains(&memory_kib) {
        problems.push("`auth.hash_memory` must be from 7MiB to 1GiB".into());
    }
    if !(1..=MOST_ITERATIONS).contains(&raw.hash_iterations) {
        problems.push(format!("`auth.hash_iterations` must be from 1 to {MOST_ITERATIONS}"));
    }
    if raw.access_lifetime.as_secs() == 0 || raw.access_lifetime > raw.refresh_lifetime {
        problems.push(
            "`auth.access_lifetime` must be at least 1s and at most `auth.refresh_lifetime`".into(),
        );
    }
    Auth {
        keys,
        key_beside,
        store: raw.store,
        access_lifetime: raw.access_lifetime,
        refresh_lifetime: raw.refresh_lifetime,
        sign_ins_per_user: raw.sign_ins_per_user.max(1),
        hash_memory_kib: memory_kib.clamp(LEAST_MEMORY_KIB, MOST_MEMORY_KIB) as u32,
        hash_iterations: raw.hash_iterations.clamp(1, MOST_ITERATIONS),
        hashes_at_once: raw.hashes_at_once.max(1),
        hash_wait: raw.hash_wait,
        failures: raw.failures.max(1),
        failures_per_address: raw.failures_per_address.max(1),
        failures_per: raw.failures_per,
    }
}
