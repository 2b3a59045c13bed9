//! From a name and a password to a token that holds, and to one that does not.

use hyper::Method;
use rstest::rstest;
use serde_json::json;

use crate::harness::{Answer, Backend, Database, FEW, Redis, Service, Setup, unique};

/// A service over a database of its own.
pub async fn service(backend: Backend, store: &str) -> Service {
    let database = Database::scratch(backend, FEW).await;
    let setup = Setup::of(&database).with(&format!("auth.store = \"{store}\""));
    setup.with_redis(Redis::shared()).start().await
}

/// Ends the sign-in of a token: the one request here that needs one.
pub async fn log_out(service: &Service, token: &str) -> Answer {
    let value = format!("Bearer {token}");
    service.client.send(Method::POST, "/auth/logout", &[("authorization", &value)]).await
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_registers_signs_in_and_out(
    #[values(Backend::Sqlite, Backend::Postgres, Backend::MariaDb)] backend: Backend,
    #[values("database", "redis")] store: &str,
) {
    if backend.is_absent() {
        return;
    }
    let service = service(backend, store).await;
    let user = json!({ "name": unique("Ada"), "password": "correct horse" });
    let made = service.client.post("/auth/register", &user).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.header("cache-control"), "no-store");
    let taken = service.client.post("/auth/register", &user).await;
    assert_eq!((taken.status.as_u16(), &*taken.problem()), (409, "taken"));
    let signed_in = service.client.post("/auth/login", &user).await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    let tokens = signed_in.json();
    assert_eq!(tokens["user_id"], made.json()["id"]);
    let token = tokens["access_token"].as_str().expect("a text");
    assert_eq!(log_out(&service, token).await.status, 204);
    let refused = log_out(&service, token).await;
    assert_eq!((refused.status.as_u16(), &*refused.problem()), (401, "unauthorized"));
    assert_eq!(refused.header("www-authenticate"), "Bearer");
}
