//! A private PgBouncer in front of the shared PostgreSQL.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::Postgres;
use super::process::{Process, free_port, not_as_root, temp_folder};

/// Fewer servers than a test has clients, so that they are handed on.
const SETTINGS: &str = "\
listen_addr = 127.0.0.1
unix_socket_dir =
auth_type = trust
default_pool_size = 8
max_client_conn = 400
server_idle_timeout = 5
logfile =
";

/// A PgBouncer of the tests.
pub struct PgBouncer {
    process: Process,
    pub port: u16,
    log: PathBuf,
}

impl PgBouncer {
    /// The one that the tests share: a server for each transaction.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PgBouncer> = OnceLock::new();
        SHARED.get_or_init(|| Self::start("pool_mode = transaction"))
    }

    /// One with these settings besides.
    pub fn start(settings: &str) -> Self {
        let found = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];
        let program = found.into_iter().find(|path| Path::new(path).exists());
        let program = program.expect("these tests need PgBouncer: apt-get install pgbouncer");
        let started = (0..3).find_map(|_| Self::try_start(program, settings));
        started.expect("PgBouncer starts on one of three ports")
    }

    fn try_start(program: &str, settings: &str) -> Option<Self> {
        let (folder, port) = (temp_folder("pgbouncer"), free_port());
        let write = |name: &str, text: &str| {
            let file = folder.join(name);
            std::fs::write(&file, text).expect("the temp folder can be written to");
            file.display().to_string()
        };
        let users = write("users.txt", "\"poolwise\" \"\"\n");
        let server = Postgres::shared().port;
        let file = write(
            "pgbouncer.ini",
            &format!(
                "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\n{SETTINGS}\
                 listen_port = {port}\nauth_file = {users}\n{settings}\n"
            ),
        );
        let mut command = not_as_root(&folder);
        command.extend([program.to_owned(), file]);
        let arguments: Vec<&str> = command[1..].iter().map(String::as_str).collect();
        let log = folder.join("log");
        let process = Process::start(&folder, &log, &command[0], &arguments);
        let pgbouncer = Self { process, port, log };
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if !pgbouncer.process.is_running() {
                eprintln!("{}", std::fs::read_to_string(&pgbouncer.log).unwrap_or_default());
                return None;
            }
            assert!(Instant::now() < deadline, "PgBouncer does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(pgbouncer)
    }

    /// The URL of a database of the shared server.
    pub fn url(&self, database: &str) -> String {
        let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
        assert!(self.process.is_running(), "PgBouncer has ended: {}", log());
        format!("postgres://poolwise@127.0.0.1:{}/{database}", self.port)
    }
}
