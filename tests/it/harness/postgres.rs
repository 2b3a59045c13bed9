//! A private PostgreSQL, and a replica of one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use poolwise::config::DatabaseUrl;
use poolwise::connector::Connector;
use tokio_postgres::Client;

use super::Authority;
use super::process::{Process, free_port, not_as_root, temp_folder};

const USER: &str = "poolwise";

/// Who may come in: `guarded` with a password, `encrypted` over TLS, `certified` with a certificate,
/// everybody else at once.
const HOST_BASED_ACCESS: &str = "\
local   all         all                     trust
host    all         guarded    127.0.0.1/32 scram-sha-256
hostssl all         encrypted  127.0.0.1/32 trust
host    all         encrypted  127.0.0.1/32 reject
hostssl all         certified  127.0.0.1/32 cert
host    all         all        127.0.0.1/32 trust
host    replication all        127.0.0.1/32 trust
";

/// Made on the servers that know TLS.
const USERS: &str = "create role guarded login password 'geheim'; create role encrypted login; \
    create role certified login; grant pg_read_all_data to guarded, encrypted, certified";

/// What every server of the tests is started with.
const SETTINGS: [&str; 8] = [
    "listen_addresses=127.0.0.1",
    "max_connections=200",
    "shared_buffers=64MB",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "max_standby_streaming_delay=1s",
];

/// A PostgreSQL server of the tests.
pub struct Postgres {
    pub process: Process,
    pub port: u16,
    /// The folder of its Unix socket.
    pub socket: PathBuf,
    /// Who issued its certificate, where it has one.
    authority: Option<&'static Authority>,
    /// How it is started.
    server: Vec<String>,
    /// What it was before it was killed; they look after the same folder.
    before: Vec<Process>,
}

/// Makes the folder of a server's data, and says which settings it is to have besides.
type Initialise<'a> = &'a dyn Fn(&Binaries, &Path) -> Vec<String>;

