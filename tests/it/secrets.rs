//! Nobody hears a password: not from the log at its most talkative, not from messages, answers or dumps,
//! whatever goes wrong.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rstest::rstest;

use crate::command::outcome;
use crate::config::file;
use crate::harness::{
    Answer, Backend, Client, Database, FEW, Network, Postgres, Process, Redis, SIGNING_KEY,
    Weather, folder, unique,
};

/// What nobody may hear: the password that PostgreSQL takes, and one that nobody does.
const SECRETS: [&str; 2] = ["geheim", "s3samOpen"];
const WRONG: &str = SECRETS[1];

/// What was said is free of every secret, also of its better part.
fn assert_silent(said: &str, what: &str) {
    for secret in SECRETS {
        let part = &secret[..5];
        if let Some(at) = said.find(part) {
            let from = said[..at].rfind('\n').map_or(0, |line| line + 1);
            let line = said[from..].lines().next().unwrap_or_default();
            panic!("{what} says a password: {line}");
        }
    }
}

/// A file with nothing but a password.
fn password_file(password: &str) -> PathBuf {
    let path = folder().join(unique("password"));
    std::fs::write(&path, password).expect("the temp folder can be written to");
    path
}

/// Where the shared small data set is, for a user with a password.
fn guarded(port: u16, password: &str, options: &str) -> String {
    let database = Database::shared(Backend::Postgres, FEW);
    format!("postgres://guarded:{password}@127.0.0.1:{port}/{}?{options}", database.name())
}

fn debug(toml: &str) -> PathBuf {
    file(&format!(
        "log.level = \"trace\"\ndatabase.backend = \"postgres\"\nseed.auto = false\n\
         auth.signing_key = \"{SIGNING_KEY}\"\n{toml}"
    ))
}

#[test]
fn a_start_that_fails_says_why_and_no_password() {
    let port = Postgres::shared().port;
    let wrong_file = password_file(WRONG);
    let database = Database::shared(Backend::Postgres, FEW);
    let parts = format!(
        "database.host = \"127.0.0.1\"\ndatabase.port = {port}\ndatabase.user = \"guarded\"\n\
         database.sslmode = \"disable\"\ndatabase.name = {:?}\n",
        database.name()
    );
    let url = |url: String| format!("database.url = \"{url}\"");
    for (why, toml) in [
        ("wrong password", url(guarded(port, WRONG, "sslmode=disable"))),
        ("password", url(guarded(port, "", &format!("password={WRONG}&sslmode=disable")))),
        ("password", format!("{parts}database.password = \"{WRONG}\"")),
        ("password", format!("{parts}database.password_file = {wrong_file:?}")),
        ("unreachable", url(guarded(1, WRONG, "sslmode=disable"))),
        ("certificate", url(guarded(port, WRONG, "sslmode=verify-full"))),
        ("no such host", url(format!("postgres://u:{WRONG}@nowhere.invalid/d"))),
    ] {
        let path = debug(&toml);
        let path = path.to_str().expect("a temp folder is UTF-8");
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["seed"]] {
            let (code, out, error) = outcome(&[command, &["--config", path]].concat());
            assert_eq!(code, 1, "{why}: {error}");
            assert!(error.contains("`database."), "{why}: the key is named: {error}");
            assert_silent(&format!("{out}{error}"), why);
        }
        let (code, out, error) = outcome(&["config", "dump", "--config", path]);
        assert_eq!(code, 0, "{why}: {error}");
        assert!(out.contains("***") || toml.contains("password_file"), "{out}");
        assert_silent(&format!("{out}{error}"), "the dump");
    }
}

