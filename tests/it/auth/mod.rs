//! Sign-in, as clients see it.

mod bodies;
mod generate;
mod growth;
mod guessing;
mod keys;
mod outages;
mod refresh;
mod tokens;

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Backend, Database, FEW, Redis, Service, Setup, unique};

const PASSWORD: &str = "correct horse";

/// A setup over a database of its own, with the shared Redis.
async fn setup(backend: Backend, store: &str) -> Setup {
    let database = Database::scratch(backend, FEW).await;
    let setup = Setup::of(&database).with(&format!("auth.store = \"{store}\""));
    setup.with_redis(Redis::shared())
}

/// A service over a database of its own.
async fn service(backend: Backend, store: &str) -> Service {
    setup(backend, store).await.start().await
}

fn user() -> Value {
    json!({ "name": unique("user"), "password": PASSWORD })
}

fn text(json: &Value, key: &str) -> String {
    json[key].as_str().unwrap_or_else(|| panic!("{key} is no text: {json}")).to_owned()
}

/// The tokens of a new user.
async fn signed_in(service: &Service) -> (String, String) {
    let user = user();
    let made = service.client.post("/auth/register", &user).await;
    assert_eq!(made.status, 201, "{made:?}");
    log_in(service, &user).await
}

/// The tokens of a user.
async fn log_in(service: &Service, user: &Value) -> (String, String) {
    let answer = service.client.post("/auth/login", user).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let tokens = answer.json();
    (text(&tokens, "access_token"), text(&tokens, "refresh_token"))
}

async fn refresh(service: &Service, token: &str) -> Answer {
    service.client.post("/auth/refresh", &json!({ "refresh_token": token })).await
}

/// Ends the sign-in of a token.
async fn log_out(service: &Service, token: &str) -> Answer {
    authorized(service, &format!("Bearer {token}")).await
}

/// A request that needs a token, with this header.
async fn authorized(service: &Service, value: &str) -> Answer {
    let headers = [("authorization", value)];
    service.client.send_body(Method::POST, "/auth/logout", &headers, Bytes::new()).await
}

/// Status and kind.
fn problem(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.problem())
}

fn unauthorized() -> (u16, String) {
    (401, "unauthorized".into())
}
