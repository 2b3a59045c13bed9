//! A private MariaDB.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};

use super::blocking;
use super::process::{Process, free_port, not_as_root, temp_folder};

/// A user with the rights that config/mysql.toml gives, on the databases of the tests alone.
const USER: &str = "poolwise:secret";

/// A MariaDB server of the tests.
pub struct MariaDb {
    pub process: Process,
    pub port: u16,
    /// Its Unix socket.
    pub socket: String,
}

impl MariaDb {
    /// The one that the tests share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<MariaDb> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var("CLUSTER_GALERA_PORT") {
            Ok(port) => Self::of_a_cluster(port.parse().expect("it is a port")),
            Err(_) => Self::start(),
        })
    }

    /// A node of the cluster that scripts/cluster.sh has started, for the tests that it runs.
    fn of_a_cluster(port: u16) -> Self {
        let folder = temp_folder("galera");
        // It is not ours to stop; somebody has to stand for it.
        let process = Process::start(&folder, &folder.join("log"), "sleep", &["infinity"]);
        Self { process, port, socket: String::new() }
    }

    /// One that a test may stop or freeze.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// One with more options.
    pub fn start_with(options: &[&str]) -> Self {
        // Somebody else may take the free port first.
        let started = (0..3).find_map(|_| Self::start_on(free_port(), options));
        started.expect("MariaDB starts on one of three ports")
    }

    /// One on this port; `None` when it is taken.
    pub fn start_on(port: u16, options: &[&str]) -> Option<Self> {
        let folder = temp_folder("mariadb");
        let as_user = not_as_root(&folder);
        let run = |program: &str, arguments: &[String]| -> Vec<String> {
            as_user.iter().cloned().chain([program.to_owned()]).chain(arguments.to_vec()).collect()
        };
        let data = format!("--datadir={}", folder.join("data").display());
        let common = [
            "--no-defaults".to_owned(),
            data,
            // A server that starts removes what others of its kind have in the system's own.
            format!("--tmpdir={}", folder.display()),
            "--innodb-log-file-size=8M".to_owned(),
        ];
        let install = ["--auth-root-authentication-method=normal", "--skip-test-db"];
        let install = common.iter().cloned().chain(install.map(str::to_owned));
        let install = run("mariadb-install-db", &install.collect::<Vec<_>>());
        let made = Command::new(&install[0]).args(&install[1..]).output();
        let made = made.expect("there is a setpriv command, or we are not root");
        assert!(
            made.status.success(),
            "these tests need a MariaDB server: apt-get install mariadb-server\n{}{}",
            String::from_utf8_lossy(&made.stdout),
            String::from_utf8_lossy(&made.stderr),
        );
        let socket = folder.join("socket").display().to_string();
        let settings = [
            format!("--port={port}"),
            format!("--socket={socket}"),
            format!("--pid-file={}", folder.join("data").join("pid").display()),
        ];
        let fixed = [
            "--bind-address=127.0.0.1",
            "--max-connections=200",
            "--innodb-buffer-pool-size=64M",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-flush-method=nosync",
            "--innodb-doublewrite=0",
            "--innodb-fast-shutdown=2",
            "--skip-log-bin",
            "--skip-name-resolve",
        ];
        let fixed = fixed.iter().chain(options).map(|option| (*option).to_owned());
        let arguments: Vec<String> = common.into_iter().chain(settings).chain(fixed).collect();
        let server = run(program(), &arguments);
        let arguments: Vec<&str> = server[1..].iter().map(String::as_str).collect();
        let log = folder.join("log");
        let process = Process::start(&folder, &log, &server[0], &arguments);
        let mariadb = Self { process, port, socket };
        mariadb.comes_up(&log).then_some(mariadb)
    }

    /// Waits until it answers, and makes the user.
    fn comes_up(&self, log: &Path) -> bool {
        let deadline = Instant::now() + Duration::from_secs(30);
        let set_up = async || {
            let mut root = Conn::from_url(self.root_url("mysql")).await?;
            root.query_drop("create user poolwise@'127.0.0.1' identified by 'secret'").await?;
            root.query_drop("grant all on `products%`.* to poolwise@'127.0.0.1'").await?;
            root.query_drop("create user poolwise@localhost identified by 'secret'").await?;
            root.query_drop("grant all on `products%`.* to poolwise@localhost").await?;
            root.disconnect().await
        };
        while let Err(error) = blocking(set_up()) {
            let said = std::fs::read_to_string(log).unwrap_or_default();
            if !self.process.is_running() {
                eprintln!("MariaDB did not start:\n{said}");
                return false;
            }
            assert!(Instant::now() < deadline, "MariaDB does not answer: {error}\n{said}");
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }

    /// The URL of a database, as the service's user.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// The URL of a database, as somebody who may do everything.
    pub fn root_url(&self, database: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{database}?prefer_socket=false", self.port)
    }

    /// Makes an empty database.
    pub async fn create(&self, database: &str) -> String {
        self.run("mysql", &format!("create database {database}")).await;
        self.url(database)
    }

    /// A connection past the service that may do everything.
    pub async fn root(&self, database: &str) -> Conn {
        connect(&self.root_url(database)).await
    }

    /// Runs a statement past the service.
    pub async fn run(&self, database: &str, sql: &str) {
        let mut root = self.root(database).await;
        root.query_drop(sql).await.expect(sql);
        root.disconnect().await.expect("it says goodbye");
    }
}

/// A connection past the service.
pub async fn connect(url: &str) -> Conn {
    let opts = mysql_async::Opts::from_url(url).expect("the test has a valid URL");
    let opts = OptsBuilder::from_opts(opts).prefer_socket(false);
    Conn::new(opts).await.expect("the test server takes connections")
}

/// Debian puts it where only root's path leads.
fn program() -> &'static str {
    let in_sbin = "/usr/sbin/mariadbd";
    if Path::new(in_sbin).exists() { in_sbin } else { "mariadbd" }
}
