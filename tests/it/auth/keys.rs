//! The keys that tokens are signed with: made where that is allowed, asked for where it is not.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use poolwise::config::{self, Environment, KeySource, parse_keys};
use poolwise::store::plugin::Plugins;

use super::*;
use crate::command::outcome;
use crate::config::file;
use crate::harness::{Postgres, SIGNING_KEY, ServeCommand, folder};

fn key() -> String {
    let (code, out, error) = outcome(&["auth", "key"]);
    assert_eq!((code, &*error), (0, ""));
    assert_eq!(parse_keys(&out).map(|keys| keys.len()), Ok(1), "{out}");
    out.trim().to_owned()
}

/// A new file with this text.
fn key_file(text: &str) -> PathBuf {
    let path = folder().join(unique("signing"));
    std::fs::write(&path, text).expect("the temp folder can be written to");
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_gets_a_key_beside_its_file_that_stays_and_only_its_owner_reads() {
    let home = folder().join(unique("home"));
    let database = home.join("shop.db");
    let text = format!(
        "database.url = \"sqlite:{}\"\nseed = {{ auto = true, rows = 10 }}",
        database.display()
    );
    let setup =
        || Setup::of_server("sqlite").with_file(file(&text)).with("auth.signing_key = \"\"");
    // An empty key is a mistake, not an absent one.
    assert!(setup().problems().contains("`auth.signing_key`: there is no key in it"));
    let path = file(&format!("{text}\n[log]\nlevel = \"warn\""));
    let mut token = String::new();
    let user = user();
    for start in 0..2 {
        let mut service = ServeCommand::start(&Setup::bare().with_file(path.clone()), &[]);
        service.listens().await;
        service.becomes(200).await;
        let warned = service.log().contains("a key to sign tokens with was made");
        assert_eq!(warned, start == 0, "{}", service.log());
        let key = home.join("shop.key");
        let mode = std::fs::metadata(&key).expect("it was made").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        if start == 0 {
            token = service.client.sign_in(&text_of(&user), PASSWORD).await;
        } else {
            let value = format!("Bearer {token}");
            let headers = [("authorization", &*value)];
            let answer = service.client.send(Method::POST, "/auth/logout", &headers).await;
            assert_eq!(answer.status, 204, "a token outlives a restart: {answer:?}");
        }
        service.signal("TERM");
        assert_eq!(service.ends().await, 0);
    }
    let left: Vec<_> = std::fs::read_dir(&home).expect("it is there").flatten().collect();
    let keys = left.iter().filter(|entry| entry.path().to_string_lossy().contains("key")).count();
    assert_eq!(keys, 1, "nothing is left over of making it");
}

fn text_of(user: &Value) -> String {
    text(user, "name")
}

#[test]
fn elsewhere_a_missing_key_ends_the_start_and_says_how_to_make_one() {
    let url = format!(
        "database = {{ backend = \"postgres\", url = \"{}\" }}\n",
        Postgres::shared().url("postgres")
    );
    let absent = folder().join(unique("absent"));
    let named = format!("{url}auth.signing_key_file = {absent:?}");
    let sqlite = "auth.generate_key = false".to_owned();
    for (toml, name) in
        [(&url, "FILE".into()), (&named, absent.display().to_string()), (&sqlite, "FILE".into())]
    {
        let path = file(toml);
        let path = path.to_str().expect("UTF-8");
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["config", "check"]] {
            let (code, out, error) = outcome(&[command, &["--config", path]].concat());
            assert_eq!((code, &*out), (2, ""), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
            let make = format!("`poolwise auth key > {name}`");
            assert!(error.contains("`auth.signing_key_file`") && error.contains(&make), "{error}");
        }
        let (code, ..) = outcome(&["config", "dump", "--config", path]);
        assert_eq!(code, 0, "what does not serve needs none");
    }
}

#[test]
fn what_is_wrong_with_a_key_is_said_without_it() {
    let both =
        format!("auth = {{ signing_key = \"{SIGNING_KEY}\", signing_key_file = \"/nowhere\" }}");
    let lone =
        "database = { backend = \"postgres\", url = \"postgres://h/d\" }\nauth.generate_key = true";
    let in_file = format!("auth.signing_key_file = {:?}", key_file("s3samOpenSignsTooLittle="));
    let empty = format!("auth.signing_key_file = {:?}", key_file("# nothing\n\n"));
    for (toml, expected) in [
        (&*both, "are both set"),
        ("auth.signing_key = \"s3samOpen!\"", "is not base64"),
        ("auth.signing_key = \"czNzYW1PcGVu\"", "fewer than 32"),
        (&*in_file, "key 1"),
        (&*empty, "no key in it"),
        ("auth.signing_key_file = \"/\"", "cannot be read"),
        (lone, "needs `auth.signing_key_file`"),
    ] {
        let loaded = config::load(&[file(toml)], &Environment::default(), &Plugins::standard());
        let found = loaded.expect_err("it is refused").to_string();
        assert!(found.contains(expected) && found.contains("`auth."), "{expected} in {found}");
        for secret in ["s3sam", "czNz", &SIGNING_KEY[..8]] {
            assert!(!found.contains(secret), "{found}");
        }
    }
    let numbers = "auth = { hash_memory = \"1MiB\", hash_iterations = 0, hashes_at_once = 0, failures = 0, failures_per = \"0s\", access_lifetime = \"10m\", refresh_lifetime = \"5m\", store = \"redis\" }";
    let found = Setup::of_server("sqlite").with(numbers).problems();
    for key in [
        "hash_memory",
        "hash_iterations",
        "hashes_at_once",
        "failures",
        "failures_per",
        "access_lifetime",
    ] {
        assert!(found.contains(&format!("`auth.{key}`")), "{key} in {found}");
    }
}

#[test]
fn a_key_is_in_no_dump_and_in_no_debug_print() {
    let path = file(&format!("auth.signing_key = \"{SIGNING_KEY}\""));
    let (code, out, _) = outcome(&["config", "dump", "--config", path.to_str().expect("UTF-8")]);
    assert_eq!(code, 0);
    assert!(out.contains("signing_key = \"***\"") && !out.contains(&SIGNING_KEY[..8]), "{out}");
    let config = Setup::of_server("sqlite").config();
    assert!(matches!(&config.auth.keys, KeySource::Keys(keys) if keys.len() == 1));
    let printed = format!("{config:?}");
    assert!(
        !printed.contains(&SIGNING_KEY[..8]) && !printed.contains("112, 111, 111"),
        "{printed}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_change_without_signing_anybody_out() {
    let (old, new) = (key(), key());
    let keys = key_file(&old);
    let (database, home) =
        (Database::scratch(Backend::Sqlite, FEW).await, folder().join(unique("rotate")));
    std::fs::create_dir(&home).expect("the temp folder can be written to");
    let toml = home.join("poolwise.toml");
    let write = |text: &str| std::fs::write(&toml, text).expect("it can be written");
    let named = format!(
        "auth.signing_key_file = {keys:?}\ndatabase.url = \"{}\"\nseed.auto = false",
        database.url
    );
    write(&named);
    let service = ServeCommand::start(&Setup::bare().with_file(toml.clone()), &[]);
    service.listens().await;
    service.becomes(200).await;
    let key_id = |token: &str| token.split('.').next().expect("a head").to_owned();
    let out = async |token: &str| {
        let value = format!("Bearer {token}");
        service.client.send(Method::POST, "/auth/logout", &[("authorization", &value)]).await.status
    };
    let applied = async |text: &str| {
        let before = service.client.get("/stats").await.json()["config"]["loaded_at"].clone();
        std::fs::write(&keys, text).expect("it can be written");
        service.signal("HUP");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while service.client.get("/stats").await.json()["config"]["loaded_at"] == before {
            assert!(std::time::Instant::now() < deadline, "{}", service.log());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let of_old = service.client.sign_in(&unique("user"), PASSWORD).await;
    let also_of_old = service.client.sign_in(&unique("user"), PASSWORD).await;
    applied(&format!("{new}\n{old}\n")).await;
    let of_new = service.client.sign_in(&unique("user"), PASSWORD).await;
    assert_ne!(key_id(&of_old), key_id(&of_new), "the first one signs");
    assert_eq!(out(&of_old).await, 204, "all verify");
    applied(&new).await;
    assert_eq!(out(&also_of_old).await, 401, "one that was taken out verifies no more");
    assert_eq!(out(&of_new).await, 204);
}

/// Without a signal, and though nothing names the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_the_key_beside_sqlite_takes_effect_and_one_that_is_removed_is_made_anew() {
    let home = folder().join(unique("beside"));
    let text = format!(
        "database.url = \"sqlite:{}\"\nseed = {{ auto = true, rows = 10 }}",
        home.join("shop.db").display()
    );
    let service = ServeCommand::start(&Setup::bare().with_file(file(&text)), &[]);
    service.listens().await;
    service.becomes(200).await;
    let keys = home.join("shop.key");
    let made = std::fs::read_to_string(&keys).expect("it was made");
    let user = user();
    assert_eq!(service.client.post("/auth/register", &user).await.status, 201);
    let token = async || {
        let answer = service.client.post("/auth/login", &user).await;
        text_of_token(&answer)
    };
    let key_id = |token: &str| token.split('.').next().expect("a head").to_owned();
    let another = async |than: &str| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let token = token().await;
            if key_id(&token) != key_id(than) {
                return token;
            }
            assert!(std::time::Instant::now() < deadline, "{}", service.log());
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let out = async |token: &str| {
        let value = format!("Bearer {token}");
        service.client.send(Method::POST, "/auth/logout", &[("authorization", &value)]).await.status
    };
    let (old, also_old) = (token().await, token().await);
    std::fs::write(&keys, format!("{}\n{made}", key())).expect("it can be written");
    let new = another(&old).await;
    assert_eq!(
        (out(&old).await, out(&new).await),
        (hyper::StatusCode::NO_CONTENT, hyper::StatusCode::NO_CONTENT)
    );
    std::fs::remove_file(&keys).expect("it is there");
    another(&new).await;
    assert_eq!(out(&also_old).await, 401, "a key that was removed verifies no more");
    let remade = std::fs::read_to_string(&keys).expect("it was made anew");
    assert!(remade != made && parse_keys(&remade).is_ok_and(|keys| keys.len() == 1));
    let said = service.log();
    assert_eq!(said.matches("a key to sign tokens with was made").count(), 2, "{said}");
    assert_eq!(said.matches("was read again and is in force").count(), 2, "{said}");
}

fn text_of_token(answer: &Answer) -> String {
    text(&answer.json(), "access_token")
}

#[test]
fn a_key_for_each_of_several_replicas_is_warned_of() {
    let warned = |replicas: u32, generate: bool| {
        let named = format!(
            "server.replicas = {replicas}\ncache.invalidation = \"ttl\"\nauth = {{ signing_key_file = {:?}, generate_key = {generate} }}",
            key_file(&key())
        );
        let loaded = config::load(&[file(&named)], &Environment::default(), &Plugins::standard());
        let warnings = loaded.expect("it is legal").warnings.join("\n");
        warnings.contains("auth.generate_key") && warnings.contains("`poolwise auth key > FILE`")
    };
    assert_eq!([warned(2, true), warned(1, true), warned(2, false)], [true, false, false]);
}
