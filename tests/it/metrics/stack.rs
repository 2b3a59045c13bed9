//! Debian's Prometheus with the configuration that ships, asking a running service and the exporters of what is
//! behind it. Only the addresses are others.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use serde_yaml_ng::Value as Yaml;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{project, read};
use crate::harness::{
    Client, Database, FEW, MariaDb, Postgres, Redis, Running, ServeCommand, Setup, folder,
    free_port, unique,
};

/// Starts a program of a Debian package on a port of its own.
fn start(package: &str, program: &str, environment: &[String], arguments: &[String]) -> Running {
    let known = Command::new(program).arg("--version").output();
    known.unwrap_or_else(|_| panic!("these tests need {program}: apt-get install {package}"));
    let home = folder().join(unique("running"));
    std::fs::create_dir(&home).expect("the temp folder can be written to");
    let all = environment.iter().map(String::as_str).chain([program]);
    let all: Vec<&str> = all.chain(arguments.iter().map(String::as_str)).collect();
    Running::start(&home, "env", &all)
}

fn at(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Everything that Prometheus asks, and Prometheus.
pub(super) struct Stack {
    pub prometheus: Client,
    /// The API, behind HAProxy.
    pub api: Client,
    _servers: (Postgres, Redis, MariaDb, [ServeCommand; 2]),
    programs: Vec<Running>,
    cadvisor: JoinHandle<()>,
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.cadvisor.abort();
    }
}

impl Stack {
    pub async fn start() -> Self {
        let (postgres, mariadb) = (Postgres::start(), MariaDb::start());
        let redis = Redis::start_with(&["--maxmemory", "64mb"]);
        let database = Database::on(&postgres, FEW).await;
        let setup = Setup::of(&database).with_redis(&redis).with(
            "strategies.cached = { access = \"pool\", cache = \"tiered\" }\n\
             strategies.subject = { access = \"pool\", cache = \"redis\" }",
        );
        let on_mariadb = Setup::of(&Database::on_mariadb(&mariadb, FEW).await).with_redis(&redis);
        let services = [setup, on_mariadb].map(|setup| ServeCommand::start(&setup, &[]));
        for service in &services {
            service.listens().await;
            service.becomes(200).await;
        }
        let [replica, of_mariadb] = [0, 1].map(|place: usize| services[place].client.0.port());
        let mut targets = BTreeMap::from([("api", replica), ("api-mysql", of_mariadb)]);
        let mut programs = Vec::new();
        let mut exporter = |job, package, environment: &[String], arguments: &[&str]| {
            let port = free_port();
            targets.insert(job, port);
            let arguments = arguments.iter().map(|text| text.replace("ADDRESS", &at(port)));
            programs.push(start(package, package, environment, &arguments.collect::<Vec<_>>()));
        };
        let url = format!("DATA_SOURCE_NAME={}", postgres.url("postgres") + "?sslmode=disable");
        exporter(
            "postgres",
            "prometheus-postgres-exporter",
            &[url],
            &["--web.listen-address=ADDRESS"],
        );
        let address = format!("-redis.addr={}", redis.url());
        exporter(
            "redis",
            "prometheus-redis-exporter",
            &[],
            &["-web.listen-address=ADDRESS", &address],
        );
        let url = format!("DATA_SOURCE_NAME=poolwise:secret@({})/", at(mariadb.port));
        exporter("mysql", "prometheus-mysqld-exporter", &[url], &["--web.listen-address=ADDRESS"]);
        let names = project("deploy/prometheus/process-exporter.yml").display().to_string();
        let names = format!("--config.path={names}");
        exporter(
            "processes",
            "prometheus-process-exporter",
            &[],
            &["--web.listen-address=ADDRESS", &names],
        );
        let (balancer, api) = haproxy(replica, &mut targets);
        programs.push(balancer);
        let cadvisor = cadvisor(&mut targets).await;
        let own = free_port();
        targets.insert("prometheus", own);
        programs.push(prometheus(own, &targets));
        let [prometheus, api] = [own, api].map(|port| Client(([127, 0, 0, 1], port).into()));
        let servers = (postgres, redis, mariadb, services);
        let stack = Self { prometheus, api, _servers: servers, programs, cadvisor };
        stack.sees(targets.keys().copied().collect()).await;
        stack
    }

