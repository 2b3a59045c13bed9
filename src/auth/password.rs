//! Passwords: hashed by argon2id (RFC 9106) on threads that may block, a few at a time, so that neither
//! the runtime nor the memory suffers.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::keys::random;
use super::{AuthError, Password};
use crate::config;
use crate::store::{ErrorKind, StoreError};

/// What comes of a comparison.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is another password, or nobody's.
    Wrong,
    /// It is the one.
    Right {
        /// What to keep of it from now on, where the old hash was made at another cost.
        anew: Option<String>,
    },
}

/// Hashes and compares passwords.
pub(super) struct Passwords {
    argon2: Argon2<'static>,
    /// Stands for the one of a user who is not there.
    nobody: Arc<str>,
    places: Arc<Semaphore>,
    wait: Duration,
}

impl Passwords {
    pub fn new(settings: &config::Auth) -> Self {
        let params = Params::new(settings.hash_memory_kib, settings.hash_iterations, 1, None);
        let params = params.expect("config keeps them within what argon2 takes");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&argon2, &random::<32>()).expect("random bytes can be hashed");
        let places = Arc::new(Semaphore::new(settings.hashes_at_once));
        Self { argon2, nobody: nobody.into(), places, wait: settings.hash_wait }
    }

    /// What is kept of a password: its salt and cost with it.
    ///
    /// # Errors
    /// [`AuthError::Saturated`] when its turn does not come in time.
    pub async fn hash(&self, password: Password) -> Result<String, AuthError> {
        let argon2 = self.argon2.clone();
        let hashed = self.in_turn(move || hash(&argon2, password.as_bytes())).await?;
        hashed.map_err(|why| failed(&why))
    }

    /// Whether it is the password of this hash; without one, no, after the same time.
    ///
    /// # Errors
    /// As [`Passwords::hash`].
    pub async fn verify(
        &self,
        password: Password,
        kept: Option<&str>,
    ) -> Result<Verdict, AuthError> {
        let known = kept.is_some();
        let kept: Arc<str> = kept.map_or_else(|| self.nobody.clone(), Arc::from);
        let argon2 = self.argon2.clone();
        let compared = self.in_turn(move || compare(&argon2, &kept, password.as_bytes(), known));
        compared.await?.map_err(|why| failed(&why))
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AuthError> {
        let place = tokio::time::timeout(self.wait, self.places.clone().acquire_owned()).await;
        let place = place.map_err(|_| AuthError::Saturated)?.expect("it is never closed");
        // The thread goes on when nobody waits for it any more, and so holds its place.
        let work = move || {
            let done = work();
            drop(place);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8]) -> Result<String, argon2::password_hash::Error> {
    Ok(argon2.hash_password(password)?.to_string())
}

fn compare(
    argon2: &Argon2<'_>,
    kept: &str,
    password: &[u8],
    known: bool,
) -> Result<Verdict, String> {
    let kept = PasswordHash::new(kept).map_err(|error| error.to_string())?;
    // By the cost that it was made with.
    if argon2.verify_password(password, &kept).is_err() || !known {
        return Ok(Verdict::Wrong);
    }
    let cost = Params::try_from(&kept).map_err(|error| error.to_string())?;
    let now = argon2.params();
    let same = |of: fn(&Params) -> u32| of(&cost) == of(now);
    if same(Params::m_cost) && same(Params::t_cost) && same(Params::p_cost) {
        return Ok(Verdict::Right { anew: None });
    }
    let anew = hash(argon2, password).map_err(|error| error.to_string())?;
    Ok(Verdict::Right { anew: Some(anew) })
}

fn failed(why: &dyn std::fmt::Display) -> AuthError {
    let detail = format_args!("a password cannot be hashed: {why}");
    AuthError::Store(StoreError::new(ErrorKind::Internal, detail))
}
