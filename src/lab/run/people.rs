//! Before a load that writes: which products there are, and users who are signed in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use super::sessions::Sessions;
use super::staleness::Watched;
use crate::lab::base::{Answer, Base};
use crate::lab::load::{Shop, Tokens};
use crate::lab::plan::Plan;

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// So many products are written to and read one by one.
const PRODUCTS: usize = 1000;
/// How often somebody who is told to come back does.
const ATTEMPTS: u32 = 5;

/// The products and people of a run.
pub(super) struct People {
    pub shop: Shop,
    pub watched: Arc<Watched>,
    sessions: Option<Sessions>,
}

impl People {
    /// Finds products and, where the plan writes, registers and signs in its users.
    ///
    /// # Errors
    /// A sentence: what the service said, and what to do.
    pub async fn gather(plan: &Plan, base: &Base) -> Result<Self, String> {
        let (products, watched) = products(base).await?;
        let mut known = Vec::new();
        if plan.tasks.write() || plan.staleness.is_some() {
            // Runs against a service that keeps its users must not meet those of an earlier one.
            let run = rand::random::<u32>();
            let password = || format!("{:016x}", rand::random::<u64>());
            known =
                (0..plan.users.count).map(|i| (format!("lab-{run:08x}-{i}"), password())).collect();
            paced(plan, &known, async |(name, password)| {
                let credentials = json!({"name": name, "password": password});
                expect(base, "/auth/register", credentials, 201).await.map(drop)
            })
            .await?;
        }
        let mut shop =
            Shop { tasks: plan.tasks, products, tokens: Tokens::default(), seed: plan.seed };
        let mut sessions = None;
        if !known.is_empty() {
            let (tokens, begun) = Sessions::begin(plan, base, known).await?;
            (shop.tokens, sessions) = (tokens, Some(begun));
        }
        Ok(Self { shop, watched, sessions })
    }

    /// Waits until everybody is signed in.
    ///
    /// # Errors
    /// A sentence, when somebody stays signed out.
    pub async fn are_signed_in(&self) -> Result<(), String> {
        match &self.sessions {
            None => Ok(()),
            Some(sessions) => sessions.all_hold(TIMEOUT).await,
        }
    }
}

/// Does something for each of the users, so many a second as the plan says.
pub(super) async fn paced<'a, T>(
    plan: &Plan,
    known: &'a [(String, String)],
    act: impl AsyncFn(&'a (String, String)) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let begin = Instant::now();
    let one = async |(number, user): (usize, &'a (String, String))| {
        let due = number as f64 / plan.users.sign_ins_per_second;
        sleep_until(begin + Duration::from_secs_f64(due)).await;
        act(user).await
    };
    try_join_all(known.iter().enumerate().map(one)).await
}

/// Ids of products of which there are many; and one that is watched, which is not among them.
async fn products(base: &Base) -> Result<(Vec<i64>, Arc<Watched>), String> {
    #[derive(Deserialize)]
    struct Product {
        id: i64,
        stock: i64,
    }
    let path = format!("/products/pooled?in_stock=true&limit={PRODUCTS}");
    let (status, body) = base.get(&path, TIMEOUT).await.map_err(|error| error.to_string())?;
    if status != 200 {
        return Err(format!("GET {path} was answered with {status}"));
    }
    let mut products: Vec<Product> = serde_json::from_slice(&body)
        .map_err(|error| format!("the answer of GET {path} cannot be read: {error}"))?;
    products.sort_by_key(|product| std::cmp::Reverse(product.stock));
    // Of most of them enough for a run.
    products.truncate((products.len() / 2).max(2));
    let [others @ .., last] = &*products else {
        return Err("no product is in stock: fill the table with `poolwise seed --reset`".into());
    };
    if others.is_empty() {
        return Err("two products have to be in stock: `poolwise seed --reset`".into());
    }
    let watched = Watched::new(last.id, last.stock);
    Ok((others.iter().map(|product| product.id).collect(), Arc::new(watched)))
}

/// Posts something until it is taken, and comes back as often as told.
pub(super) async fn expect(
    base: &Base,
    path: &str,
    body: serde_json::Value,
    status: u16,
) -> Result<Answer, String> {
    for attempt in 1.. {
        let request = Request::post(path)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .expect("our own paths are right");
        let answer = base.ask(request, TIMEOUT).await.map_err(|error| error.to_string())?;
        if answer.status == status {
            return Ok(answer);
        }
        let wait =
            answer.headers.get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
        let Some(wait) = wait.filter(|_| attempt < ATTEMPTS) else {
            let said = String::from_utf8_lossy(&answer.body);
            return Err(format!("POST {path} was answered with {}: {said}", answer.status));
        };
        sleep(Duration::from_secs(wait)).await;
    }
    unreachable!("the last attempt returns")
}

/// A header for one of those who are signed in.
pub(super) fn authorization(shop: &Shop) -> Option<(hyper::header::HeaderName, HeaderValue)> {
    Some((AUTHORIZATION, shop.tokens.of(0)?))
}
