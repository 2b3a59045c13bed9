//! No room left for SQLite's file.

use std::process::Command;

use crate::harness::{Backend, Database, Dataset, FEW, ServeCommand, Setup, folder, unique};

/// `poolwise seed` where no file may be larger than this; what it says and its exit code.
fn seed(setup: &Setup, kib: u32, arguments: &[&str]) -> (String, Option<i32>) {
    // Without the signal, writing fails as it does on a full disk.
    let limit = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", kib * 2);
    let mut command = Command::new("sh");
    command.args(["-c", &limit, "sh", env!("CARGO_BIN_EXE_poolwise"), "seed"]).args(arguments);
    for file in setup.files() {
        command.arg("--config").arg(file);
    }
    let done = command.output().expect("it starts");
    (String::from_utf8_lossy(&done.stderr).into_owned(), done.status.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing() {
    let database = Database::scratch(Backend::Sqlite, FEW).await;
    let setup = Setup::of(&database);
    let service = ServeCommand::start(&setup, &[]);
    service.listens().await;
    service.becomes(200).await;
    let all = "/products/pooled";
    assert!(service.client.get(all).await.body == Dataset::of(FEW).body());
    let (said, code) = seed(&setup, 1024, &["--reset", "--rows", "60000"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("database.url") && said.contains("room left"), "{said}");
    println!("figure: disk full while loading: {}", said.trim());
    assert!(service.client.get(all).await.body == Dataset::of(FEW).body(), "it is as it was");
    let (said, code) = seed(&setup, 1 << 20, &["--reset", "--rows", "60000"]);
    assert_eq!(code, Some(0), "with room again: {said}");
    let rows = service.client.get("/products/pooled?after=59999").await.json();
    assert_eq!(rows.as_array().map(Vec::len), Some(1));
}

#[test]
fn a_first_start_without_room_says_so() {
    let file = folder().join(unique("full")).with_extension("db");
    let url = format!("sqlite:{}", file.display());
    let setup = Setup::of(&Database { backend: Backend::Sqlite, url });
    let (said, code) = seed(&setup, 256, &["--rows", "60000"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("database.url") && said.contains("room left"), "{said}");
    let (said, code) = seed(&setup, 1 << 20, &["--rows", "2000"]);
    assert_eq!(code, Some(0), "with room again: {said}");
}
