//! Who asks: the token of a request, checked before its handler runs.

use std::sync::Arc;

use poem::Request;
use poem_openapi::SecurityScheme;
use poem_openapi::auth::Bearer;

use super::State;
use super::error::{Kind, Problem, SIGN_IN};
use super::request::RequestInfo;
use crate::auth::{self, AuthError, Database};
use crate::store::RequestContext;

/// An access token, as POST /auth/login gives it.
///
/// An endpoint that takes one is only for those who are signed in: without a token that holds the answer
/// is 401, and 503 where it cannot be known whether it holds.
#[derive(SecurityScheme)]
#[oai(ty = "bearer", rename = "Bearer", bearer_format = "JWT", checker = "check")]
pub struct SignedIn(pub auth::SignedIn);

impl SignedIn {
    /// The user's number.
    pub fn user(&self) -> i64 {
        self.0.user
    }
}

async fn check(request: &Request, bearer: Bearer) -> poem::Result<auth::SignedIn> {
    let missing = || Problem::new(Kind::Internal, "no request info");
    let state = request.data::<Arc<State>>().ok_or_else(missing)?;
    let info = request.data::<Arc<RequestInfo>>().ok_or_else(missing)?;
    let database = state.users(info);
    let auth = state.auth.load_full();
    let deadline = database.deadline();
    let checked = auth.check(&database, &bearer.token);
    let checked = tokio::time::timeout_at(deadline.into(), checked).await;
    let late = |_| Err(AuthError::Unavailable("the request's deadline passed".into()));
    Ok(checked.unwrap_or_else(late).map_err(|error| problem_of(error, info))?)
}

impl State {
    /// The way of a request to users and sign-ins: through the strategy whose connections write.
    pub(super) fn users(&self, info: &RequestInfo) -> Database {
        let strategy = self.strategies.load().writer().clone();
        let deadline = info.started + self.config.load().server.request_timeout;
        let context = RequestContext { request_id: info.id.clone(), deadline, coding: None };
        Database::new(strategy, context)
    }
}

const UNKNOWN: &str = "The database was not heard any more while this was made to hold: it may have happened or not. Sign in to see; if that is refused, repeat it.";

/// What a failure of sign-in means to the client; its detail is for the log only.
pub(super) fn problem_of(error: AuthError, info: &RequestInfo) -> Problem {
    match error {
        AuthError::Unauthorized(why) => {
            tracing::debug!(request_id = &*info.id, client = %info.client, why, "not signed in");
            Problem::unauthorized(SIGN_IN)
        }
        AuthError::WrongCredentials => {
            tracing::info!(request_id = &*info.id, client = %info.client, "a sign-in failed");
            Problem::unauthorized("There is no user of this name and password.")
        }
        AuthError::TooManyFailures { retry_after } => {
            tracing::warn!(request_id = &*info.id, client = %info.client, "too many sign-ins failed");
            let detail = "Too many sign-ins of this user, or from this address, have failed. Try again after the time in Retry-After.";
            Problem::new(Kind::TooManyFailures, detail).retry_after(retry_after)
        }
        AuthError::Saturated => Problem::new(
            Kind::Saturated,
            "Too many people sign in at the moment. Try again after the time in Retry-After.",
        ),
        AuthError::Unavailable(why) => {
            tracing::warn!(request_id = &*info.id, why, "sign-ins cannot be asked for");
            let detail = "It cannot be known at the moment who is signed in. Reading goes on; try again later.";
            Problem::new(Kind::AuthUnavailable, detail)
        }
        AuthError::Unknown(why) => {
            tracing::warn!(request_id = &*info.id, why, "a commit was not answered");
            Problem::new(Kind::UnknownOutcome, UNKNOWN)
        }
        AuthError::Store(error) => {
            tracing::warn!(request_id = &*info.id, %error, "no answer");
            Problem::of_store(&error)
        }
    }
}