#[rstest]
#[case("database.url = \"postgres://u:s3samOpen@host:port/d\"")]
#[case("database.url = \"postgres://u:s3samOpen@[::1/d\"")]
#[case("database.url = \"postgres://u:s3sam/Open@host/d?sslmode=nonsense\"")]
#[case("database.url = \"mysql://u:s3samOpen@host/d\"")]
#[case("database = { url = \"postgres://h/d\", password = \"s3samOpen\" }")]
#[case("database.url = \"postgres://h/d\"\ndatabase.password = [\"s3samOpen\"]")]
#[case("database.url = [\"postgres://u:s3samOpen@h/d\"]")]
#[case("cache.redis_url = \"redis://u:s3samOpen@host:port\"")]
#[case("cache.redis_url = \"http://u:s3samOpen@host\"")]
#[case("cache.redis_url = \"rediss://u:s3samOpen@host/nonsense\"")]
#[case(
    "cache.redis_url = 7\ncache.redis_password_file = \"/nowhere/s3cret\"\nserver.listen = \"x\""
)]
#[case("strategies.other = { access = \"pool\", database_url = \"mysql://u:s3samOpen@h/d\" }")]
#[case("[database]\npassword = \"s3samOpen")]
#[case("database.password = s3samOpen")]
#[case("database.url = \"postgres://u:s3samOpen@h/d\" \"")]
#[case("[database]\nurl = \"postgres://u:s3samOpen@h/d\"\nurl = \"postgres://u:s3samOpen@h/d\"")]
fn a_mistake_in_the_configuration_is_named_without_the_password_in_it(#[case] toml: &str) {
    let path = debug("");
    std::fs::write(&path, format!("database.backend = \"postgres\"\n{toml}\n")).expect("writable");
    for command in ["check", "dump"] {
        let arguments = ["config", command, "--config", path.to_str().expect("UTF-8")];
        let (code, out, error) = outcome(&arguments);
        assert_eq!(code, 2, "{out}{error}");
        assert_silent(&format!("{out}{error}"), toml);
    }
}

/// A service as a process of its own, with all that it says.
struct Running {
    process: Process,
    client: Client,
    log: PathBuf,
}

