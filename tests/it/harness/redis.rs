//! A private Redis.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::authority::Authority;
use super::process::{Process, free_port, not_as_root, temp_folder};

/// A Redis server of the tests.
pub struct Redis {
    pub process: Process,
    pub port: u16,
}

impl Redis {
    /// The one that the tests share; each service has keys of its own in it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Redis> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// One that a test may stop.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// One with options of its own, such as `--requirepass`.
    pub fn start_with(options: &[&str]) -> Self {
        let started = (0..3).find_map(|_| Self::start_in(free_port(), options, |_| Vec::new()));
        started.expect("Redis starts on one of three ports")
    }

    /// One with a certificate of this authority for `127.0.0.1`; and the port for TLS.
    pub fn start_with_tls(authority: &Authority) -> (Self, u16) {
        let started = (0..3).find_map(|_| {
            let port = free_port();
            Some((Self::start_on_tls(port, authority, &[])?, port))
        });
        started.expect("Redis starts on one of three ports")
    }

    /// One with this port for TLS, and another for tests; `None` when it is taken.
    pub fn start_on_tls(port: u16, authority: &Authority, options: &[&str]) -> Option<Self> {
        Self::start_in(free_port(), options, |folder| {
            let path = |name: &str| folder.join(name).display().to_string();
            let names = [path("certificate.pem"), path("key.pem"), path("authority.pem")];
            let (certificate, key) = authority.sign("127.0.0.1");
            for (name, text) in names.iter().zip([&certificate, &key, &authority.pem]) {
                std::fs::write(name, text).expect("the temp folder can be written to");
            }
            let [certificate, key, authority] = names.each_ref();
            let options = [
                ["--tls-port", &port.to_string()],
                ["--tls-cert-file", certificate],
                ["--tls-key-file", key],
                ["--tls-ca-cert-file", authority],
                ["--tls-auth-clients", "no"],
            ];
            options.concat().into_iter().map(str::to_owned).collect()
        })
    }

    /// One on this port; `None` when it is taken.
    pub fn start_on(port: u16) -> Option<Self> {
        Self::start_in(port, &[], |_| Vec::new())
    }

    /// One on this port with more options, some of which may name files in its folder.
    pub fn start_in(
        port: u16,
        options: &[&str],
        more: impl FnOnce(&Path) -> Vec<String>,
    ) -> Option<Self> {
        let found = Command::new("redis-server").arg("--version").output();
        found.expect("these tests need a Redis server: apt-get install redis-server");
        let folder = temp_folder("redis");
        let mut server = not_as_root(&folder);
        server.push("redis-server".into());
        let number = port.to_string();
        let path = folder.display().to_string();
        server.extend(["--port", &number, "--dir", &path].map(str::to_owned));
        server.extend(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"].map(Into::into));
        server.extend(options.iter().copied().map(str::to_owned));
        server.extend(more(&folder));
        let arguments: Vec<&str> = server[1..].iter().map(String::as_str).collect();
        let process = Process::start(&folder, &folder.join("log"), &server[0], &arguments);
        let redis = Self { process, port };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !redis.answers() {
            if !redis.process.is_running() {
                return None;
            }
            assert!(Instant::now() < deadline, "Redis does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(redis)
    }

    fn answers(&self) -> bool {
        match self.try_run::<String>("", &["PING"]) {
            // One that asks for a password answers, too.
            Err(error) => error.code() == Some("NOAUTH"),
            Ok(_) => true,
        }
    }

    fn try_run<T: redis::FromRedisValue>(
        &self,
        user: &str,
        command: &[&str],
    ) -> redis::RedisResult<T> {
        let mut connection = redis::Client::open(self.url_with(user, ""))?.get_connection()?;
        let (name, arguments) = command.split_first().expect("a command has a name");
        redis::cmd(name).arg(arguments).query(&mut connection)
    }

    /// What a command answers.
    pub fn run<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        self.run_as("", command)
    }

    /// What a command answers to a user, `NAME:PASSWORD`.
    pub fn run_as<T: redis::FromRedisValue>(&self, user: &str, command: &[&str]) -> T {
        self.try_run(user, command).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.url_with("", "")
    }

    /// Its URL with what stands before the `@`, and what stands at the end.
    pub fn url_with(&self, user: &str, end: &str) -> String {
        let at = if user.is_empty() { "" } else { "@" };
        format!("redis://{user}{at}127.0.0.1:{}{end}", self.port)
    }
}
