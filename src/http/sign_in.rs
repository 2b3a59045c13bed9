//! The endpoints of sign-in.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::State;
use super::api::{Asked, Tag};
use super::document::{Document, Sent};
use super::error::{Kind, Problem};
use super::parameters::NoQuery;
use super::request::RequestInfo;
use super::signed_in::{SignedIn, problem_of};
use crate::auth::{Auth, AuthError, Database, Name, Password, RefreshToken};
use crate::catalogue::{Invalid, Reader, below};
use crate::observe::{Kind as _, SignIn, SignInOutcome};
use crate::store::{ErrorKind, write};

/// The endpoints, over what every request can see.
pub(super) struct SignInApi {
    pub state: Arc<State>,
}

/// More than the longest name and password in JSON's longest way to write them.
const MOST_BYTES: Option<usize> = Some(4096);

/// A user's name and password.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct Credentials {
    /// 3 to 64 of the characters a-z, A-Z, 0-9 and `. _ @ + -`; upper and lower case are the same.
    #[oai(validator(min_length = 3, max_length = 64, pattern = "^[A-Za-z0-9._@+-]{3,64}$"))]
    name: String,
    /// 8 to 128 characters of any kind.
    #[oai(validator(min_length = 8, max_length = 128))]
    password: String,
}

/// A refresh token.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct Refresh {
    /// As the last sign-in or refresh gave it. It holds once.
    refresh_token: String,
}

/// A user.
#[derive(Object)]
struct User {
    /// Its number.
    id: i64,
    /// Its name, in lower case.
    name: String,
    /// When it was made, in UTC with microseconds.
    created_at: String,
}

/// What a sign-in gives. Keep both secret.
#[derive(Object)]
struct Tokens {
    /// To be sent as `Authorization: Bearer`.
    access_token: String,
    /// Always `Bearer`.
    token_type: String,
    /// Seconds that the access token holds.
    expires_in: u64,
    /// For the next tokens; it holds once.
    refresh_token: String,
    /// The user's number.
    user_id: i64,
}

/// The texts that a document consists of, as far as they are there.
fn texts<const N: usize>(
    reader: &mut Reader,
    json: &[u8],
    names: [&str; N],
) -> [Option<String>; N] {
    let fields = reader.document(json).and_then(|raw| reader.fields("", raw, names));
    let Some(fields) = fields else { return [const { None }; N] };
    let mut places = names.into_iter().zip(fields);
    std::array::from_fn(|_| {
        let (name, field) = places.next()?;
        let raw = reader.required("", name, field)?;
        reader.any_text(below("", name), raw)
    })
}

struct New {
    name: Name,
    password: Password,
}

impl Document for New {
    type Schema = Credentials;
    const MOST_BYTES: Option<usize> = MOST_BYTES;

    fn read(json: &[u8]) -> Result<Self, Vec<Invalid>> {
        let mut reader = Reader::default();
        let [name, password] = texts(&mut reader, json, ["name", "password"]);
        let mut refuse = |at: &str, why: &str| reader.refuse(at, why);
        let name =
            name.and_then(|name| Name::parse(&name).map_err(|why| refuse("/name", why)).ok());
        let password = password
            .and_then(|text| Password::parse(text).map_err(|why| refuse("/password", why)).ok());
        let new = name.zip(password).map(|(name, password)| Self { name, password });
        reader.finish(new)
    }
}

/// Compared as they are: what breaks the rules for a new user is no user's.
struct Given {
    name: String,
    password: Password,
}

impl Document for Given {
    type Schema = Credentials;
    const MOST_BYTES: Option<usize> = MOST_BYTES;

    fn read(json: &[u8]) -> Result<Self, Vec<Invalid>> {
        let mut reader = Reader::default();
        let [name, password] = texts(&mut reader, json, ["name", "password"]);
        let given = name.zip(password);
        reader
            .finish(given.map(|(name, password)| Self { name, password: Password::any(password) }))
    }
}

struct Refreshing(Option<RefreshToken>);

impl Document for Refreshing {
    type Schema = Refresh;
    const MOST_BYTES: Option<usize> = MOST_BYTES;

    fn read(json: &[u8]) -> Result<Self, Vec<Invalid>> {
        let mut reader = Reader::default();
        let [token] = texts(&mut reader, json, ["refresh_token"]);
        reader.finish(token.map(|text| Self(RefreshToken::parse(&text))))
    }
}

#[derive(ApiResponse)]
enum Made {
    /// The user
    #[oai(status = 201)]
    User(Json<User>),
}

#[derive(ApiResponse)]
enum Ended {
    /// The sign-in has ended; none of its tokens holds any more
    #[oai(status = 204)]
    Done,
}

impl SignInApi {
    fn count(&self, what: SignIn, outcome: SignInOutcome) {
        self.state.meter.sign_ins[what.index()].inc(outcome);
    }

