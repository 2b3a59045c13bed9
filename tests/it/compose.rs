//! What `docker compose up` would start, as far as that can be held without an engine: docker-compose 1.29 reads the
//! file, everything that it names is there, it agrees with the configuration, and its commands run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use poolwise::config::{self, Config, Environment};
use poolwise::lab::plan::{Loaded, load};
use poolwise::store::plugin::Plugins;
use serde_json::Value;

use crate::harness::{
    Client, Dataset, Filter, HAPROXY_FILE, MANY, Postgres, Redis, Running, connect, folder,
    free_port, unique,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the project.
fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The file with all its profiles, as docker-compose 1.29 understands it.
fn compose() -> &'static Value {
    static READ: OnceLock<Value> = OnceLock::new();
    READ.get_or_init(|| {
        let mut command = Command::new("docker-compose");
        command.current_dir(root()).args(["--profile", "mysql", "--profile", "lab", "config"]);
        let ran = command.output();
        let ran =
            ran.expect("these tests need docker-compose 1.29: apt-get install docker-compose");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success() && said.is_empty(), "{said}");
        serde_yaml_ng::from_slice(&ran.stdout).expect("it prints YAML")
    })
}

/// A secret of each name, as the script makes them.
fn secrets() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = folder().join(unique("secrets"));
        let make = || Command::new(root().join("scripts/secrets.sh")).arg(&folder).output();
        let first = make().expect("there is bash");
        assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
        let again = make().expect("there is bash");
        assert_eq!((again.status.success(), again.stdout.is_empty()), (true, true), "made once");
        folder
    })
}

fn services() -> BTreeMap<&'static str, &'static Value> {
    let services = compose()["services"].as_object().expect("there are services");
    services.iter().map(|(name, service)| (name.as_str(), service)).collect()
}

