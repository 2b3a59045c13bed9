//! Sign-in: users and passwords, the tokens that they get, and whether those still hold.
//!
//! An access token is signed and short-lived; it names the sign-in that it comes from, and every request
//! asks whether that still holds. A sign-in has one refresh token at a time. Knows nothing of HTTP.

mod database;
mod error;
mod failures;
mod keys;
mod password;
mod sign_ins;
mod token;
mod words;

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use failures::Failures;
use keys::Keys;
use password::{Passwords, Verdict};
use sign_ins::{Rotation, SignIns};

pub use database::Database;
pub use error::AuthError;
pub use keys::new_key;
pub use token::Claims;
pub use words::{Name, Password, RefreshToken};

use crate::config::{Config, KeySource, SignInStore};
use crate::store::backend::{Bind, Command, Datum, Kind};
use crate::store::{ErrorKind, StoreError};

/// Everything that sign-in is made of, for one configuration.
pub struct Auth {
    keys: Keys,
    passwords: Passwords,
    sign_ins: SignIns,
    failures: Failures,
    access_lifetime: Duration,
}

/// Who asks, proven by a token whose sign-in holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedIn {
    /// The user's number.
    pub user: i64,
    /// The sign-in.
    pub sign_in: SignInId,
}

/// The number of a sign-in; unguessable, and no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignInId(u128);

/// A user as it was made.
#[derive(Debug, Clone)]
pub struct Registered {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: Name,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub created_at: i64,
}

/// What a sign-in gives. Both tokens are secrets.
pub struct Tokens {
    /// For requests.
    pub access: String,
    /// For the next of these.
    pub refresh: String,
    /// Time that the first holds.
    pub expires_in: Duration,
}

impl Auth {
    /// Reads or makes the keys. Connects to nothing.
    ///
    /// # Errors
    /// A missing key, which names its configuration key and says what to do.
    pub fn new(config: &Config) -> Result<Self, StoreError> {
        let settings = &config.auth;
        Ok(Self {
            keys: Keys::open(&settings.keys)?,
            passwords: Passwords::new(settings),
            sign_ins: SignIns::new(config)?,
            failures: Failures::new(settings),
            access_lifetime: settings.access_lifetime,
        })
    }

    /// The keys that it has, so that another one in their file is an edit.
    pub fn keys(&self) -> KeySource {
        self.keys.source()
    }

    /// Whether what it needs of a configuration is also that of Redis.
    pub fn asks_redis(config: &Config) -> bool {
        config.auth.store == SignInStore::Redis
    }

    /// Makes a user.
    ///
    /// # Errors
    /// [`ErrorKind::Taken`] for a name that somebody has; [`AuthError::Unknown`] when the connection was
    /// lost in the commit.
    pub async fn register(
        &self,
        database: &Database,
        name: Name,
        password: Password,
    ) -> Result<Registered, AuthError> {
        let hash = self.passwords.hash(password).await?;
        let created_at = now_micros();
        let values = [Bind::Text(name.as_str()), Bind::Text(&hash), Bind::Timestamp(created_at)];
        let insert = Command { name: "insert_user", binds: &values, columns: &[] };
        let select =
            Command { name: "user_id_of_name", binds: &values[..1], columns: &[Kind::Int] };
        let done = database.write(&[insert, select]).await?;
        let id = done[1].rows.first().and_then(|row| int(row.first()));
        let id = id.ok_or_else(|| lost("a user that was just made"))?;
        Ok(Registered { id, name, created_at })
    }

    /// Signs a user in. For an unknown name the same is done as for a wrong password, so that neither
    /// the answer nor its time says which it was.
    ///
    /// # Errors
    /// [`AuthError::WrongCredentials`], or [`AuthError::TooManyFailures`] before anything is looked at.
    pub async fn sign_in(
        &self,
        database: &Database,
        client: IpAddr,
        (name, password): (&str, Password),
    ) -> Result<(i64, Tokens), AuthError> {
        let attempt = self.failures.begin(&Name::folded(name), client)?;
        // No user has what is no name, and no database need be able to look for it.
        let found = match Name::parse(name) {
            Err(_) => None,
            Ok(name) => match of_name(database, &name).await {
                Ok(found) => found,
                Err(error) => {
                    attempt.forget();
                    return Err(error.into());
                }
            },
        };
        let hash = found.as_ref().map(|(_, hash)| hash.as_str());
        let anew = match self.passwords.verify(password, hash).await {
            Ok(Verdict::Right { anew }) => anew,
            Ok(Verdict::Wrong) => return Err(AuthError::WrongCredentials),
            Err(error) => {
                attempt.forget();
                return Err(error);
            }
        };
        attempt.succeeded();
        let (user, _) = found.ok_or_else(|| lost("a user whose password is right"))?;
        if let Some(hash) = anew {
            self.keep(database, user, &hash).await;
        }
        let refresh = RefreshToken::new();
        self.sign_ins.begin(database, user, &refresh).await?;
        Ok((user, self.tokens(user, &refresh)))
    }