impl Postgres {
    /// The one that the tests share. It has a certificate for localhost and 127.0.0.1.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::certified(&["localhost", "127.0.0.1"], false))
    }

    /// One that a test may stop or freeze. It knows no TLS.
    pub fn start() -> Self {
        Self::start_as(None, &|binaries, folder| {
            binaries.initdb(folder);
            Vec::new()
        })
    }

    /// One that counts statements where the extension for it is made.
    pub fn counting_statements() -> Self {
        Self::start_as(None, &|binaries, folder| {
            binaries.initdb(folder);
            vec!["shared_preload_libraries=pg_stat_statements".into()]
        })
    }

    /// One with a certificate of the shared authority for these names.
    pub fn certified(names: &[&str], expired: bool) -> Self {
        let authority = Authority::shared();
        let server = Self::start_as(Some(authority), &|binaries, folder| {
            binaries.initdb(folder);
            let (certificate, key) = authority.issue(folder, names, expired);
            let trusted = folder.join("root.crt");
            std::fs::copy(&authority.file, &trusted).expect("the folder can be written to");
            let [certificate, key] = [certificate, key].map(|path| path.display().to_string());
            vec![
                "ssl=on".into(),
                format!("ssl_cert_file={certificate}"),
                format!("ssl_key_file={key}"),
                format!("ssl_ca_file={}", trusted.display()),
            ]
        });
        super::blocking(server.run(USERS));
        server
    }

    /// A streaming replica of this one: a hot standby, which serves reads.
    pub fn replica(&self) -> Self {
        let port = self.port.to_string();
        let replica = Self::start_as(None, &|binaries, folder| {
            let data = folder.join("data").display().to_string();
            binaries.run(
                "pg_basebackup",
                &["-h", "127.0.0.1", "-p", &port, "-U", USER, "-D", &data, "-R", "-c", "fast"],
            );
            Vec::new()
        });
        assert!(super::blocking(replica.flag("pg_is_in_recovery()")), "it is no replica");
        replica
    }

    fn start_as(authority: Option<&'static Authority>, initialise: Initialise<'_>) -> Self {
        // Somebody else may take the free port first.
        let started = (0..3).find_map(|_| Self::try_start(authority, initialise));
        started.expect("PostgreSQL starts on one of three ports")
    }

    fn try_start(
        authority: Option<&'static Authority>,
        initialise: Initialise<'_>,
    ) -> Option<Self> {
        let folder = temp_folder("postgres");
        let binaries = Binaries { folder: binaries(), as_user: not_as_root(&folder) };
        let more = initialise(&binaries, &folder);
        let port = free_port();
        let (number, data) = (port.to_string(), folder.join("data").display().to_string());
        let mut server = binaries.command("postgres", &["-D", &data, "-p", &number]);
        let socket = format!("unix_socket_directories={}", folder.display());
        let settings = SETTINGS.map(str::to_owned).into_iter().chain(more).chain([socket]);
        server.extend(settings.flat_map(|setting| ["-c".to_owned(), setting]));
        let arguments: Vec<&str> = server[1..].iter().map(String::as_str).collect();
        let log = folder.join("log");
        let process = Process::start(&folder, &log, &server[0], &arguments);
        let before = Vec::new();
        let postgres = Self { process, port, socket: folder, authority, server, before };
        postgres.comes_up().then_some(postgres)
    }

    /// Waits until it answers; false when it has ended.
    fn comes_up(&self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.answers() {
            let log = std::fs::read_to_string(self.socket.join("log")).unwrap_or_default();
            if !self.process.is_running() {
                eprintln!("PostgreSQL did not start:\n{log}");
                return false;
            }
            assert!(Instant::now() < deadline, "PostgreSQL does not answer:\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Kills it and all its backends at once.
    pub fn kill(&self) {
        self.process.signal("KILL");
    }

    /// Starts it again, on the same port and data, and waits until it answers.
    pub fn start_again(&mut self) {
        // Whoever was killed is not reaped yet, and would be taken for one that runs.
        let _ = std::fs::remove_file(self.socket.join("data").join("postmaster.pid"));
        let arguments: Vec<&str> = self.server[1..].iter().map(String::as_str).collect();
        let log = self.socket.join("log");
        let process = Process::start(&self.socket, &log, &self.server[0], &arguments);
        self.before.push(std::mem::replace(&mut self.process, process));
        assert!(self.comes_up(), "it must start again");
    }

    fn answers(&self) -> bool {
        let connector = connector(&self.url("postgres"));
        super::blocking(async move { connector.connect().await.is_ok() })
    }

    /// The URL of a database, in plain text.
    pub fn url(&self, database: &str) -> String {
        // The others know no TLS, and so it is found out every time that they do not.
        let options = if self.authority.is_some() { "?sslmode=disable" } else { "" };
        format!("postgres://{USER}@127.0.0.1:{}/{database}{options}", self.port)
    }

    /// The URL of a database, over TLS, with a look at the certificate.
    pub fn tls_url(&self, database: &str) -> String {
        let authority = self.authority.expect("this server has a certificate").file.display();
        let port = self.port;
        format!(
            "postgres://{USER}@localhost:{port}/{database}?sslmode=verify-full&sslrootcert={authority}"
        )
    }

    /// Makes an empty database.
    pub async fn create(&self, database: &str) -> String {
        self.run(&format!("create database {database}")).await;
        self.url(database)
    }

    /// Runs statements as a superuser.
    pub async fn run(&self, sql: &str) {
        self.client("postgres").await.batch_execute(sql).await.expect(sql);
    }

    /// A connection past the service.
    pub async fn client(&self, database: &str) -> Client {
        connect(&self.url(database)).await
    }

    /// Whether an expression is true.
    pub async fn flag(&self, expression: &str) -> bool {
        let client = self.client("postgres").await;
        client.query_one(&format!("select {expression}"), &[]).await.expect(expression).get(0)
    }
}

/// A connection past the service.
pub async fn connect(url: &str) -> Client {
    connector(url).connect().await.unwrap_or_else(|error| panic!("{url}: {error:?}")).client
}

fn connector(url: &str) -> Connector {
    Connector::new(&DatabaseUrl::new(url), Duration::from_secs(30)).expect("a URL of the tests")
}

/// The server's programs, and who may run them.
struct Binaries {
    folder: PathBuf,
    as_user: Vec<String>,
}

impl Binaries {
    fn command(&self, program: &str, arguments: &[&str]) -> Vec<String> {
        let program = self.folder.join(program).display().to_string();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        self.as_user.iter().cloned().chain([program]).chain(arguments).collect()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let command = self.command(program, arguments);
        let done = Command::new(&command[0]).args(&command[1..]).output().expect("it starts");
        assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn initdb(&self, folder: &Path) {
        let data = folder.join("data");
        let path = data.to_str().expect("a temp folder is UTF-8");
        self.run("initdb", &["-D", path, "-U", USER, "-E", "UTF8", "--locale=C.UTF-8", "-N"]);
        let file = data.join("pg_hba.conf");
        std::fs::write(file, HOST_BASED_ACCESS).expect("the temp folder can be written to");
    }
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
