//! The command `poolwise serve`, in a process of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Client, Setup, folder, free_port, unique};

/// The command `poolwise serve`, in a process of its own.
pub struct ServeCommand {
    pub child: Child,
    pub client: Client,
    log: PathBuf,
}

impl ServeCommand {
    /// Starts it over these files.
    pub fn start(setup: &Setup, arguments: &[&str]) -> Self {
        Self::start_at(([127, 0, 0, 1], free_port()).into(), setup, arguments)
    }

    /// Starts it at this address.
    pub fn start_at(address: SocketAddr, setup: &Setup, arguments: &[&str]) -> Self {
        let log = folder().join(unique("serve")).with_extension("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_poolwise"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("POOLWISE__")) {
            command.env_remove(name);
        }
        command.arg("serve").args(["--listen", &address.to_string()]).args(arguments);
        for file in setup.files() {
            command.arg("--config").arg(file);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(std::fs::File::create(&log).expect("it can be made"));
        Self { child: command.spawn().expect("it starts"), client: Client(address), log }
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("it is there")
    }

    /// Waits until it listens.
    pub async fn listens(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while tokio::net::TcpStream::connect(self.client.0).await.is_err() {
            assert!(Instant::now() < deadline, "it does not listen: {}", self.log());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until `/health/ready` has this status, and returns its reason.
    pub async fn becomes(&self, status: u16) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let answer = self.client.get("/health/ready").await;
            let (found, said) = (answer.status, answer.json());
            let reason = said["status"].as_str().expect("a word").to_owned();
            if found == status {
                return reason;
            }
            assert!(Instant::now() < deadline, "never {status}, but {reason}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(format!("-{name}")).arg(pid).status().unwrap().success());
    }

    /// Its exit code, which must come soon.
    pub async fn ends(&mut self) -> i32 {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code().expect("it ends by itself");
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for ServeCommand {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
