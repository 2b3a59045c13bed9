//! Bodies that are none, too large, too deep, or say the wrong things.

use super::*;

async fn posted(service: &Service, path: &str, media_type: &str, body: impl Into<Bytes>) -> Answer {
    let headers = [("content-type", media_type)];
    service.client.send_body(Method::POST, path, &headers, body.into()).await
}

const JSON: &str = "application/json";
const PATHS: [&str; 3] = ["/auth/register", "/auth/login", "/auth/refresh"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_no_json_object_is_refused_without_repeating_it() {
    let service = service(Backend::Sqlite, "database").await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for path in PATHS {
        for body in ["", "geheim", "{\"name\": geheim}", "{\"password\": \"geheim", "\u{0}", "{}{}"]
        {
            let answer = posted(&service, path, JSON, body.to_owned()).await;
            assert_eq!(problem(&answer), (400, "bad-body".into()), "{path} {body}");
            assert!(!String::from_utf8_lossy(&answer.body).contains("geheim"), "{answer:?}");
        }
        for body in ["null", "[]", "7", "\"text\"", "true", "-1e999", "NaN"] {
            let answer = posted(&service, path, JSON, body.to_owned()).await;
            assert_eq!(problem(&answer), (400, "bad-body".into()), "{path} {body}");
        }
        let nested = format!("{{\"name\": {}}}", &deep[..1000]);
        let answer = posted(&service, path, JSON, nested).await;
        assert_eq!(problem(&answer), (400, "bad-body".into()), "{path}");
        let answer = posted(&service, path, JSON, deep.clone()).await;
        assert_eq!(problem(&answer), (413, "body-too-large".into()), "{path}");
        let not_utf8 = posted(&service, path, JSON, &b"{\"name\": \"\xff\xfe\"}"[..]).await;
        assert_eq!(problem(&not_utf8), (400, "bad-body".into()), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_10_mb_is_refused_and_not_kept() {
    let service = service(Backend::Sqlite, "database").await;
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(10 << 20));
    for path in PATHS {
        let answer = posted(&service, path, JSON, large.clone()).await;
        assert_eq!(problem(&answer), (413, "body-too-large".into()), "{path}");
    }
    assert_eq!(service.client.get("/products/pooled?limit=1").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_json_is_taken() {
    let service = service(Backend::Sqlite, "database").await;
    let user = user().to_string();
    for media_type in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        let answer = posted(&service, "/auth/register", media_type, user.clone()).await;
        assert_eq!(problem(&answer), (415, "media-type".into()), "{media_type}");
    }
    let answer = posted(&service, "/auth/register", "Application/JSON; charset=utf-8", user).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// Places and reasons of what was refused.
fn refused(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(problem(answer), (400, "bad-body".into()), "{answer:?}");
    let document = answer.json();
    let errors = document["errors"].as_array().expect("they are listed").iter();
    errors.map(|error| (text(error, "pointer"), text(error, "reason"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_wrong_with_a_body_is_named_at_once() {
    let service = service(Backend::Sqlite, "database").await;
    let wrong = json!({ "name": 7, "password": ["x"], "admin": true, "colour": "red" });
    let answer = service.client.post("/auth/register", &wrong).await;
    let found = refused(&answer);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["/admin", "/colour", "/name", "/password"], "{found:?}");
    assert!(found[0].1.contains("is not known; known are name, password"), "{found:?}");
    assert_eq!((&*found[2].1, &*found[3].1), ("must be text", "must be text"));
    let nothing = service.client.post("/auth/login", &json!({})).await;
    assert!(refused(&nothing).iter().all(|(_, reason)| reason == "is missing"));
    assert_eq!(refused(&nothing).len(), 2);
    assert_eq!(refused(&refresh_with(&service, Value::Null).await).len(), 1);
}

/// Of two one would be taken, and who knows which.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_is_repeated_is_refused() {
    let service = service(Backend::Sqlite, "database").await;
    let twice = r#"{"name":"somebody","password":"correct horse","password":"other horse"}"#;
    for path in ["/auth/register", "/auth/login"] {
        let found = refused(&posted(&service, path, JSON, twice).await);
        assert_eq!(found, [("/password".into(), "is given more than once".into())], "{path}");
    }
    let twice = r#"{"refresh_token":"a","refresh_token":"b"}"#;
    let found = refused(&posted(&service, "/auth/refresh", JSON, twice).await);
    assert_eq!(found, [("/refresh_token".into(), "is given more than once".into())]);
}

async fn refresh_with(service: &Service, token: Value) -> Answer {
    service.client.post("/auth/refresh", &json!({ "refresh_token": token })).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_passwords_have_bounds_and_every_character_of_a_password_counts() {
    let service = service(Backend::Sqlite, "database").await;
    let register = async |name: &str, password: &str| {
        let user = json!({ "name": name, "password": password });
        service.client.post("/auth/register", &user).await
    };
    for name in ["", "ab", &"x".repeat(65), "a b c", "ädä", "a\u{0}bc", "x\ny", "\u{202e}abc"] {
        assert_eq!(refused(&register(name, PASSWORD).await)[0].0, "/name", "{name:?}");
    }
    for password in ["", "1234567", &"x".repeat(129)] {
        assert_eq!(refused(&register("somebody", password).await)[0].0, "/password");
    }
    let longest = "\u{1f40e}".repeat(128);
    for password in
        ["12345678", &longest, "пароль пароль", "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}"]
    {
        let user = json!({ "name": unique("bounds"), "password": password });
        assert_eq!(service.client.post("/auth/register", &user).await.status, 201);
        log_in(&service, &user).await;
        let shorter: String = password.chars().skip(1).collect();
        let other = json!({ "name": user["name"], "password": shorter });
        assert_eq!(service.client.post("/auth/login", &other).await.status, 401);
    }
    let answer = service.client.post("/auth/login?debug=1", &user()).await;
    assert_eq!(problem(&answer), (400, "bad-parameter".into()), "no endpoint takes parameters");
    assert_eq!(answer.json()["errors"][0]["parameter"], "debug");
}
