//! Users who stay signed in for as long as a run takes: their tokens are renewed beside the load, each
//! in its own time, by refreshing, which costs the service no hashing of passwords.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use hyper::header::HeaderValue;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::people::{expect, paced};
use crate::lab::base::Base;
use crate::lab::load::Tokens;
use crate::lab::plan::Plan;

/// A token is renewed when this share of its life is over: the first user's, and so much later the last
/// one's, so that they do not all come at once.
const RENEWED_AT: f64 = 0.5;
const SPREAD: f64 = 0.25;
/// The longest pause before what failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// A name and a password.
type Person = (String, String);

/// The users of a run. They are renewed until this is dropped.
pub(super) struct Sessions {
    state: Arc<State>,
    _renewing: AbortOnDropHandle<()>,
}

struct State {
    base: Base,
    people: Vec<Person>,
    tokens: Tokens,
    /// Until when each token holds.
    until: Mutex<Vec<Instant>>,
    /// Why the last renewal failed.
    failed: Mutex<String>,
}

/// What a sign-in or a refresh gave.
struct Session {
    access: HeaderValue,
    refresh: String,
    since: Instant,
    life: Duration,
}

impl Session {
    fn until(&self) -> Instant {
        self.since + self.life
    }
}

impl Sessions {
    /// Signs everybody in, so many a second as the plan says.
    ///
    /// # Errors
    /// A sentence: what the service said, or that tokens do not hold for as long as that takes.
    pub async fn begin(
        plan: &Plan,
        base: &Base,
        people: Vec<Person>,
    ) -> Result<(Tokens, Self), String> {
        let first = signed_in(base, &people[0]).await?;
        let pace = plan.users.sign_ins_per_second;
        let took = Duration::from_secs_f64(people.len() as f64 / pace);
        if took > first.life.mul_f64(RENEWED_AT) {
            let [took, life] = [took, first.life].map(humantime::format_duration);
            return Err(format!(
                "signing in {} users, {pace} a second, takes {took}, and tokens hold for {life}: raise `users.sign_ins_per_second` of the plan or `auth.access_lifetime` of the service, or lower `users.count`, until it takes at most half as long",
                people.len()
            ));
        }
        let others = paced(plan, &people[1..], async |person| signed_in(base, person).await);
        let mut sessions = vec![first];
        sessions.extend(others.await?);
        let tokens = Tokens::new(sessions.iter().map(|session| session.access.clone()).collect());
        let state = Arc::new(State {
            base: base.clone(),
            people,
            tokens: tokens.clone(),
            until: Mutex::new(sessions.iter().map(Session::until).collect()),
            failed: Mutex::default(),
        });
        let renewing = {
            let state = state.clone();
            async move {
                let each = sessions.into_iter().enumerate();
                join_all(each.map(|(place, session)| state.keep(place, session))).await;
            }
        };
        let renewing = AbortOnDropHandle::new(tokio::spawn(renewing));
        Ok((tokens, Self { state, _renewing: renewing }))
    }

    /// Waits until every token holds, for at most `limit`.
    ///
    /// # Errors
    /// A sentence, when one does not.
    pub async fn all_hold(&self, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        loop {
            let now = Instant::now();
            let over = lock(&self.state.until).iter().position(|until| *until <= now);
            let Some(place) = over else { return Ok(()) };
            if now >= deadline {
                let (name, _) = &self.state.people[place];
                let why = lock(&self.state.failed);
                return Err(format!("{name} could not be signed in anew: {why}"));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

impl State {
    /// Keeps one of them signed in.
    async fn keep(&self, place: usize, mut session: Session) {
        let share = RENEWED_AT + SPREAD * place as f64 / self.people.len() as f64;
        loop {
            sleep_until(session.since + session.life.mul_f64(share)).await;
            session = loop {
                match self.renewed(place, &session.refresh).await {
                    Ok(session) => break session,
                    Err(why) => *lock(&self.failed) = why,
                }
                sleep(AGAIN.min(session.life / 8)).await;
            };
            self.tokens.renew(place, session.access.clone());
            lock(&self.until)[place] = session.until();
        }
    }

    /// By the refresh token; where that holds no more, because an answer was lost, by the password.
    async fn renewed(&self, place: usize, refresh: &str) -> Result<Session, String> {
        let refreshed = ask(&self.base, "/auth/refresh", json!({ "refresh_token": refresh })).await;
        match refreshed {
            Ok(session) => Ok(session),
            Err(_) => signed_in(&self.base, &self.people[place]).await,
        }
    }
}

async fn signed_in(base: &Base, (name, password): &Person) -> Result<Session, String> {
    ask(base, "/auth/login", json!({ "name": name, "password": password })).await
}

async fn ask(base: &Base, path: &str, body: serde_json::Value) -> Result<Session, String> {
    #[derive(Deserialize)]
    struct Given {
        access_token: String,
        refresh_token: String,
        expires_in: u64,
    }
    // The time on the way is of its life.
    let since = Instant::now();
    let answer = expect(base, path, body, 200).await?;
    let given: Given = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("the answer of {path} cannot be read: {error}"))?;
    let mut access = HeaderValue::try_from(format!("Bearer {}", given.access_token))
        .map_err(|_| format!("the token of {path} cannot stand in a header"))?;
    access.set_sensitive(true);
    let life = Duration::from_secs(given.expires_in);
    Ok(Session { access, refresh: given.refresh_token, since, life })
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
