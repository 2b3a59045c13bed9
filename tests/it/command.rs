//! The command as people run it: exit codes, and messages that say everything at once.

use std::process::{Command, Output};

use crate::config::file;
use crate::harness::{Backend, Setup, eventually, folder, unique};

fn poolwise(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_poolwise"));
    let ours = std::env::vars().filter(|(name, _)| name.starts_with("POOLWISE__"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().expect("it starts")
}

/// The exit code and what was said on standard output and on standard error.
pub fn outcome(arguments: &[&str]) -> (i32, String, String) {
    let output = poolwise(arguments);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it speaks UTF-8");
    let code = output.status.code().expect("it was not killed");
    (code, text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_wrong_configuration_exits_with_2_and_every_problem() {
    let path = file("colour = 1\nserver.listen = \"nowhere\"\ndatabase.pool_size = 0\n");
    for command in [&["config", "check"][..], &["config", "dump"], &["seed"], &["serve"], &[]] {
        let arguments = [command, &["--config", path.to_str().unwrap()]].concat();
        let (code, out, error) = outcome(&arguments);
        assert_eq!((code, &*out), (2, ""), "{command:?}");
        assert_eq!(error.matches("error:").count(), 1, "{error}");
        for problem in ["3 problems", "`colour`", "`server.listen`", "`database.pool_size`"] {
            assert!(error.contains(problem), "{problem} in {error}");
        }
    }
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    for arguments in [&["fly"][..], &["seed", "--rows", "0"], &["serve", "--listen", "nowhere"]] {
        let (code, out, error) = outcome(arguments);
        assert_eq!((code, &*out), (2, ""), "{arguments:?}");
        assert!(error.starts_with("error: "), "{error}");
    }
}

#[test]
fn config_check_and_dump_say_what_is_in_force() {
    let path = file("strategies.extra.access = \"pool\"\nserver.send_timeout = \"7s\"");
    let path = path.to_str().unwrap();
    let (code, out, error) = outcome(&["config", "check", "--config", path]);
    assert_eq!((code, &*error), (0, ""));
    assert!(out.contains("cached, direct, extra, pooled"), "{out}");
    let (code, out, error) = outcome(&["config", "dump", "--config", path]);
    assert_eq!((code, &*error), (0, ""));
    assert!(out.contains("send_timeout = \"7s\""), "{out}");
}

#[test]
fn the_exported_documents_are_up_to_date() {
    let (code, _, error) = outcome(&["openapi", "--check"]);
    assert_eq!((code, &*error), (0, ""));
    let (code, out, _) = outcome(&["openapi"]);
    assert_eq!(code, 0);
    assert!(serde_json::from_str::<serde_json::Value>(&out).is_ok());
}

#[test]
fn seeding_never_goes_over_existing_rows() {
    let database = folder().join(unique("seeded")).with_extension("db");
    let config = file(&format!("database.url = \"sqlite:{}\"", database.display()));
    let seed = |more: &[&str]| {
        outcome(&[&["seed", "--config", config.to_str().unwrap(), "--rows", "40"], more].concat())
    };
    let rows = || -> (i64, i64) {
        let connection = rusqlite::Connection::open(&database).expect("it was made");
        let count = "select count(*), sum(price) from products";
        connection.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("it is filled")
    };
    let (code, out, _) = seed(&[]);
    assert!(code == 0 && out.starts_with("40 products"), "{out}");
    let first = rows();
    let (code, out, error) = seed(&["--seed", "7"]);
    assert_eq!((code, &*out), (1, ""));
    assert!(error.contains("--reset"), "{error}");
    assert_eq!(rows(), first);
    assert_eq!(seed(&["--seed", "7", "--reset"]).0, 0);
    assert!(rows().0 == 40 && rows().1 != first.1);
}

#[test]
fn serving_says_what_stands_in_the_way() {
    let database = folder().join("nowhere").join("products.db");
    let config = file(&format!("database.url = \"sqlite:{}\"", database.display()));
    let config = config.to_str().unwrap();
    let (code, _, error) = outcome(&["--config", config, "--listen", "127.0.0.1:0"]);
    assert_eq!(code, 1);
    assert!(error.contains("poolwise seed"), "{error}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, error) = outcome(&["--config", config, "--listen", &address]);
    assert!(code == 1 && error.contains("--listen") && error.contains(&address), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_says_whether_a_service_is_ready() {
    let mut service =
        Setup::few(Backend::Sqlite).with("server.drain_delay = \"60s\"").start().await;
    let url = format!("http://{}", service.client.0);
    let ask = |more: &[&'static str]| {
        let patient = ["health", "--url", &url, "--timeout", "20s"];
        let arguments: Vec<String> =
            patient.iter().chain(more).map(|text| (*text).to_owned()).collect();
        tokio::task::spawn_blocking(move || {
            outcome(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        })
    };
    assert_eq!(ask(&[]).await.unwrap(), (0, "ready\n".into(), String::new()));
    assert_eq!(ask(&["--live"]).await.unwrap(), (0, "live\n".into(), String::new()));
    service.shut_down();
    eventually("it says so", || service.state.is_draining()).await;
    let (code, out, error) = ask(&[]).await.unwrap();
    assert!(
        (code, &*out) == (1, "") && error.contains("503") && error.contains("draining"),
        "{error}"
    );
    assert_eq!(ask(&["--live"]).await.unwrap().0, 0);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let (code, _, error) = outcome(&["health", "--url", &silent, "--timeout", "100ms"]);
    assert!(code == 1 && error.contains("no answer within 100ms"), "{error}");
    drop(listener);
    let (code, _, error) = outcome(&["health", "--url", &silent]);
    assert!(code == 1 && error.contains("cannot connect"), "{error}");
}