impl Running {
    async fn start(toml: &str) -> Self {
        let home = folder().join(unique("running"));
        std::fs::create_dir_all(&home).expect("the temp folder can be written to");
        let (log, config) = (home.with_extension("log"), debug(toml));
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--config", config.to_str().unwrap()];
        let process = Process::start(&home, &log, env!("CARGO_BIN_EXE_poolwise"), &arguments);
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let address = said.split("serving at http://").nth(1);
            if let Some(address) = address.and_then(|rest| rest.split(' ').next()?.parse().ok()) {
                return Self { process, client: Client(address), log };
            }
            assert!(process.is_running() && Instant::now() < deadline, "no start: {said}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks for everything and says all that was answered, headers included.
    async fn ask_everything(&self) -> String {
        let mut answered = String::new();
        for path in [
            "/products/cached?limit=1",
            "/products/direct?limit=1",
            "/products/pooled?limit=2",
            "/products/pooled?limit=none",
            "/products/7",
            "/strategies",
            "/stats",
            "/",
            "/nowhere",
        ] {
            let answer = self.client.get(path).await;
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            answered += &format!("{} {:?} {body}\n", answer.status, answer.headers);
        }
        answered
    }

    /// All that it said until it stopped.
    async fn stop(self) -> String {
        self.process.signal("TERM");
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.process.is_running() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        std::fs::read_to_string(&self.log).expect("it has a log")
    }
}

#[rstest]
#[case::wrong_password("redis://u:s3samOpen@127.0.0.1:PORT", "")]
#[case::wrong_password_of_nobody("redis://:s3samOpen@127.0.0.1:PORT", "")]
#[case::wrong_password_in_a_file("redis://u@127.0.0.1:PORT", WRONG)]
#[case::no_tls_there("rediss://u:s3samOpen@127.0.0.1:PORT", "")]
#[case::nobody_there("rediss://u:s3samOpen@127.0.0.1:1", "")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_whose_dependencies_fail_says_no_password(
    #[case] redis: &str,
    #[case] in_file: &str,
) {
    let network = Network::to(Postgres::shared().port).await;
    let url = guarded(network.port, SECRETS[0], "sslmode=prefer");
    let redis = redis.replace("PORT", &Redis::shared().port.to_string());
    let file = match in_file {
        "" => String::new(),
        password => format!("cache.redis_password_file = {:?}\n", password_file(password)),
    };
    let service = Running::start(&format!(
        "database.url = \"{url}\"\ndatabase.pool_size = 2\ndatabase.reserve = 150\n\
         database.connect_timeout = \"10s\"\ndatabase.wait_timeout = \"5s\"\n\
         cache.redis_url = \"{redis}\"\n{file}strategies.cached.cache = \"redis\"\n\
         strategies.pooled.cache = \"tiered\"\n"
    ))
    .await;
    let mut answered = service.ask_everything().await;
    assert!(answered.starts_with("200"), "{answered}");
    network.turns(Weather::Refused);
    network.cut();
    answered += &service.ask_everything().await;
    assert!(answered.contains("\n503"), "the database is gone: {answered}");
    // Long enough for what looks at both in the background.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    answered += &service.ask_everything().await;
    let said = service.stop().await;
    for expected in ["DEBUG", "WARN", "Redis", "status=503"] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    assert_silent(&said, "the log");
    assert_silent(&answered, "an answer");
}

/// Reads everything that a user is given or brings along, and looks for it in what is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_people_sign_in_to_says_none_of_their_secrets() {
    let database = Database::scratch(Backend::Postgres, FEW).await;
    let service = Running::start(&format!(
        "database.url = \"{}\"\ndatabase.reserve = 150\nauth.store = \"redis\"\n\
         auth.failures = 2\ncache.redis_url = \"{}\"\ncache.key_prefix = \"{}:\"\n\
         cache.redis_timeout = \"20s\"\ncache.redis_connect_timeout = \"20s\"\n",
        database.url,
        Redis::shared().url(),
        unique("secrets"),
    ))
    .await;
    let password = "s3samOpen for users";
    let user = serde_json::json!({ "name": "ada", "password": password });
    let mut secrets = vec![password.to_owned(), SIGNING_KEY.to_owned()];
    let mut answered = String::new();
    let mut keep = |answer: &Answer| {
        answered += &format!("{} {:?} ", answer.status, answer.headers);
        if !answer.status.is_success() {
            answered += &String::from_utf8_lossy(&answer.body);
        }
    };
    keep(&service.client.post("/auth/register", &user).await);
    keep(&service.client.post("/auth/register", &user).await);
    let mut refresh = serde_json::json!({});
    for path in ["/auth/login", "/auth/refresh", "/auth/refresh"] {
        let body = if path == "/auth/login" { &user } else { &refresh };
        let answer = service.client.post(path, body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let tokens = answer.json();
        for token in ["access_token", "refresh_token"] {
            secrets.push(tokens[token].as_str().expect("a text").to_owned());
        }
        refresh = serde_json::json!({ "refresh_token": tokens["refresh_token"] });
    }
    // One that holds no more, guesses, mistakes, and what ends it all.
    let first = serde_json::json!({ "refresh_token": secrets[3] });
    keep(&service.client.post("/auth/refresh", &first).await);
    let wrong = serde_json::json!({ "name": "ada", "password": "s3samOpen but wrong" });
    for _ in 0..4 {
        keep(&service.client.post("/auth/login", &wrong).await);
    }
    let misplaced = serde_json::json!({ "name": [password], "password": { "x": password } });
    keep(&service.client.post("/auth/login", &misplaced).await);
    let bearer = format!("Bearer {}", secrets[2]);
    for token in [&*bearer, &bearer[..bearer.len() - 3]] {
        let headers = [("authorization", token)];
        keep(&service.client.send(hyper::Method::POST, "/auth/logout", &headers).await);
    }
    answered += &service.ask_everything().await;
    let said = service.stop().await;
    for expected in ["DEBUG", "status=401", "status=409", "status=429", "too many sign-ins failed"]
    {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    assert_silent(&said, "the log");
    assert_silent(&answered, "an answer");
    // The better part of a token is its end.
    for secret in secrets.iter().map(|secret| &secret[secret.len() - 12..]) {
        assert!(!said.contains(secret), "the log says {secret}");
        assert!(!answered.contains(secret), "an answer says {secret}: {answered}");
    }
    let kept: Vec<String> = Redis::shared().run(&["KEYS", "*sign-in:*"]);
    for key in kept {
        let value: Option<String> = Redis::shared().run(&["GET", &key]);
        let value = value.unwrap_or_default();
        assert!(secrets.iter().all(|secret| !value.contains(&secret[secret.len() - 12..])));
    }
}
