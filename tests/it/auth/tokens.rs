//! From a name and a password to a token that holds, and all the tokens that do not.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::hmac;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::harness::SIGNING_KEY;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_registers_signs_in_and_out(
    #[values(Backend::Sqlite, Backend::Postgres, Backend::PgBouncer, Backend::MariaDb)]
    backend: Backend,
    #[values("database", "redis")] store: &str,
) {
    if backend.is_absent() {
        return;
    }
    let service = service(backend, store).await;
    let name = unique("Ada@shop.example-");
    let user = json!({ "name": name, "password": PASSWORD });
    let made = service.client.post("/auth/register", &user).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.header("cache-control"), "no-store");
    assert_eq!(made.json()["name"], name.to_lowercase());
    let other_case = json!({ "name": name.to_uppercase(), "password": "another password" });
    for again in [&user, &other_case] {
        let taken = service.client.post("/auth/register", again).await;
        assert_eq!(problem(&taken), (409, "taken".into()));
    }
    let answer = service.client.post("/auth/login", &user).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let tokens = answer.json();
    assert_eq!(tokens["user_id"], made.json()["id"]);
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(900)));
    // Two sign-ins of one user end each for itself.
    let (first, other) = (text(&tokens, "access_token"), log_in(&service, &user).await.0);
    assert_eq!(log_out(&service, &first).await.status, 204);
    let refused = log_out(&service, &first).await;
    assert_eq!(problem(&refused), unauthorized());
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    assert_eq!(refused.header("cache-control"), "no-store");
    let refused = refresh(&service, &text(&tokens, "refresh_token")).await;
    assert_eq!(problem(&refused), unauthorized());
    assert_eq!(log_out(&service, &other).await.status, 204);
}

fn encoded(json: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
}

fn decoded(part: &str) -> Value {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).expect("it is base64");
    serde_json::from_slice(&bytes).expect("it is JSON")
}