    /// Waits until every job gives figures, and did so often enough for a rate.
    async fn sees(&self, jobs: Vec<&str>) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let up = self.query("count_over_time((up == 1)[1m:1s]) >= 5").await;
            let up: Vec<&str> =
                up.iter().filter_map(|series| series["metric"]["job"].as_str()).collect();
            let missing: Vec<_> = jobs.iter().filter(|job| !up.contains(job)).collect();
            if missing.is_empty() {
                return;
            }
            if Instant::now() > deadline {
                let said: Vec<String> = self.programs.iter().map(Running::log).collect();
                panic!("Prometheus gets nothing from {missing:?}:\n{}", said.join("\n---\n"));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What an expression gives now; nothing while Prometheus does not listen yet.
    pub async fn query(&self, expression: &str) -> Vec<Value> {
        if tokio::net::TcpStream::connect(self.prometheus.0).await.is_err() {
            return Vec::new();
        }
        let asked: String = form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let answer = self.prometheus.get(&format!("/api/v1/query?query={asked}")).await;
        if answer.status == 503 {
            return Vec::new();
        }
        let found = answer.json();
        assert_eq!(found["status"], "success", "{expression}: {found}");
        match &found["data"]["result"] {
            Value::Array(series) if found["data"]["resultType"] == "vector" => series.clone(),
            other => vec![other.clone()],
        }
    }
}

/// HAProxy with its own exporter, as docker-compose.yml has it, in front of one replica; with its port.
fn haproxy(replica: u16, targets: &mut BTreeMap<&str, u16>) -> (Running, u16) {
    let (public, internal) = (free_port(), free_port());
    targets.insert("haproxy", internal);
    let [public_address, internal, replica] = [public, internal, replica].map(at);
    let text = format!(
        "defaults\n mode http\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n\
         frontend public\n bind {public_address}\n default_backend replicas\n\
         backend replicas\n server api-1 {replica} check\n\
         frontend internal\n bind {internal}\n \
         http-request use-service prometheus-exporter if {{ path /metrics }}\n"
    );
    let file = folder().join(unique("haproxy")).with_extension("cfg");
    std::fs::write(&file, text).expect("the temp folder can be written to");
    // Debian keeps servers away from the PATH of ordinary users.
    let program =
        if PathBuf::from("/usr/sbin/haproxy").exists() { "/usr/sbin/haproxy" } else { "haproxy" };
    let arguments = ["-db", "-f", &file.display().to_string()].map(str::to_owned);
    (start("haproxy", program, &[], &arguments), public)
}

/// cAdvisor is not among Debian's packages: a text written by hand, again and again, with the names that its
/// documentation gives.
async fn cadvisor(targets: &mut BTreeMap<&str, u16>) -> JoinHandle<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    targets.insert("containers", listener.local_addr().expect("it is bound").port());
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { continue };
            tokio::spawn(async move {
                let mut request = [0; 4096];
                // One request a connection, in one piece.
                let _ = stream.read(&mut request).await;
                let body = include_str!("cadvisor.txt");
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\n\
                     content-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all((head + body).as_bytes()).await;
            });
        }
    })
}

/// Prometheus with the configuration that ships, but every job asks the port of `targets`, every second.
fn prometheus(port: u16, targets: &BTreeMap<&str, u16>) -> Running {
    let shipped = read("deploy/prometheus/prometheus.yml");
    let mut config: Yaml = serde_yaml_ng::from_str(&shipped).expect("it is YAML");
    for key in ["scrape_interval", "scrape_timeout", "evaluation_interval"] {
        config["global"][key] = "1s".into();
    }
    config["rule_files"] =
        vec![Yaml::from(project("deploy/prometheus/rules.yml").display().to_string())].into();
    let jobs = config["scrape_configs"].as_sequence_mut().expect("a list");
    let mut unasked: Vec<&str> = targets.keys().copied().collect();
    for job in jobs {
        let name = job["job_name"].as_str().expect("a text").to_owned();
        let port = targets.get(&*name).unwrap_or_else(|| panic!("nothing runs for job {name}"));
        unasked.retain(|known| *known != name);
        let job = job.as_mapping_mut().expect("a table");
        job.remove("dns_sd_configs");
        let target = format!("[{{ targets: ['{}'] }}]", at(*port));
        job.insert("static_configs".into(), serde_yaml_ng::from_str(&target).expect("it is YAML"));
    }
    assert!(unasked.is_empty(), "no job asks {unasked:?}");
    let home = folder().join(unique("prometheus"));
    std::fs::create_dir(&home).expect("the temp folder can be written to");
    let file = home.join("prometheus.yml");
    std::fs::write(&file, serde_yaml_ng::to_string(&config).expect("it prints"))
        .expect("it is ours");
    let arguments = [
        format!("--config.file={}", file.display()),
        format!("--storage.tsdb.path={}", home.join("data").display()),
        format!("--web.listen-address={}", at(port)),
    ];
    start("prometheus", "prometheus", &[], &arguments)
}