    /// Runs `work` in a task of its own, until the request's deadline: a client that leaves ends nothing
    /// half-way, and neither does a service that stops.
    async fn run<T, F>(
        &self,
        (what, info): (SignIn, &Arc<RequestInfo>),
        work: impl FnOnce(Arc<Auth>, Database) -> F,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, AuthError>> + Send + 'static,
    {
        let (auth, database) = (self.state.auth.load_full(), self.state.users(info));
        let (deadline, committing) = (database.deadline(), database.committing());
        let done = tokio::time::timeout_at(deadline.into(), work(auth, database));
        let done = match write::spawn(done).await {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        self.count(what, done.as_ref().map_or(SignInOutcome::Failed, outcome));
        match done {
            Ok(done) => done.map_err(|error| problem_of(error, info)),
            Err(_) if committing.load(Ordering::Relaxed) => {
                let why = "the request's deadline passed during a commit".into();
                Err(problem_of(AuthError::Unknown(why), info))
            }
            Err(_) => Err(Problem::new(Kind::Timeout, "It was not done in time. Try again later.")),
        }
    }
}

fn outcome<T>(done: &Result<T, AuthError>) -> SignInOutcome {
    match done {
        Ok(_) => SignInOutcome::Done,
        Err(AuthError::Unauthorized(_) | AuthError::WrongCredentials) => SignInOutcome::Refused,
        Err(AuthError::Store(error)) if error.kind() == ErrorKind::Taken => SignInOutcome::Refused,
        Err(AuthError::TooManyFailures { .. } | AuthError::Saturated) => SignInOutcome::Limited,
        Err(AuthError::Unavailable(_) | AuthError::Unknown(_) | AuthError::Store(_)) => {
            SignInOutcome::Failed
        }
    }
}

fn tokens((user, tokens): (i64, crate::auth::Tokens)) -> Json<Tokens> {
    Json(Tokens {
        access_token: tokens.access,
        token_type: "Bearer".into(),
        expires_in: tokens.expires_in.as_secs(),
        refresh_token: tokens.refresh,
        user_id: user,
    })
}

#[OpenApi]
impl SignInApi {
    /// Become a user
    #[oai(path = "/auth/register", method = "post", operation_id = "register", tag = "Tag::SignIn")]
    async fn register(
        &self,
        _none: NoQuery,
        asked: Asked<'_>,
        body: Sent<New>,
    ) -> Result<Made, Problem> {
        let New { name, password } = body.value;
        let register = |auth: Arc<Auth>, database| async move {
            auth.register(&database, name, password).await
        };
        let made = self.run((SignIn::Register, asked.info), register).await?;
        let created_at = crate::encode::timestamp(made.created_at);
        let name = made.name.as_str().into();
        Ok(Made::User(Json(User { id: made.id, name, created_at })))
    }

    /// Sign in
    ///
    /// Gives an access token for requests and a refresh token for the next ones. An unknown name and a wrong
    /// password get the same answer.
    #[oai(path = "/auth/login", method = "post", operation_id = "login", tag = "Tag::SignIn")]
    async fn login(
        &self,
        _none: NoQuery,
        asked: Asked<'_>,
        body: Sent<Given>,
    ) -> Result<Json<Tokens>, Problem> {
        let (Given { name, password }, client) = (body.value, asked.info.client);
        let login = move |auth: Arc<Auth>, database| async move {
            auth.sign_in(&database, client, (&name, password)).await
        };
        self.run((SignIn::Login, asked.info), login).await.map(tokens)
    }

    /// New tokens
    ///
    /// A refresh token holds once. When one comes a second time, somebody has a copy: its sign-in is ended.
    #[oai(path = "/auth/refresh", method = "post", operation_id = "refresh", tag = "Tag::SignIn")]
    async fn refresh(
        &self,
        _none: NoQuery,
        asked: Asked<'_>,
        body: Sent<Refreshing>,
    ) -> Result<Json<Tokens>, Problem> {
        let Some(old) = body.value.0 else {
            self.count(SignIn::Refresh, SignInOutcome::Refused);
            return Err(Problem::unauthorized(super::error::SIGN_IN));
        };
        let refresh =
            move |auth: Arc<Auth>, database| async move { auth.refresh(&database, &old).await };
        self.run((SignIn::Refresh, asked.info), refresh).await.map(tokens)
    }

    /// Sign out
    ///
    /// Ends the sign-in of the token: from then on it and its refresh token are refused everywhere.
    #[oai(path = "/auth/logout", method = "post", operation_id = "logout", tag = "Tag::SignIn")]
    async fn logout(
        &self,
        who: SignedIn,
        _none: NoQuery,
        asked: Asked<'_>,
    ) -> Result<Ended, Problem> {
        let logout =
            move |auth: Arc<Auth>, database| async move { auth.sign_out(&database, who.0).await };
        self.run((SignIn::Logout, asked.info), logout).await.map(|()| Ended::Done)
    }
}
