//! `poolwise serve` as a process: signals, its log, its threads.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::config::file;
use crate::harness::{Backend, Client, Database, FEW, Running, folder, unique};

/// A service in a process of its own.
struct Served {
    process: Running,
    client: Client,
}

impl Served {
    async fn start(arguments: &[&str]) -> Self {
        Self::run(env!("CARGO_BIN_EXE_poolwise"), arguments).await
    }

    /// Whichever program ends as the service, with these arguments and those that it is to have.
    async fn run(program: &str, arguments: &[&str]) -> Self {
        let folder = folder().join(unique("served"));
        std::fs::create_dir(&folder).expect("the temp folder can be written to");
        // A port that was free a moment ago may be somebody else's now; it says which one it took.
        let arguments = [arguments, &["--listen", "127.0.0.1:0"]].concat();
        let process = Running::start(&folder, program, &arguments);
        logs(&process, "(Swagger UI").await;
        let log = process.log();
        let address = log.split("serving at http://").nth(1).and_then(|it| it.split(' ').next());
        let address = address.and_then(|address| address.parse().ok());
        Self { client: Client(address.expect("it says where")), process }
    }

    /// Waits for this in the log.
    async fn logs(&self, text: &str) {
        logs(&self.process, text).await;
    }

    /// Threads that hold a connection to SQLite.
    fn readers(&self) -> usize {
        let tasks = format!("/proc/{}/task", self.process.pid());
        let tasks = std::fs::read_dir(tasks).expect("it runs").flatten();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.trim() == "sqlite-reader").count()
    }

    async fn has_readers(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.readers() != count {
            assert!(Instant::now() < deadline, "{} threads, not {count}", self.readers());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn logs(process: &Running, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !process.log().contains(text) {
        assert!(Instant::now() < deadline, "no {text:?} in {}", process.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn write(file: &Path, database: &Database, more: &str) {
    let text = format!("database.url = \"{}\"\n{more}\n", database.url);
    std::fs::write(file, text).expect("the temp folder can be written to");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_reads_the_files_again_and_no_thread_is_left_over() {
    let database = Database::shared(Backend::Sqlite, FEW);
    let file = file("");
    write(&file, &database, "database.pool_size = 2");
    let served = Served::start(&["serve", "--config", file.to_str().expect("UTF-8")]).await;
    // `pooled` and `cached`.
    served.has_readers(4).await;
    served.process.signal("HUP");
    served.logs("the configuration was read again: no difference").await;
    for size in [8, 2, 16, 1] {
        write(&file, &database, &format!("database.pool_size = {size}"));
        served.has_readers(2 * size).await;
        assert_eq!(served.client.get("/products/pooled?limit=1").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_level_of_the_log_changes() {
    let database = Database::shared(Backend::Sqlite, FEW);
    let file = file("");
    write(&file, &database, "log.level = \"info\"");
    let served = Served::start(&["serve", "--config", file.to_str().expect("UTF-8")]).await;
    served.client.get("/products/pooled?limit=11").await;
    served.logs("status=200").await;
    let answers = || served.process.log().matches("status=").count();
    let before = answers();
    // Both at once: the first is told, and from then on only what needs attention.
    write(&file, &database, "log.level = \"warn\"\nserver.listen = \"127.0.0.1:1\"\ncolour = 1");
    served.logs("the old one stays: `colour` is not a known key").await;
    assert!(served.client.get("/noop").await.status.is_success());
    write(&file, &database, "log.level = \"warn\"\nlog.format = \"json\"");
    served.logs("in force only after a restart: log.format").await;
    let quiet = answers();
    assert!(quiet > before, "it still answered loudly");
    for _ in 0..5 {
        served.client.get("/products/pooled?limit=12").await;
    }
    assert_eq!(answers(), quiet);
    write(&file, &database, "log.level = \"poolwise=info\"");
    served.logs("is in force").await;
    served.client.get("/products/pooled?limit=13").await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while answers() == quiet {
        assert!(Instant::now() < deadline, "it stays quiet");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_file_sighup_says_that_there_is_none() {
    let database = Database::shared(Backend::Sqlite, FEW);
    let url = format!("POOLWISE__DATABASE__URL={}", database.url);
    let served = Served::run("env", &[&url, env!("CARGO_BIN_EXE_poolwise"), "serve"]).await;
    served.process.signal("HUP");
    served.logs("there is no configuration to read again").await;
    assert!(served.client.get("/noop").await.status.is_success());
}
