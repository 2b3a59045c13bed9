//! Refresh tokens: each holds once, and a copy that comes back ends the sign-in.

use futures_util::future::join_all;
use rstest::rstest;

use super::*;
use crate::harness::ServeCommand;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_holds_once_and_its_second_use_ends_the_sign_in(
    #[values(Backend::Sqlite, Backend::Postgres, Backend::PgBouncer, Backend::MariaDb)]
    backend: Backend,
    #[values("database", "redis")] store: &str,
) {
    if backend.is_absent() {
        return;
    }
    let service = service(backend, store).await;
    let (access, mut token) = signed_in(&service).await;
    let first = token.clone();
    for _ in 0..3 {
        let answer = refresh(&service, &token).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
        let next = text(&answer.json(), "refresh_token");
        assert_ne!(next, token);
        token = next;
    }
    // The thief, or whoever was robbed.
    assert_eq!(problem(&refresh(&service, &first).await), unauthorized());
    assert_eq!(problem(&refresh(&service, &token).await), unauthorized(), "the newest, too");
    assert_eq!(problem(&log_out(&service, &access).await), unauthorized(), "and the access token");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_refreshes_with_one_token_exactly_one_wins(
    #[values(Backend::Sqlite, Backend::Postgres, Backend::PgBouncer, Backend::MariaDb)]
    backend: Backend,
    #[values("database", "redis")] store: &str,
) {
    if backend.is_absent() {
        return;
    }
    let service = service(backend, store).await;
    for _ in 0..5 {
        let (access, token) = signed_in(&service).await;
        let answers = join_all((0..8).map(|_| refresh(&service, &token))).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 7, "{statuses:?}");
        // Seven came with a token that held once: who of them is the thief nobody knows.
        let won = answers.iter().find(|answer| answer.status == 200).expect("one did").json();
        assert_eq!(problem(&refresh(&service, &text(&won, "refresh_token")).await), unauthorized());
        assert_eq!(problem(&log_out(&service, &access).await), unauthorized());
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_that_ends_while_it_is_refreshed_stays_ended(
    #[values(Backend::Sqlite, Backend::Postgres, Backend::MariaDb)] backend: Backend,
    #[values("database", "redis")] store: &str,
) {
    if backend.is_absent() {
        return;
    }
    let service = service(backend, store).await;
    for _ in 0..5 {
        let (access, token) = signed_in(&service).await;
        let (out, refreshed) =
            futures_util::future::join(log_out(&service, &access), refresh(&service, &token)).await;
        assert_eq!(out.status, 204, "{out:?}");
        if refreshed.status == 200 {
            let tokens = refreshed.json();
            let access = text(&tokens, "access_token");
            assert_eq!(problem(&log_out(&service, &access).await), unauthorized());
            let next = refresh(&service, &text(&tokens, "refresh_token")).await;
            assert_eq!(problem(&next), unauthorized());
        } else {
            assert_eq!(problem(&refreshed), unauthorized());
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_want_one_name_exactly_one_gets_it(
    #[values(Backend::Sqlite, Backend::Postgres, Backend::MariaDb)] backend: Backend,
) {
    if backend.is_absent() {
        return;
    }
    let service = service(backend, "database").await;
    let user = user();
    let answers = join_all((0..8).map(|_| service.client.post("/auth/register", &user))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    log_in(&service, &user).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_refresh_token_is_refused() {
    let service = service(Backend::Sqlite, "database").await;
    let (access, token) = signed_in(&service).await;
    let half = &token[..token.len() / 2];
    let unknown = format!("AAAAAAAAAAAAAAAAAAAAAA.{}", token.split('.').nth(1).expect("two parts"));
    for bad in ["", ".", "x.y", half, &access, &unknown, &format!("{token}x")] {
        assert_eq!(problem(&refresh(&service, bad).await), unauthorized(), "{bad}");
    }
    assert_eq!(refresh(&service, &token).await.status, 200, "none of them ended the sign-in");
}

/// The log must not speak of thieves where there is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_that_has_merely_expired_was_not_used_twice() {
    let setup = setup(Backend::Sqlite, "database").await;
    let setup = setup.with("auth = { access_lifetime = \"1s\", refresh_lifetime = \"6s\" }");
    let service = ServeCommand::start(&setup, &[]);
    service.listens().await;
    service.becomes(200).await;
    let user = user();
    assert_eq!(service.client.post("/auth/register", &user).await.status, 201);
    let token = async || {
        let answer = service.client.post("/auth/login", &user).await;
        text(&answer.json(), "refresh_token")
    };
    let refresh = async |token: &str| {
        service.client.post("/auth/refresh", &json!({ "refresh_token": token })).await
    };
    let expired = token().await;
    tokio::time::sleep(std::time::Duration::from_millis(6500)).await;
    assert_eq!(problem(&refresh(&expired).await), unauthorized());
    let twice = "a refresh token was used twice";
    assert!(!service.log().contains(twice), "{}", service.log());
    let token = token().await;
    assert_eq!(refresh(&token).await.status, 200);
    assert_eq!(problem(&refresh(&token).await), unauthorized());
    assert!(service.log().contains(twice), "{}", service.log());
}
