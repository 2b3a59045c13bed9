//! A private PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

use super::process::{Process, free_port, not_as_root, temp_folder};

const USER: &str = "poolwise";

/// A PostgreSQL server of the tests.
pub struct Postgres {
    pub process: Process,
    pub port: u16,
}

impl Postgres {
    /// The one that the tests share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// One that a test may stop or freeze.
    pub fn start() -> Self {
        // Somebody else may take the free port first.
        (0..3).find_map(|_| Self::try_start()).expect("PostgreSQL starts on one of three ports")
    }

    fn try_start() -> Option<Self> {
        let binaries = binaries();
        let folder = temp_folder("postgres");
        let data = folder.join("data");
        let as_user = not_as_root(&folder);
        let run = |program: &str, arguments: &[&str]| -> Vec<String> {
            let program = binaries.join(program).display().to_string();
            let arguments = arguments.iter().map(|argument| (*argument).to_owned());
            as_user.iter().cloned().chain([program]).chain(arguments).collect()
        };
        let path = data.to_str().expect("a temp folder is UTF-8");
        let initdb = run(
            "initdb",
            &["-D", path, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"],
        );
        let made = Command::new(&initdb[0]).args(&initdb[1..]).output().expect("initdb starts");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let number = port.to_string();
        let mut server = run("postgres", &["-D", path, "-p", &number]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=200",
            "shared_buffers=64MB",
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "autovacuum=off",
        ] {
            server.extend(["-c".to_owned(), setting.to_owned()]);
        }
        let arguments: Vec<&str> = server[1..].iter().map(String::as_str).collect();
        let log = folder.join("log");
        let process = Process::start(&folder, &log, &server[0], &arguments);
        let postgres = Self { process, port };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !postgres.answers() {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            if !postgres.process.is_running() {
                eprintln!("PostgreSQL did not start:\n{log}");
                return None;
            }
            assert!(Instant::now() < deadline, "PostgreSQL does not answer:\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(postgres)
    }

    fn answers(&self) -> bool {
        let url = self.url("postgres");
        blocking(async move { tokio_postgres::connect(&url, NoTls).await.is_ok() })
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database.
    pub async fn create(&self, database: &str) -> String {
        let run = format!("create database {database}");
        self.client("postgres").await.batch_execute(&run).await.expect(&run);
        self.url(database)
    }

    /// A connection past the service.
    pub async fn client(&self, database: &str) -> Client {
        connect(&self.url(database)).await
    }
}

/// A connection past the service.
pub async fn connect(url: &str) -> Client {
    let connected = tokio_postgres::connect(url, NoTls).await;
    let (client, connection) = connected.expect("the test server takes connections");
    tokio::spawn(connection);
    client
}

/// Runs a future to its end on a thread and a runtime of its own, from wherever.
pub fn blocking<T: Send>(future: impl Future<Output = T> + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(future)
    };
    std::thread::scope(|scope| scope.spawn(run).join().expect("it does not panic"))
}

/// Where Debian puts the server, newest version first; or on the path.
fn binaries() -> PathBuf {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin")).collect();
    found.sort_by_key(|path| {
        let version = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        std::cmp::Reverse(version.and_then(|name| name.parse::<u32>().ok()))
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&path));
    let server = found.into_iter().find(|folder| folder.join("postgres").exists());
    server.expect("these tests need a PostgreSQL server: apt-get install postgresql")
}