    /// Keeps a hash of today's cost. What fails is tried again at the next sign-in.
    async fn keep(&self, database: &Database, user: i64, hash: &str) {
        let binds = [Bind::Text(hash), Bind::Int(user)];
        let update = Command { name: "set_password_hash", binds: &binds, columns: &[] };
        if let Err(error) = database.write(&[update]).await.map_err(StoreError::from) {
            tracing::warn!(%error, "a password keeps the cost that it was hashed at");
        }
    }

    /// New tokens for a refresh token, which holds no more.
    ///
    /// # Errors
    /// [`AuthError::Unauthorized`] for one that does not hold. If it held once, somebody else has it as
    /// well, so the sign-in is ended.
    pub async fn refresh(
        &self,
        database: &Database,
        old: &RefreshToken,
    ) -> Result<(i64, Tokens), AuthError> {
        let new = old.next();
        match self.sign_ins.rotate(database, old, &new).await? {
            Rotation::Rotated { user } => Ok((user, self.tokens(user, &new))),
            Rotation::Reused => {
                tracing::warn!("a refresh token was used twice: its sign-in is ended");
                Err(AuthError::Unauthorized("the refresh token was used before"))
            }
            Rotation::Unknown => Err(AuthError::Unauthorized("the sign-in has ended")),
        }
    }

    /// Ends a sign-in: its tokens hold no more, anywhere.
    ///
    /// # Errors
    /// Where sign-ins are kept cannot be reached.
    pub async fn sign_out(&self, database: &Database, who: SignedIn) -> Result<(), AuthError> {
        self.sign_ins.end(database, who).await
    }

    /// Who shows this access token.
    ///
    /// # Errors
    /// [`AuthError::Unauthorized`], or [`AuthError::Unavailable`] when it cannot be known whether the
    /// sign-in still holds.
    pub async fn check(&self, database: &Database, access: &str) -> Result<SignedIn, AuthError> {
        let who = self.keys.verify(access).map_err(AuthError::Unauthorized)?;
        match self.sign_ins.holder(database, who.sign_in).await? {
            Some(user) if user == who.user => Ok(who),
            _ => Err(AuthError::Unauthorized("the sign-in has ended")),
        }
    }

    fn tokens(&self, user: i64, refresh: &RefreshToken) -> Tokens {
        let who = SignedIn { user, sign_in: refresh.sign_in() };
        Tokens {
            access: self.keys.sign(who, self.access_lifetime),
            refresh: refresh.to_text(),
            expires_in: self.access_lifetime,
        }
    }

    /// Forgets failures that have been given back.
    pub fn forget_idle(&self) {
        self.failures.forget_idle();
    }
}

/// The number of the user of this name, and the hash of the password.
async fn of_name(database: &Database, name: &Name) -> Result<Option<(i64, String)>, StoreError> {
    let wanted = [Bind::Text(name.as_str())];
    let columns = &[Kind::Int, Kind::Text];
    let found = database.read(&Command { name: "user_of_name", binds: &wanted, columns }).await?;
    Ok(found.rows.into_iter().next().and_then(|row| match <[Datum; 2]>::try_from(row) {
        Ok([Datum::Int(id), Datum::Text(hash)]) => Some((id, hash)),
        _ => None,
    }))
}

fn int(datum: Option<&Datum>) -> Option<i64> {
    match datum {
        Some(Datum::Int(value)) => Some(*value),
        _ => None,
    }
}

fn lost(what: &str) -> StoreError {
    StoreError::new(ErrorKind::Internal, format_args!("{what} is not there"))
}

/// Microseconds since 1970-01-01T00:00:00Z.
fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}
