//! The service under test: started, watched and ended by the lab, or refused.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::time::Duration;

use poolwise::config::Environment;
use poolwise::lab::plan::Plan;
use poolwise::lab::record::Usage;
use poolwise::lab::sample::{Sampler, Watch};
use poolwise::lab::target::{Pins, Running, Start, TargetError, attach, start};
use poolwise::store::plugin::Plugins;
use tokio::time::Instant;

use super::plan;
use super::sample::until;
use crate::config::file;
use crate::harness::{
    Backend, Database, FEW, Redis, SIGNING_KEY, ServeCommand, Setup, eventually, folder, unique,
};

fn poolwise() -> PathBuf {
    env!("CARGO_BIN_EXE_poolwise").into()
}

/// A configuration with a small database of its own that the service fills itself.
fn small() -> PathBuf {
    let database = folder().join(unique("lab")).with_extension("db");
    file(&format!(
        "database.url = \"sqlite:{}\"\nseed = {{ auto = true, rows = 200 }}\nlog.level = \"warn\"\n\
         auth.signing_key = \"{SIGNING_KEY}\"",
        database.display()
    ))
}

async fn try_start(
    program: PathBuf,
    files: &[PathBuf],
    plan: &Plan,
    cores: Option<&Pins>,
) -> Result<Running, TargetError> {
    let (plugins, environment) = (&Plugins::standard(), &Environment::default());
    let progress = &|_| {};
    let what = Start { program, files, plan, plugins, environment, cores, progress };
    // As a command would that waits for a signal as well.
    let starting: Pin<Box<dyn Future<Output = _> + Send + '_>> = Box::pin(start(what));
    starting.await
}

async fn started(files: &[PathBuf], plan: &Plan) -> Running {
    let running = try_start(poolwise(), files, plan, None).await;
    running.unwrap_or_else(|error| panic!("it does not start: {error}"))
}

fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

/// The arguments of a process.
fn arguments(pid: u32) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    text.split('\0').map(str::to_owned).collect()
}

/// The folder that the lab made for a service whose plan defines a strategy.
fn folder_of(pid: u32) -> PathBuf {
    let arguments = arguments(pid);
    let plan = arguments.iter().find(|argument| argument.ends_with("/plan.toml"));
    Path::new(plan.expect("the plan is one of its files")).parent().expect("a folder").to_owned()
}

