//! The keys that access tokens are signed with: where they come from, and which one is meant.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use jsonwebtoken::{DecodingKey, EncodingKey};
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};

use super::SignedIn;
use super::token;
use crate::config::{KEY_BYTES, KeySource, SigningKey, parse_keys};
use crate::store::{ErrorKind, StoreError};

/// Random bytes of the operating system.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the operating system has random numbers");
    bytes
}

/// A new key.
pub fn new_key() -> SigningKey {
    SigningKey::new(random::<KEY_BYTES>())
}

struct Key {
    /// Says in a token which key signed it.
    id: String,
    signs: EncodingKey,
    verifies: DecodingKey,
}

impl Key {
    fn new(key: &SigningKey) -> Self {
        let hash = Sha256::new().chain_update(b"poolwise key id").chain_update(key.expose());
        let id = hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let (signs, verifies) =
            (EncodingKey::from_secret(key.expose()), DecodingKey::from_secret(key.expose()));
        Self { id, signs, verifies }
    }
}

/// Every key; the first signs, all verify.
pub(super) struct Keys {
    keys: Vec<Key>,
    /// As they were read or made.
    read: Vec<SigningKey>,
}

impl Keys {
    /// Reads them, or makes one where that is allowed.
    ///
    /// # Errors
    /// What is missing and what to do.
    pub fn open(source: &KeySource) -> Result<Self, StoreError> {
        token::install();
        let refused = |why: String| StoreError::new(ErrorKind::NotPrepared, why);
        if let Some(problem) = source.problem() {
            return Err(refused(problem));
        }
        let keys = match source {
            KeySource::Keys(keys) => keys.clone(),
            KeySource::Generated(path) => {
                let there = if path.exists() { Ok(()) } else { make(path) };
                let text = there.and_then(|()| std::fs::read_to_string(path)).map_err(|error| {
                    let path = path.display();
                    refused(format!(
                        "`auth.signing_key_file`: {path} cannot be read or made: {error}"
                    ))
                })?;
                parse_keys(&text).map_err(|why| {
                    refused(format!("`auth.signing_key_file`: {}: {why}", path.display()))
                })?
            }
            KeySource::Missing(_) => Vec::new(),
        };
        Ok(Self { keys: keys.iter().map(Key::new).collect(), read: keys })
    }

    /// Where they would be had without a look at any file.
    pub fn source(&self) -> KeySource {
        KeySource::Keys(self.read.clone())
    }

    /// An access token.
    pub fn sign(&self, who: SignedIn, lifetime: Duration) -> String {
        let key = self.keys.first().expect("there is one, or there would be no service");
        token::sign(who, lifetime, &key.id, &key.signs)
    }

    /// Who an access token is for, by its signature and its times alone.
    ///
    /// # Errors
    /// What is wrong with it, for the log.
    pub fn verify(&self, access: &str) -> Result<SignedIn, &'static str> {
        let id = token::key_id(access)?;
        let key = self.keys.iter().find(|key| key.id == id).ok_or("signed with an unknown key")?;
        token::verify(access, &key.verifies)
    }
}

/// Makes a file with a key that only its owner may read; one that is there already stays.
fn make(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    // Whole before it has its name: somebody else may start at the same time.
    let unfinished = folder.join(format!(".{}.key", std::process::id()));
    let _ = std::fs::remove_file(&unfinished);
    let file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished);
    let written = file.and_then(|mut file| {
        let key = new_key().to_base64();
        writeln!(file, "# Signs the tokens of Poolwise's users. Keep it secret.\n{key}")?;
        file.sync_all()
    });
    let linked = written.and_then(|()| std::fs::hard_link(&unfinished, path));
    let _ = std::fs::remove_file(&unfinished);
    match linked {
        Ok(()) => {
            let path = path.display();
            tracing::warn!(
                "a key to sign tokens with was made: {path} (auth.signing_key_file); keep it, and keep it secret"
            );
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}