/// A token of this head and these claims, signed with this key.
fn forged(key: &[u8], algorithm: hmac::Algorithm, head: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encoded(head), encoded(claims));
    let tag = hmac::sign(&hmac::Key::new(algorithm, key), message.as_bytes());
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_token_of_ours_that_holds_now_is_taken() {
    let service = service(Backend::Sqlite, "database").await;
    let (good, refresh_token) = signed_in(&service).await;
    let (_, other_refresh) = signed_in(&service).await;
    let parts: Vec<&str> = good.split('.').collect();
    let (head, claims) = (decoded(parts[0]), decoded(parts[1]));
    assert_eq!((&head["alg"], &head["typ"]), (&json!("HS256"), &json!("JWT")));
    for name in ["iss", "sub", "sid", "jti", "iat", "nbf", "exp"] {
        assert!(!claims[name].is_null(), "{name} in {claims}");
    }
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 900);
    let key = BASE64_STANDARD.decode(SIGNING_KEY).expect("it is base64");
    let (sha256, sha384) = (hmac::HMAC_SHA256, hmac::HMAC_SHA384);
    let with = |of: &Value, name: &str, value: Value| {
        let mut changed = of.clone();
        changed[name] = value;
        changed
    };
    let without = |of: &Value, name: &str| {
        let mut changed = of.clone();
        changed.as_object_mut().expect("an object").remove(name);
        changed
    };
    let claimed = |changed: Value| forged(&key, sha256, &head, &changed);
    let headed = |changed: Value| forged(&key, sha256, &changed, &claims);
    let now = claims["iat"].as_u64().expect("a number");
    let none = encoded(&with(&head, "alg", json!("none")));
    let other_claims = encoded(&with(&claims, "sub", json!("1000")));
    let other_sid = other_refresh.split('.').next().expect("its sign-in");
    let mut bad = vec![
        ("expired", claimed(with(&claims, "exp", json!(now - 60)))),
        ("not yet", claimed(with(&claims, "nbf", json!(now + 600)))),
        ("no expiry", claimed(without(&claims, "exp"))),
        ("no beginning", claimed(without(&claims, "nbf"))),
        ("of somebody else", claimed(with(&claims, "iss", json!("others")))),
        ("of nobody", claimed(without(&claims, "iss"))),
        ("another user's sign-in", claimed(with(&claims, "sid", json!(other_sid)))),
        ("another user", claimed(with(&claims, "sub", json!("987654")))),
        ("no user", claimed(with(&claims, "sub", json!("x")))),
        ("no sign-in", claimed(with(&claims, "sid", json!("x")))),
        ("a made-up sign-in", claimed(with(&claims, "sid", json!("AAAAAAAAAAAAAAAAAAAAAA")))),
        ("expiry is text", claimed(with(&claims, "exp", json!("tomorrow")))),
        ("another key", forged(&[7; 32], sha256, &head, &claims)),
        ("an unknown key", headed(with(&head, "kid", json!("0123456789abcdef")))),
        ("no key named", headed(without(&head, "kid"))),
        ("another algorithm", forged(&key, sha384, &with(&head, "alg", json!("HS384")), &claims)),
        ("an asymmetric one", headed(with(&head, "alg", json!("RS256")))),
        ("an unknown one", headed(with(&head, "alg", json!("XS256")))),
        ("alg none", format!("{none}.{}.", parts[1])),
        ("alg none with a signature", format!("{none}.{}.{}", parts[1], parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("other claims", format!("{}.{other_claims}.{}", parts[0], parts[2])),
        ("truncated", good[..good.len() - 1].to_owned()),
        ("half", good[..good.len() / 2].to_owned()),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{good}.x")),
        ("a refresh token", refresh_token),
        ("nothing", String::new()),
        ("no token", "x".into()),
        ("much too long", "x".repeat(20_000)),
    ];
    bad.extend((1..30).map(|cut| ("cut", good[..good.len() * cut / 30].to_owned())));
    for (what, token) in bad {
        let answer = log_out(&service, &token).await;
        assert_eq!(problem(&answer), unauthorized(), "{what}: {token}");
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{what}");
    }
    for value in ["", "Bearer", "Basic dTpw", &good, &format!("Basic {good}")] {
        assert_eq!(problem(&authorized(&service, value).await), unauthorized(), "{value}");
    }
    let bare = service.client.send(Method::POST, "/auth/logout", &[]).await;
    assert_eq!(problem(&bare), unauthorized());
    // The same claims again, signed as we do, are a good token: it was the changes that were refused.
    assert_eq!(log_out(&service, &claimed(claims.clone())).await.status, 204);
    assert_eq!(problem(&log_out(&service, &good).await), unauthorized(), "its sign-in has ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_holds_for_its_time_and_a_sign_in_for_its_own() {
    for store in ["database", "redis"] {
        let setup = setup(Backend::Sqlite, store).await;
        let times = "auth = { access_lifetime = \"1s\", refresh_lifetime = \"2s\" }";
        let service = setup.with(times).start().await;
        let (access, old) = signed_in(&service).await;
        tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
        assert_eq!(problem(&refresh(&service, &old).await), unauthorized(), "{store}");
        assert_eq!(problem(&log_out(&service, &access).await), unauthorized(), "{store}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_needs_no_token_and_minds_none() {
    let service = service(Backend::Sqlite, "database").await;
    let good = format!("Bearer {}", service.sign_in().await);
    for headers in [&[][..], &[("authorization", "Bearer nonsense")], &[("authorization", &*good)]]
    {
        assert_eq!(service.client.get_with("/products/pooled", headers).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_says_what_needs_a_token_and_what_else_may_be_answered() {
    let service = service(Backend::Sqlite, "database").await;
    let spec = service.client.get("/openapi.json").await.json();
    let scheme = &spec["components"]["securitySchemes"]["Bearer"];
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&json!("http"), &json!("bearer")));
    for (path, statuses) in [
        ("register", &["201", "400", "405", "408", "409", "413", "415", "429", "503"][..]),
        ("login", &["200", "400", "401", "405", "408", "413", "415", "429", "503"]),
        ("refresh", &["200", "400", "401", "405", "408", "413", "415", "429", "503"]),
        ("logout", &["204", "400", "401", "405", "429", "503"]),
    ] {
        let operation = &spec["paths"][format!("/auth/{path}")]["post"];
        for status in statuses {
            assert!(operation["responses"][status].is_object(), "{status} of {path}");
        }
        assert_eq!(operation["security"].is_null(), path != "logout", "{path}");
        assert_eq!(operation["tags"], json!(["Sign-in"]));
        if path != "logout" {
            assert!(operation["requestBody"]["content"]["application/json"]["example"].is_object());
        }
    }
    assert!(spec["paths"]["/products/pooled"]["get"]["responses"]["401"].is_null());
    let get = service.client.get("/auth/login").await;
    assert_eq!((problem(&get).0, get.header("allow")), (405, "POST"));
}
