//! `poolwise users generate`: users for load tests, registered as anybody registers.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::*;
use crate::command::outcome;
use crate::harness::{folder, free_port};

async fn generate(arguments: &[&str]) -> (i32, String, String) {
    let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
    let run = move || {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        outcome(&[&["users", "generate"], &words[..]].concat())
    };
    tokio::task::spawn_blocking(run).await.expect("it does not panic")
}

fn out() -> PathBuf {
    folder().join(unique("users")).with_extension("csv")
}

fn users(path: &Path) -> Vec<(String, String)> {
    let mut reader = csv::Reader::from_path(path).expect("it is there");
    assert_eq!(reader.headers().expect("a head"), vec!["name", "password"]);
    reader.deserialize().map(|row| row.expect("two columns")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_users_can_sign_in_and_are_all_different() {
    let service = service(Backend::Sqlite, "database").await;
    let (url, path) = (format!("http://{}", service.client.0), out());
    let arguments = ["--count", "30", "--url", &url, "--out", path.to_str().expect("UTF-8")];
    let (code, said, error) = generate(&arguments).await;
    assert_eq!((code, &*error), (0, ""));
    assert!(said.starts_with("30 users registered at http://"), "{said}");
    let made = users(&path);
    let mut names: Vec<&str> = made.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!((made.len(), names.len()), (30, 30));
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    for (name, password) in made.iter().take(3) {
        log_in(&service, &json!({ "name": name, "password": password })).await;
        assert!(!said.contains(password.as_str()));
    }
    let before = std::fs::read(&path).expect("it is there");
    let (code, _, error) = generate(&arguments).await;
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("is there already") && error.contains("--out"), "{error}");
    assert_eq!(std::fs::read(&path).expect("it is there"), before, "nothing is overwritten");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seed_gives_the_same_users_and_somebody_who_is_there_is_named() {
    let service = service(Backend::Sqlite, "database").await;
    let url = format!("http://{}", service.client.0);
    let (first, second) = (out(), out());
    let run = async |path: &Path| {
        let path = path.to_str().expect("UTF-8");
        generate(&["--count", "3", "--url", &url, "--out", path, "--seed", "7"]).await
    };
    let (code, _, error) = run(&first).await;
    assert_eq!((code, &*error), (0, ""));
    let (code, _, error) = run(&second).await;
    assert_eq!(code, 1);
    assert!(error.contains(&users(&first)[0].0[..5]) && error.contains("--seed"), "{error}");
    assert!(!second.exists(), "there is nobody to write down");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_says_come_back_later_is_asked_later() {
    let setup = setup(Backend::Sqlite, "database").await;
    let service =
        setup.with("rate_limit = { requests = 4, per = \"4s\", burst = 2 }").start().await;
    let (url, path) = (format!("http://{}", service.client.0), out());
    let arguments = ["--count", "5", "--url", &url, "--out", path.to_str().expect("UTF-8")];
    let (code, _, error) = generate(&arguments).await;
    assert_eq!((code, &*error), (0, ""));
    assert_eq!(users(&path).len(), 5);
    assert!(service.state.rate_limited.get() > 0, "it was told to wait");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_not_there_is_a_sentence() {
    let path = out();
    let url = format!("http://127.0.0.1:{}", free_port());
    for (url, code, expected) in [
        (&*url, 1, "Is the service running, and is --url right?"),
        ("https://shop.example", 2, "plain HTTP"),
        ("nonsense", 2, "not the address of a service"),
    ] {
        let path = path.to_str().expect("UTF-8");
        let (found, out, error) = generate(&["--url", url, "--out", path, "--count", "2"]).await;
        assert_eq!((found, &*out), (code, ""), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    assert!(!path.exists());
}

/// Those are registered as well, so they belong into the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registrations_under_way_at_the_first_failure_are_followed_to_their_end() {
    let database = Database::scratch(Backend::Sqlite, FEW).await;
    let slow = "auth = { hashes_at_once = 1, hash_memory = \"64MiB\", hash_iterations = 2, \
        hash_wait = \"60s\" }";
    let service = Setup::of(&database).with(slow).start().await;
    let url = format!("http://{}", service.client.0);
    let run = async |count: &str, path: &Path| {
        let path = path.to_str().expect("UTF-8");
        generate(&["--count", count, "--url", &url, "--out", path, "--seed", "9"]).await
    };
    let (first, second) = (out(), out());
    assert_eq!(run("1", &first).await.0, 0);
    let (code, _, error) = run("100", &second).await;
    assert_eq!(code, 1, "{error}");
    let made = users(&second);
    assert!(error.contains(&format!("{} users were registered", made.len())), "{error}");
    assert!((3..100).contains(&made.len()), "{error}");
    let path = database.url.trim_start_matches("sqlite:");
    let connection = rusqlite::Connection::open(path).expect("the file is there");
    let count = "select count(*) from users";
    let count: i64 = connection.query_row(count, [], |row| row.get(0)).expect("one row");
    assert_eq!(count, made.len() as i64 + 1, "whoever is registered is in one of the files");
    for (name, password) in made {
        log_in(&service, &json!({ "name": name, "password": password })).await;
    }
}