/// A list of texts; empty where there is none.
fn list(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A size such as `384m`.
fn bytes(value: &Value) -> u64 {
    let written = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (number, unit) = written.split_at(written.trim_end_matches(char::is_alphabetic).len());
    let factor = match unit {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        other => panic!("{other}"),
    };
    number.parse::<u64>().expect("a number") * factor
}

fn seconds(value: &Value) -> Duration {
    humantime::parse_duration(value.as_str().expect("a text")).expect("a duration")
}

/// What a service of ours is configured with: its file, over it its environment; secrets are those made here.
fn configured(name: &str, more: &[(&str, &str)]) -> Config {
    let service = services()[name];
    let command = list(&service["command"]);
    let place = command.iter().position(|word| *word == "--config").expect("it names a file") + 1;
    let file = command[place].strip_prefix("/etc/poolwise/").expect("that is where it is mounted");
    let here = secrets().display().to_string();
    let local = |text: &str| text.replace("/run/secrets", &here);
    let copy = folder().join(unique("docker")).with_extension("toml");
    std::fs::write(&copy, local(&text(&format!("config/{file}")))).expect("it can be written");
    let environment = service["environment"].as_object();
    let mut variables: Vec<(String, String)> = Vec::new();
    for (key, value) in environment.into_iter().flatten() {
        assert!(key.starts_with("POOLWISE__"), "{name} does not know {key}");
        variables.push((key.clone(), local(&value.as_str().map_or(value.to_string(), Into::into))));
    }
    variables.extend(more.iter().map(|(key, value)| ((*key).into(), (*value).into())));
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let environment = Environment::of(&variables);
    let loaded = config::load(&[copy], &environment, &Plugins::standard());
    let config = loaded.unwrap_or_else(|problems| panic!("{name}: {problems}"));
    assert_eq!(config.warnings, Vec::<String>::new(), "{name}");
    assert_eq!(config.auth.keys.problem(), None, "{name}");
    config
}

#[test]
fn every_mounted_file_is_there_and_nothing_of_the_machine_can_be_written() {
    // What the machine itself shows to the exporter of containers and to the lab.
    const OF_THE_MACHINE: [&str; 5] =
        ["/", "/sys", "/sys/fs/cgroup", "/var/lib/docker", "/var/run"];
    let mut seen = 0;
    for (name, service) in services() {
        for volume in list(&service["volumes"]) {
            let parts: Vec<&str> = volume.split(':').collect();
            let [source, target, mode] = match parts[..] {
                [source, target] => [source, target, "rw"],
                [source, target, mode] => [source, target, mode],
                _ => panic!("{volume}"),
            };
            if !source.starts_with('/') {
                assert!(compose()["volumes"].get(source).is_some(), "{name}: {volume}");
                continue;
            }
            assert_eq!(mode, "ro", "{name}: {volume}");
            if !OF_THE_MACHINE.contains(&source) {
                assert!(Path::new(source).starts_with(root()), "{name}: {volume}");
                assert!(Path::new(source).exists(), "{name}: {source} is not there");
            }
            assert!(target.starts_with('/'));
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn every_secret_is_one_that_the_script_makes() {
    let declared: BTreeSet<String> = compose()["secrets"]
        .as_object()
        .expect("there are secrets")
        .iter()
        .map(|(name, secret)| {
            let file = secret["file"].as_str().expect("it is a file");
            assert_eq!(Path::new(file), root().join("deploy/secrets").join(name));
            name.clone()
        })
        .collect();
    let made = std::fs::read_dir(secrets()).expect("it is a folder");
    let made = made.map(|entry| entry.unwrap().file_name().into_string().expect("UTF-8"));
    assert_eq!(declared, made.collect());
    let mut used = BTreeSet::new();
    for service in services().values() {
        for secret in service["secrets"].as_array().into_iter().flatten() {
            let name = secret.as_str().or(secret["source"].as_str()).expect("it has a name");
            used.insert(name.to_owned());
        }
    }
    assert_eq!(declared, used);
}

#[test]
fn every_container_is_hardened_limited_checked_and_of_a_known_version() {
    for (name, service) in services() {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(list(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        assert_eq!(list(&service["cap_drop"]), ["ALL"], "{name}");
        let cpus: f64 = service["cpus"].to_string().trim_matches('"').parse().expect(name);
        assert!((0.1..=2.0).contains(&cpus), "{name}");
        assert!(bytes(&service["mem_limit"]) <= 1 << 30, "{name}");
        assert!(service["pids_limit"].as_u64().is_some_and(|pids| pids <= 256), "{name}");
        let disabled = list(&service["healthcheck"]["test"]) == ["NONE"];
        assert_eq!(disabled, name == "lab", "{name}");
        assert!(disabled || !service["healthcheck"]["test"].is_null(), "{name}");
        let root = service["user"] == "root";
        assert_eq!(root, ["lab", "cadvisor"].contains(&name), "{name}");
        // Those that begin as root to give their folder away; everybody else has a user.
        let entry = ["postgres", "mysql"].contains(&name);
        let ours = service["image"].as_str().is_some_and(|image| image.starts_with("poolwise:"));
        assert!(entry || ours || !service["user"].is_null(), "{name}");
        pinned(service["image"].as_str().expect(name));
    }
    let dockerfile = text("Dockerfile");
    let mut stages = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM "));
    stages.clone().for_each(|stage| pinned(stage.split(' ').next().expect("a name")));
    assert_eq!(stages.next_back(), Some("debian:bookworm-20251229-slim"));
    let last = dockerfile.rsplit("FROM ").next().expect("there is a stage");
    assert!(last.contains("\nUSER 10001\n") && last.contains("\nHEALTHCHECK "), "{last}");
}

fn pinned(image: &str) {
    let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{image} has no version"));
    let digits = tag.chars().filter(char::is_ascii_digit).count();
    assert!(digits >= 3 && !tag.contains("latest"), "{image}");
}

#[test]
fn only_what_people_use_is_published_and_only_on_this_machine() {
    let mut published = BTreeMap::new();
    for (name, service) in services() {
        for port in list(&service["ports"]) {
            let [address, outside, inside] = port.split(':').collect::<Vec<_>>()[..] else {
                panic!("{name}: {port}")
            };
            assert_eq!(address, "127.0.0.1", "{name}");
            published
                .insert(name, (outside.to_owned(), inside.trim_end_matches("/tcp").to_owned()));
        }
        if service["ports"].is_null() {
            let networks = service["networks"].as_object().expect("it has networks");
            assert_eq!(networks.keys().collect::<Vec<_>>(), ["inside"], "{name}");
        }
    }
    let pair = |outside: &str, inside: &str| (outside.to_owned(), inside.to_owned());
    let expected = BTreeMap::from([
        ("api-mysql", pair("8081", "8080")),
        ("grafana", pair("3000", "3000")),
        ("haproxy", pair("8080", "8080")),
        ("prometheus", pair("9090", "9090")),
    ]);
    assert_eq!(published, expected);
    assert_eq!(compose()["networks"]["inside"]["internal"], true);
}

#[test]
fn the_configuration_agrees_with_what_is_started() {
    let named = |service: &Value| list(&service["networks"]["inside"]["aliases"]).contains(&"api");
    let replicas: Vec<&str> = services()
        .into_iter()
        .filter(|(_, service)| named(service))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(replicas, ["api-1", "api-2"]);
    let subnet = compose()["networks"]["inside"]["ipam"]["config"][0]["subnet"].as_str();
    let balancer = text("deploy/haproxy/haproxy.cfg");
    for name in ["api-1", "api-2", "api-mysql"] {
        let config = configured(name, &[]);
        let count = if name == "api-mysql" { 1 } else { replicas.len() as u32 };
        assert_eq!(config.server.replicas, count, "{name}");
        assert_eq!(config.server.listen.to_string(), "0.0.0.0:8080");
        let trusted: Vec<String> =
            config.rate_limit.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(trusted.iter().map(String::as_str).collect::<Vec<_>>(), Vec::from_iter(subnet));
        let stopping = config.server.drain_delay + config.server.shutdown_timeout;
        assert!(seconds(&services()[name]["stop_grace_period"]) > stopping, "{name}");
        // Two checks of HAProxy.
        assert!(config.server.drain_delay >= Duration::from_millis(1500 + 1000));
        assert!(config.server.request_timeout < Duration::from_secs(35));
        assert_eq!(list(&services()[name]["healthcheck"]["test"]), ["CMD", "poolwise", "health"]);
    }
    let mysql = configured("api-mysql", &[]);
    assert_eq!((mysql.database.backend.name(), services().contains_key("mysql")), ("mysql", true));
    for said in ["presetenv BALANCER_API api:8080", "timeout server 35s", "hard-stop-after 35s"] {
        assert!(balancer.contains(said), "{said}");
    }
    for variable in services()["haproxy"]["environment"].as_object().expect("it has some").keys() {
        assert!(balancer.contains(&format!("presetenv {variable} ")), "{variable}");
    }
    assert!(seconds(&services()["haproxy"]["stop_grace_period"]) > Duration::from_secs(35));
    assert!(Path::new(HAPROXY_FILE).starts_with(root()));
}

#[test]
fn what_the_experiment_keeps_fits_into_redis() {
    let redis = services()["redis"];
    let command = list(&redis["command"]);
    let after = |option: &str| {
        let place = command.iter().position(|word| *word == option).expect(option);
        Value::from(command[place + 1])
    };
    let most = bytes(&after("--maxmemory"));
    let Ok(Loaded::One(plan)) = load("case", &Default::default()) else { panic!("it is one plan") };
    let electronics = Filter { category: Some("electronics"), ..Filter::default() };
    let body = Dataset::of(MANY).answer(&electronics).len() as u64;
    let keys = plan.parameters.values.len() as u64;
    assert!(keys >= 22 && body > 3_500_000, "{keys} {body}");
    assert!(most >= 2 * keys * body, "{most} for {keys} keys of {body}");
    assert!(bytes(&redis["mem_limit"]) >= most * 5 / 4);
}

#[test]
fn the_image_is_built_from_all_that_the_program_contains() {
    let ignored = text(".dockerignore");
    let sent: BTreeSet<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let mut folders = vec![root().join("src")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("it is a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            // What only tests contain is not built there.
            let text = text.split("#[cfg(test)]").next().expect("there is a first");
            if path.ends_with("tests.rs") {
                continue;
            }
            for rest in text.split("include_str!(\"").chain(text.split("include_bytes!(\"")).skip(1)
            {
                let Some((named, _)) = rest.split_once('"') else { continue };
                let Ok(file) = folder.join(named).canonicalize() else { continue };
                let top = file.strip_prefix(root()).expect("it is below").iter().next();
                let top = top.and_then(|top| top.to_str()).expect("it is UTF-8");
                assert!(sent.contains(top), "{named} in {}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "{seen}");
    for line in text("Dockerfile").lines() {
        let Some(copied) = line.strip_prefix("COPY ").filter(|rest| !rest.starts_with("--")) else {
            continue;
        };
        let names: Vec<&str> = copied.split(' ').collect();
        for name in names[..names.len() - 1].iter().filter(|name| **name != ".") {
            assert!(sent.contains(name) && root().join(name).exists(), "{line}");
        }
    }
}

#[test]
fn the_commit_comes_into_the_image_as_a_build_argument() {
    let argument = "POOLWISE_COMMIT";
    assert!(services()["api-1"]["build"]["args"].get(argument).is_some());
    assert!(text("build.rs").contains(argument));
    let dockerfile = text("Dockerfile");
    let stages: Vec<&str> = dockerfile.split("\nFROM ").skip(1).collect();
    let [build, last] = stages[..] else { panic!("{} stages", stages.len()) };
    let declared = |part: &str| part.lines().position(|line| line == format!("ARG {argument}="));
    // Above, each commit would build all dependencies anew.
    let copied = build.lines().position(|line| line == "COPY . .").expect("it copies all");
    assert!(declared(build).is_some_and(|line| line > copied), "{build}");
    assert!(declared(last).is_some() && last.contains(&format!("revision=\"${argument}\"")));
}

/// PostgreSQL as it is in there: a superuser `postgres`, the database of deploy/postgres, and passwords for all.
async fn database() -> Postgres {
    let server = Postgres::counting_statements();
    server.run("create role postgres login superuser password 'geheim'").await;
    let admin = server.url("postgres").replace("//poolwise@", "//postgres:geheim@");
    let rename = "alter role poolwise rename to first_of_all";
    connect(&admin).await.batch_execute(rename).await.expect("a superuser may");
    let access = "local all all reject\nhost all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(server.socket.join("data/pg_hba.conf"), access).expect("it is there");
    let reload = "select pg_reload_conf()";
    connect(&admin).await.batch_execute(reload).await.expect("a superuser may");
    for entry in std::fs::read_dir(root().join("deploy/postgres")).expect("it is a folder") {
        let file = entry.expect("it can be read").path();
        let text = std::fs::read_to_string(&file).expect("it can be read");
        let copy = folder().join(unique("initdb")).with_extension("sql");
        let here = secrets().display().to_string();
        std::fs::write(&copy, text.replace("/run/secrets", &here)).expect("it can be written");
        // As the official image calls it.
        let words = ["-v", "ON_ERROR_STOP=1", "--no-psqlrc", "--dbname", &admin, "--file"];
        let ran = Command::new("psql").args(words).arg(copy).output().expect("there is psql");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success() && said.is_empty(), "{}: {said}", file.display());
    }
    server
}

/// The commands of the file, with other addresses, over servers that are set up as there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_commands_run_outside_of_containers() {
    let here = secrets().display().to_string();
    let local = |word: &&str| word.replace("/run/secrets", &here);
    let command: Vec<String> = list(&services()["redis"]["command"]).iter().map(local).collect();
    let start = |port: u16| {
        // Options follow the file; the words are Redis's own.
        let options = command[2..].iter().map(String::as_str);
        let file = std::fs::read_to_string(&command[1]).expect("the script made it");
        let password = file.trim().strip_prefix("requirepass ").expect("that is what it says");
        let all: Vec<&str> = ["--requirepass", password].into_iter().chain(options).collect();
        Redis::start_in(port, &all, |_| Vec::new())
    };
    let redis = (0..3).find_map(|_| start(free_port())).expect("Redis starts");
    assert_eq!(command[0], "redis-server");

    let database = database().await;
    let port = free_port();
    let copy = folder().join(unique("docker")).with_extension("toml");
    std::fs::write(&copy, text("config/docker.toml").replace("/run/secrets", &here)).unwrap();
    let words = list(&services()["api-1"]["command"]);
    let words = words.into_iter().map(|word| match word {
        "/etc/poolwise/docker.toml" => copy.display().to_string(),
        other => other.to_owned(),
    });
    let mut arguments = vec![
        format!("POOLWISE__SERVER__LISTEN=127.0.0.1:{port}"),
        "POOLWISE__DATABASE__HOST=127.0.0.1".into(),
        format!("POOLWISE__DATABASE__PORT={}", database.port),
        format!("POOLWISE__CACHE__REDIS_URL=redis://127.0.0.1:{}", redis.port),
        // So long that a machine which stands still for a moment changes nothing.
        "POOLWISE__CACHE__REDIS_TIMEOUT=20s".into(),
        "POOLWISE__CACHE__REDIS_CONNECT_TIMEOUT=20s".into(),
        env!("CARGO_BIN_EXE_poolwise").into(),
    ];
    arguments.extend(words);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let place = folder().join(unique("api"));
    std::fs::create_dir(&place).expect("it can be made");
    let service = Running::start(&place, "env", &arguments);
    let url = format!("http://127.0.0.1:{port}");
    let check = list(&services()["api-1"]["healthcheck"]["test"]);
    let mut last = (1, String::new(), String::new());
    for _ in 0..300 {
        let asked: Vec<&str> = check[2..].iter().copied().chain(["--url", &url]).collect();
        last = crate::command::outcome(&asked);
        if last.0 == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((last.0, &*last.1), (0, "ready\n"), "{}\n{}", last.2, service.log());
    let client = Client(([127, 0, 0, 1], port).into());
    let path = "/products/cached?limit=7";
    assert_eq!(client.get(path).await.cache(), "miss", "{}", service.log());
    let mut hit = client.get(path).await;
    for _ in 0..100 {
        if hit.cache() == "hit" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        hit = client.get(path).await;
    }
    assert_eq!(hit.cache(), "hit", "Redis takes the password: {}", service.log());
    assert_eq!(hit.json().as_array().map(Vec::len), Some(7));
    let token = client.sign_in(&unique("composer"), "correct horse").await;
    assert!(!token.is_empty(), "the key signs");

    let password = std::fs::read_to_string(secrets().join("postgres_password")).expect("made");
    let (password, port) = (password.trim(), database.port);
    let own = connect(&format!("postgres://poolwise:{password}@127.0.0.1:{port}/poolwise")).await;
    for (what, expected) in [
        (
            "(select rolsuper or rolcreatedb or rolcreaterole from pg_roles where rolname = current_user)",
            false,
        ),
        ("pg_has_role('pg_monitor', 'member')", true),
        ("(select count(*) > 10 from pg_stat_statements)", true),
        ("(select count(*) = 60000 from products)", true),
    ] {
        let row = own.query_one(&format!("select {what}"), &[]).await.expect(what);
        assert_eq!(row.get::<_, bool>(0), expected, "{what}");
    }
}
