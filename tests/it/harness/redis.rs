//! A private Redis.

use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

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
        let found = Command::new("redis-server").arg("--version").output();
        found.expect("these tests need a Redis server: apt-get install redis-server");
        let started = (0..3).find_map(|_| Self::start_on(free_port()));
        started.expect("Redis starts on one of three ports")
    }

    /// One on this port; `None` when it is taken.
    pub fn start_on(port: u16) -> Option<Self> {
        let folder = temp_folder("redis");
        let mut server = not_as_root(&folder);
        server.push("redis-server".into());
        let number = port.to_string();
        let path = folder.display().to_string();
        server.extend(["--port", &number, "--dir", &path].map(str::to_owned));
        server.extend(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"].map(Into::into));
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
        let ping = || {
            let mut connection = redis::Client::open(self.url())?.get_connection()?;
            redis::cmd("PING").query::<String>(&mut connection)
        };
        ping().is_ok()
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}