/// Processes and folders that have to do with this word.
fn left_behind(word: &str) -> Vec<String> {
    let entries = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten();
    let processes = entries(Path::new("/proc"))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| arguments(*pid).iter().any(|argument| argument.contains(word)))
        .map(|pid| format!("process {pid}"));
    let folders = entries(&std::env::temp_dir())
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().contains("poolwise-lab-"))
        .filter(|path| {
            std::fs::read_to_string(path.join("plan.toml")).is_ok_and(|text| text.contains(word))
        })
        .map(|path| path.display().to_string());
    processes.chain(folders).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_would_lack_a_key_for_tokens_gets_one_of_its_own() {
    let url = Database::shared(Backend::Postgres, FEW).url;
    let database =
        format!("database = {{ backend = \"postgres\", url = \"{url}\", pool_size = 2 }}");
    for key in ["", "auth.signing_key_file = \"nowhere.key\""] {
        let files = [file(&format!("{database}\nseed.auto = false\n{key}"))];
        let running = started(&files, &plan(&[("pooled", None)])).await;
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_started_with_the_strategies_of_the_plan_and_leaves_nothing() {
    let extra = "cache = \"memory\"\n[access]\nkind = \"pool\"\nsize = 3\n";
    let plan = plan(&[("extra", Some(extra)), ("direct", None)]);
    let mut running = started(&[small()], &plan).await;
    let pid = running.pid.expect("it is ours");
    assert!(running.is_alive() && lives(pid));
    let described: Vec<_> = running
        .strategies
        .iter()
        .map(|s| (s.name.as_str(), s.access.as_str(), s.cache.as_str(), s.connections))
        .collect();
    assert_eq!(described[0], ("extra", "pool", "memory", Some(3)));
    assert_eq!(described[1].0, "direct");
    let list = "/strategies/extra/products?limit=2";
    let (status, body) = running.base.get(list, Duration::from_secs(5)).await.expect("an answer");
    assert_eq!(status, 200);
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&body).expect("it is JSON");
    assert_eq!(rows.len(), 2);
    let folder = folder_of(pid);
    assert!(folder.join("log").exists());
    running.stop().await;
    assert!(!lives(pid) && !folder.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_dropped_is_killed_and_leaves_nothing() {
    let plan = plan(&[("extra", Some("access = \"pool\""))]);
    let running = started(&[small()], &plan).await;
    let pid = running.pid.expect("it is ours");
    let folder = folder_of(pid);
    drop(running);
    eventually("it has ended", || !lives(pid)).await;
    eventually("its folder is gone", || !folder.exists()).await;
}

/// Run by the test below, as a lab that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it waits until it is killed"]
async fn a_lab_that_is_killed() {
    let running = started(&[small()], &plan(&[("extra", Some("access = \"pool\""))])).await;
    println!("\nservice {}", running.pid.expect("it is ours"));
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_ends_with_a_lab_that_is_killed() {
    let mut lab = Command::new(std::env::current_exe().expect("we are a program"));
    lab.args(["--exact", "--ignored", "--nocapture", "lab::target::a_lab_that_is_killed"]);
    let mut lab = lab.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut lines = BufReader::new(lab.stdout.take().expect("piped above")).lines();
    let pid = lines.find_map(|line| line.ok()?.strip_prefix("service ")?.parse().ok());
    let pid: u32 = pid.expect("it says the process id");
    assert!(lives(pid));
    let folder = folder_of(pid);
    lab.kill().expect("it lives");
    lab.wait().expect("it has ended");
    eventually("the service has ended", || !lives(pid)).await;
    eventually("its folder is gone", || !folder.exists()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn problems_are_found_before_anything_is_started() {
    let no_program = || PathBuf::from("/nowhere/poolwise");
    let wrong = file("colour = 1");
    let plan_of = |definition| plan(&[("extra", Some(definition))]);
    let files = [wrong];
    let error = try_start(no_program(), &files, &plan_of("access = \"pole\""), None).await;
    let Err(error @ TargetError::Config(_)) = error else { panic!("the configuration is wrong") };
    let text = error.to_string();
    assert!(text.contains("`colour`") && text.contains("strategies.extra.access"), "{text}");
    let files = [small()];
    let unknown = plan(&[("pooled", None), ("other", None)]);
    let error = try_start(no_program(), &files, &unknown, None).await;
    let Err(error @ TargetError::Strategies(_)) = error else { panic!("there is no other") };
    let text = error.to_string();
    assert!(text.contains("drives other,") && text.contains("[strategies.other]"), "{text}");
    let error = try_start(no_program(), &files, &plan_of("access ="), None).await;
    assert!(matches!(error, Err(TargetError::Strategies(text)) if text.contains("extra")));
    let error = try_start(no_program(), &files, &plan_of("access = \"pool\""), None).await;
    assert!(matches!(error, Err(TargetError::Start(text)) if text.contains("/nowhere/poolwise")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_does_not_come_up_says_why_and_leaves_nothing() {
    let name = unique("gone-");
    let nowhere = folder().join("nowhere").join("products.db");
    let config = file(&format!("database.url = \"sqlite:{}\"", nowhere.display()));
    let plan = plan(&[(&name, Some("access = \"pool\""))]);
    let error = try_start(poolwise(), std::slice::from_ref(&config), &plan, None).await;
    let Err(error @ TargetError::Failed { .. }) = error else { panic!("there is no database") };
    let text = error.to_string();
    assert!(text.contains("exit status: 1") && text.contains("poolwise seed"), "{text}");
    assert_eq!(left_behind(&name), [""; 0]);
    assert_eq!(left_behind(config.to_str().expect("UTF-8")), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_port_is_tried_when_somebody_took_the_first() {
    let flag = folder().join(unique("flag"));
    let program = folder().join(unique("program"));
    let script = format!(
        "#!/bin/sh\nif [ ! -e {flag} ]; then echo \"$6\" >{flag}\n\
         echo 'error: 127.0.0.1:1 cannot be listened on: Address already in use' >&2; exit 1; fi\n\
         exec {poolwise} \"$@\"\n",
        flag = flag.display(),
        poolwise = poolwise().display(),
    );
    std::fs::File::create(&program)
        .and_then(|mut file| file.write_all(script.as_bytes()))
        .and_then(|()| {
            let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&program, executable)
        })
        .expect("the temp folder can be written to");
    let plan = plan(&[("extra", Some("access = \"pool\""))]);
    let running = try_start(program, &[small()], &plan, None).await;
    let mut running = running.unwrap_or_else(|error| panic!("{error}"));
    assert!(flag.exists() && running.is_alive());
    assert_eq!(running.strategies[0].name, "extra");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_was_killed_is_noticed() {
    let mut running = started(&[small()], &plan(&[("pooled", None)])).await;
    assert_eq!(running.last_words().await, "");
    let pid = running.pid.expect("it is ours").to_string();
    let killed = Command::new("kill").args(["-KILL", &pid]).status();
    assert!(killed.expect("there is a kill command").success());
    let deadline = Instant::now() + Duration::from_secs(5);
    while running.is_alive() {
        assert!(Instant::now() < deadline, "it is never noticed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let words = running.last_words().await;
    assert!(words.contains("signal: 9"), "{words}");
    running.stop().await;
}

/// The cores that a process or thread may use, as the kernel lists them.
fn cores(pid: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.expect("Linux says so").trim().to_owned()
}

/// The cores of each thread of a process.
fn cores_of_threads(pid: &str) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives").flatten();
    let names = threads.map(|thread| thread.file_name().into_string().expect("a number"));
    names.map(|thread| cores(&format!("{pid}/task/{thread}"))).collect()
}

fn last_of(list: &str) -> String {
    list.rsplit([',', '-']).next().expect("there is one").to_owned()
}

/// Run by the test below, because it pins every thread of its process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it pins the whole test process"]
async fn a_driver_that_pins_itself() {
    let last = last_of(&cores("thread-self"));
    let pins = Pins::parse(&format!("driver={last}")).expect("the core is allowed");
    pins.pin_driver().expect("the core is allowed");
    let threads = cores_of_threads("self");
    assert!(threads.len() >= 3 && threads.iter().all(|cores| *cores == last), "{threads:?}");
}

#[test]
fn a_pinned_driver_uses_its_cores_only_with_all_its_threads() {
    let mut driver = Command::new(std::env::current_exe().expect("we are a program"));
    driver.args(["--exact", "--ignored", "lab::target::a_driver_that_pins_itself"]);
    let output = driver.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_service_uses_its_cores_only() {
    let ours = cores("thread-self");
    let last = last_of(&ours);
    let pins = Pins::parse(&format!("service={last}")).expect("the core is allowed");
    let plan = plan(&[("pooled", None)]);
    let running = try_start(poolwise(), &[small()], &plan, Some(&pins)).await;
    let running = running.unwrap_or_else(|error| panic!("{error}"));
    let threads = cores_of_threads(&running.pid.expect("it is ours").to_string());
    assert!(threads.iter().all(|cores| *cores == last), "{threads:?}");
    assert_eq!(cores("thread-self"), ours, "the lab itself is as before");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_are_never_written_down() {
    let database = Database::shared(Backend::Postgres, FEW);
    let url = database.url.replace("poolwise@", "poolwise:geheim@");
    assert!(url.contains("geheim"));
    let config = file(&format!(
        "database = {{ backend = \"postgres\", url = \"{url}\", pool_size = 1, reserve = 100 }}\n\
         cache.redis_url = \"redis://:geheim@127.0.0.1:9\"\nlog.level = \"warn\"\n"
    ));
    let plan = plan(&[("pooled", None), ("shared", Some("access = \"pool\"\ncache = \"redis\""))]);
    let running = started(&[config], &plan).await;
    let mut sampler = Sampler::connect(Watch {
        started: Instant::now(),
        base: running.base.clone(),
        service_pid: running.pid,
        config: running.config.clone(),
        strategies: running.strategies.clone(),
    })
    .await;
    until(&mut sampler, "a connection is seen", |s| s.database.connections >= Some(1)).await;
    let record = running.record(&sampler);
    running.stop().await;
    assert!(record.started_by_the_lab && record.backend.as_deref() == Some("postgres"));
    assert_eq!((record.max_connections, record.reserved_connections), (Some(200), Some(3)));
    assert!(record.versions.contains_key("PostgreSQL") && record.versions.contains_key("poolwise"));
    let config = record.config.as_deref().expect("it is known");
    assert!(config.contains("poolwise:***@") && config.contains("redis://:***@"), "{config}");
    let text = serde_json::to_string(&record).expect("it can be written");
    assert!(!text.contains("geheim"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_running_service_whose_configuration_is_given_everything_is_seen() {
    let setup = Setup::few(Backend::Postgres).subject("\"pool\"", "\"redis\"");
    let setup = setup.with_redis(Redis::shared());
    let service = ServeCommand::start(&setup, &[]);
    service.listens().await;
    service.becomes(200).await;
    let url = format!("http://{}", service.client.0);
    let plan = plan(&[("pooled", None), ("subject", None)]);
    let running = attach(&url, false, &plan, Some(setup.config())).await;
    let running = running.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(running.pid, Some(service.child.id()));
    let mut sampler = Sampler::connect(Watch {
        started: Instant::now(),
        base: running.base.clone(),
        service_pid: running.pid,
        config: running.config.clone(),
        strategies: running.strategies.clone(),
    })
    .await;
    until(&mut sampler, "everything is seen", |sample| {
        [&sample.api, &sample.database, &sample.redis].iter().all(|usage| {
            let Usage { memory_bytes, memory_limit_bytes, connections, .. } = usage;
            let rest = [memory_bytes, memory_limit_bytes, connections];
            usage.cpu_seconds.is_some() && rest.iter().all(|part| part.is_some())
        })
    })
    .await;
    let record = running.record(&sampler);
    assert!(!record.started_by_the_lab && record.versions.contains_key("Redis"));
    running.stop().await;
    assert_eq!(service.client.get("/noop").await.status, 204, "it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_service_is_taken_when_it_has_the_strategies_of_the_plan() {
    let setup = Setup::few(Backend::Sqlite).subject("\"pool\"", "\"memory\"");
    let config = setup.config();
    let service = setup.start().await;
    let url = format!("http://{}", service.client.0);
    let running = attach(&url, false, &plan(&[("subject", None), ("pooled", None)]), None).await;
    let mut running = running.unwrap_or_else(|error| panic!("{error}"));
    assert!(running.is_alive() && running.pid.is_none() && running.config.is_none());
    assert_eq!(running.strategies[0].cache, "memory");
    assert_eq!(running.strategies[0].connections, Some(2));
    running.stop().await;
    assert_eq!(service.client.get("/noop").await.status, 204, "it goes on");
    // The process that listens is that of the tests, as it may be a proxy's.
    let known = attach(&url, false, &plan(&[("pooled", None)]), Some(config)).await;
    assert_eq!(known.unwrap_or_else(|error| panic!("{error}")).pid, None);
    let plan = plan(&[
        ("pooled", None),
        ("wide", Some("access = { kind = \"pool\", size = 64 }")),
        ("other", None),
    ]);
    let Err(error) = attach(&url, false, &plan, None).await else { panic!("two are missing") };
    let text = error.to_string();
    assert!(text.contains("no strategy wide, other") && text.contains("subject"), "{text}");
    assert!(text.contains("[strategies.wide.access]") && text.contains("size = 64"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_none_is_refused_with_a_reason() {
    let plan = plan(&[("pooled", None)]);
    let refused = async |url: &str| {
        let Err(error) = attach(url, false, &plan, None).await else { panic!("{url} is taken") };
        error.to_string()
    };
    let text = refused("http://192.0.2.1:8080").await;
    assert!(text.contains("--allow-remote") && text.contains("20 users"), "{text}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = free.local_addr().expect("it is bound");
    drop(free);
    let text = refused(&format!("http://{address}")).await;
    assert!(text.contains("cannot connect") && text.contains("Is the service running"), "{text}");
    let text = refused("http://127.0.0.1/products").await;
    assert!(text.contains("--url") && text.contains("http://127.0.0.1:8080"), "{text}");
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = other.local_addr().expect("it is bound");
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().expect("somebody comes");
        let _ = stream.read(&mut [0; 1024]);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        stream.write_all(answer).expect("it is there");
    });
    let text = refused(&format!("http://{address}")).await;
    assert!(text.contains("not a Poolwise service"), "{text}");
    answering.join().expect("it does not panic");
}
