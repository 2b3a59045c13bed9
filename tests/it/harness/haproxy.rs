//! A private HAProxy with the file that ships, and a name server that tells it where the replicas are.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::process::{Running, free_port, temp_folder};
use super::{Answer, Client};

/// The file under test.
pub const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/haproxy/haproxy.cfg");

/// A load balancer over replicas that listen on one port of several addresses.
pub struct HaProxy {
    process: Running,
    names: Running,
    hosts: PathBuf,
    /// Where clients ask.
    pub client: Client,
    /// Where its metrics are.
    pub internal: Client,
}

impl HaProxy {
    /// One over replicas at `port` of these addresses, with these variables besides.
    pub async fn start(port: u16, addresses: &[IpAddr], variables: &[(&str, &str)]) -> Self {
        for _ in 0..3 {
            if let Some(started) = Self::try_start(port, addresses, variables).await {
                return started;
            }
        }
        panic!("HAProxy does not start on any of three ports")
    }

    async fn try_start(
        port: u16,
        addresses: &[IpAddr],
        variables: &[(&str, &str)],
    ) -> Option<Self> {
        let folder = temp_folder("names");
        let hosts = folder.join("hosts");
        write_hosts(&hosts, addresses);
        let name_server = free_port();
        let listen = format!("--port={name_server}");
        let file = format!("--addn-hosts={}", hosts.display());
        let dnsmasq = program("dnsmasq", "dnsmasq-base");
        let alone = ["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"];
        let local = ["--listen-address=127.0.0.1", "--bind-interfaces", "--local=/api/"];
        let quiet = ["--pid-file=", "--local-ttl=0", &listen, &file];
        let arguments: Vec<&str> = alone.into_iter().chain(local).chain(quiet).collect();
        let names = Running::start(&folder, &dnsmasq, &arguments);
        let [public, internal] = [free_port(), free_port()];
        let mut command = vec![
            format!("BALANCER_LISTEN=127.0.0.1:{public}"),
            format!("BALANCER_METRICS=127.0.0.1:{internal}"),
            format!("BALANCER_API=api:{port}"),
            format!("BALANCER_DNS=127.0.0.1:{name_server}"),
        ];
        command.extend(variables.iter().map(|(name, value)| format!("{name}={value}")));
        command.extend([Self::program(), "-db".into(), "-f".into(), FILE.into()]);
        let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        let process = Running::start(&temp_folder("haproxy"), "env", &arguments);
        let [client, internal] =
            [public, internal].map(|port| Client(([127, 0, 0, 1], port).into()));
        let started = Self { process, names, hosts, client, internal };
        let deadline = Instant::now() + Duration::from_secs(10);
        while tokio::net::TcpStream::connect(started.internal.0).await.is_err() {
            if !started.is_running() {
                eprintln!("{}\n{}", started.process.log(), started.names.log());
                return None;
            }
            assert!(Instant::now() < deadline, "HAProxy does not listen: {}", started.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Some(started)
    }

    /// Debian's HAProxy.
    pub fn program() -> String {
        program("haproxy", "haproxy")
    }

    fn is_running(&self) -> bool {
        let lives = |pid: u32| Path::new(&format!("/proc/{pid}/stat")).exists();
        lives(self.process.pid()) && lives(self.names.pid())
    }

    /// From now on these are the replicas.
    pub fn rename(&self, addresses: &[IpAddr]) {
        write_hosts(&self.hosts, addresses);
        self.names.signal("HUP");
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Its log line of a request, which it writes when the answer is over.
    pub async fn line(&self, request_id: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(15);
        let named = format!("request_id={request_id} ");
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| line.contains(&named)) {
                return line.to_owned();
            }
            assert!(Instant::now() < deadline, "no {named}in: {log}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What it thinks of the replica at this address, in its own word, once it has checked it; empty for one that
    /// it does not know.
    pub async fn state(&self, address: SocketAddr) -> String {
        let address = address.to_string();
        let found = self.servers().await.into_iter().find(|(at, _)| *at == address);
        found.map(|(_, state)| state).unwrap_or_default()
    }

    /// Waits until a replica was taken out, however soon it comes back.
    pub async fn has_taken_out(&self, address: SocketAddr) {
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            let rows = self.rows().await;
            let of_it = rows.iter().find(|row| row["addr"] == address.to_string());
            if of_it.is_some_and(|row| row["chkdown"] != "0") {
                return;
            }
            assert!(Instant::now() < deadline, "{address} is never taken out: {of_it:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it says of each replica, by its own names.
    async fn rows(&self) -> Vec<HashMap<String, String>> {
        let Answer { body, .. } = self.internal.get("/stats;csv").await;
        let text = String::from_utf8(body.to_vec()).expect("it is text");
        let mut rows = csv::Reader::from_reader(text.trim_start_matches("# ").as_bytes());
        let all = rows.deserialize().map(|row| row.expect("it is a table"));
        let is_replica =
            |row: &HashMap<String, String>| row["pxname"] == "replicas" && !row["addr"].is_empty();
        all.filter(is_replica).collect()
    }

    async fn servers(&self) -> Vec<(String, String)> {
        // Of one that was not checked yet it thinks well.
        let state = |row: &HashMap<String, String>| match &*row["check_status"] {
            "INI" | "" => "unchecked".to_owned(),
            _ => row["status"].clone(),
        };
        self.rows().await.iter().map(|row| (row["addr"].clone(), state(row))).collect()
    }

    /// Waits until the state of a replica is this word, and no longer on its way to another.
    pub async fn sees(&self, address: SocketAddr, word: &str) {
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            let state = self.state(address).await;
            if state == word {
                return;
            }
            assert!(Instant::now() < deadline, "{address} is {state:?}, never {word}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn write_hosts(file: &Path, addresses: &[IpAddr]) {
    let mut text = String::new();
    for address in addresses {
        writeln!(text, "{address} api").expect("a text can be written to");
    }
    std::fs::write(file, text).expect("the temp folder can be written to");
}

/// A program of Debian, which keeps servers away from the path of ordinary users.
fn program(name: &str, package: &str) -> String {
    let found = ["/usr/sbin", "/usr/bin"].map(|folder| format!("{folder}/{name}"));
    let found = found.into_iter().find(|path| Path::new(path).exists());
    found.unwrap_or_else(|| panic!("these tests need {name}: apt-get install {package}"))
}
