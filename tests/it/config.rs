//! Configuration: the manual is true, layers do as it says, and every problem is named at once.

use std::path::{Path, PathBuf};

use poolwise::config::{self, Config, DEFAULTS, Environment, Problems};
use poolwise::store::plugin::Plugins;

use crate::harness::{folder, unique};

/// A file of the tests.
pub fn file(text: &str) -> PathBuf {
    let path = folder().join(unique("config")).with_extension("toml");
    std::fs::write(&path, text).expect("the temp folder can be written to");
    path
}

fn load(files: &[&str], environment: &[(&str, &str)]) -> Result<Config, Problems> {
    let files: Vec<PathBuf> = files.iter().map(|text| file(text)).collect();
    config::load(&files, &Environment::of(environment), &Plugins::standard())
}

fn problems(files: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
    load(files, environment).expect_err("it must be refused").0
}

/// The choice of a strategy's access and its options, on one line.
fn access(config: &Config, strategy: &str) -> String {
    let choice = &config.strategy(strategy).expect("it is configured").access;
    let mut options: Vec<String> =
        choice.options.iter().map(|(key, value)| format!("{key}={value}")).collect();
    options.sort();
    [vec![choice.name.clone()], options].concat().join(" ")
}

#[test]
fn every_line_of_the_manual_is_understood() {
    let is_key = |line: &str| {
        let name = line.split_once(" = ").map_or("", |(name, _)| name);
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    let mut shown = 0;
    let lines: Vec<&str> = DEFAULTS
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(key) if is_key(key) || key.starts_with('[') => {
                shown += 1;
                key
            }
            _ => line,
        })
        .collect();
    assert!(shown >= 12, "only {shown} lines were uncommented");
    // The examples are of PostgreSQL; that its url and its parts are both there, and that Redis's
    // files are not, is all that must be wrong with them.
    let found = problems(&[&lines.join("\n")], &[("POOLWISE__DATABASE__BACKEND", "postgres")]);
    let expected = |problem: &&String| {
        let a_file = ["`cache.redis_password_file`", "`cache.redis_root_cert`"];
        problem.contains("are both set") || a_file.iter().any(|key| problem.starts_with(key))
    };
    assert!(found.iter().all(|problem| expected(&problem)), "{found:#?}");
    assert_eq!(found.iter().filter(|problem| problem.contains("are both set")).count(), 2);
}

#[test]
fn every_key_of_the_manual_is_explained() {
    let mut explained = false;
    for line in DEFAULTS.lines() {
        if line.starts_with('#') {
            explained = true;
        } else if line.contains(" = ") && !line.starts_with("cache = ") {
            let sections = ["access = \"direct\"", "access = \"pool\""];
            assert!(explained || sections.contains(&line), "{line} has no comment");
            explained = false;
        }
    }
}

#[test]
fn the_shipped_files_load() {
    for name in ["default.toml", "postgres.toml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
        let loaded = config::load(&[path], &Environment::default(), &Plugins::standard());
        let config = loaded.unwrap_or_else(|problems| panic!("{name}: {problems}"));
        assert!(config.warnings.is_empty(), "{name}: {:?}", config.warnings);
        assert!(name == "default.toml" || config.strategy("cached").unwrap().cache.name == "redis");
    }
}

/// It is read to the end; only the program may lack what it asks for.
#[test]
fn the_file_for_mysql_loads_or_names_the_flag() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join("mysql.toml");
    let loaded = config::load(&[path], &Environment::default(), &Plugins::standard());
    if cfg!(feature = "mysql") {
        let config = loaded.unwrap_or_else(|problems| panic!("{problems}"));
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        assert_eq!(config.strategy("cached").unwrap().cache.name, "redis");
        let dump = config.dump();
        assert!(dump.contains("mysql://poolwise:***@localhost") && !dump.contains("secret"));
    } else {
        let found = loaded.expect_err("it cannot be served").0;
        assert!(found.len() == 1 && found[0].contains("--features mysql"), "{found:?}");
    }
}

#[test]
fn unknown_keys_are_all_named_at_once() {
    let text = r#"
        colour = "red"
        server.lsiten = "127.0.0.1:1"
        database.pool_sise = 4
        strategies.pooled.acess = "pool"
        strategies.extra = { access = { kind = "pool", sizes = 4 }, cache = { store = "memory", tll = "1s" } }
    "#;
    let found = problems(&[text], &[("POOLWISE__CACHE__TLL", "1s")]).join("\n");
    for key in [
        "`colour`",
        "`server.lsiten`",
        "`database.pool_sise`",
        "`strategies.pooled.acess`",
        "`sizes`",
        "`tll`",
        "`cache.tll`",
    ] {
        assert!(found.contains(key), "{key} in {found}");
    }
}

#[test]
fn wrong_types_and_values_are_all_named_at_once() {
    let text = r#"
        server = { max_connections = "many", send_timeout = "soon", listen = "nowhere" }
        database = { pool_size = 0, backend = "oracle", recycle = "never" }
        cache = { ttl_jitter = 2.0, body = 1, max_entry = "big" }
        strategies.extra = { access = "psychic" }
    "#;
    let found = problems(&[text], &[("POOLWISE__SEED__ROWS", "few")]).join("\n");
    for key in [
        "`server.max_connections`",
        "`server.send_timeout`",
        "`server.listen`",
        "`database.pool_size`",
        "`database.backend`",
        "`database.recycle`",
        "`cache.ttl_jitter`",
        "`cache.body`",
        "`cache.max_entry`",
        "`seed.rows`",
        "psychic",
    ] {
        assert!(found.contains(key), "{key} in {found}");
    }
}

#[test]
fn a_later_file_replaces_a_plugin_whole_and_other_tables_key_by_key() {
    let first = r#"
        database = { pool_size = 3, wait_timeout = "1s" }
        strategies.pooled.access = { kind = "pool", size = 9, wait_timeout = "2s" }
        strategies.cached.cache = { store = "memory", ttl = "5s" }
    "#;
    let second = r#"
        database.pool_size = 4
        strategies.pooled.access = { kind = "direct", limit = 7 }
        strategies.cached.cache = "redis"
    "#;
    let config = load(&[first, second], &[]).unwrap();
    assert_eq!(access(&config, "pooled"), "direct limit=7");
    assert!(config.strategy("cached").unwrap().cache.options.is_empty());
    assert_eq!(config.database.pool_size, 4);
    assert_eq!(config.database.wait_timeout.as_secs(), 1);
    assert_eq!(config.strategy("cached").unwrap().access.name, "pool", "what is absent stays");
}

#[test]
fn the_environment_changes_single_keys() {
    let text = "strategies.pool-4.access = { kind = \"pool\", size = 4, wait_timeout = \"2s\" }";
    let environment = [
        ("POOLWISE__STRATEGIES__POOL_4__ACCESS__SIZE", "2"),
        ("POOLWISE__STRATEGIES__POOL_4__CACHE", "memory"),
        ("POOLWISE__STRATEGIES__POOLED__ACCESS__SIZE", "5"),
        ("POOLWISE__STRATEGIES__DIRECT__ACCESS", "pool"),
        ("POOLWISE__DATABASE__POOL_SIZE", "6"),
        ("POOLWISE__SERVER__BODY_BUDGET", "1MiB"),
        ("POOLWISE__CACHE__COALESCE", "false"),
        ("UNRELATED", "1"),
    ];
    let config = load(&[text], &environment).unwrap();
    assert_eq!(access(&config, "pool-4"), "pool size=2 wait_timeout=2s");
    assert_eq!(config.strategy("pool-4").unwrap().cache.name, "memory");
    assert_eq!(access(&config, "pooled"), "pool size=5");
    assert_eq!(access(&config, "direct"), "pool");
    assert_eq!(config.database.pool_size, 6);
    assert_eq!((config.server.body_budget, config.cache.coalesce), (1024 * 1024, false));
}

const PARTS: &str = "database = { backend = \"postgres\", host = \"db\", user = \"u@v\" }";

#[test]
fn a_password_is_taken_as_it_is_written() {
    let config = load(&[PARTS], &[("POOLWISE__DATABASE__PASSWORD", "007")]).unwrap();
    assert_eq!(config.database.url.expose(), "postgres://u%40v:007@db:5432/poolwise");
    let secret = file("p@ss/word\nsecond line\n");
    let environment = [("POOLWISE__DATABASE__PASSWORD_FILE", secret.to_str().unwrap())];
    let config = load(&[PARTS], &environment).unwrap();
    assert_eq!(config.database.url.expose(), "postgres://u%40v:p%40ss%2Fword@db:5432/poolwise");
}

#[test]
fn contradictions_are_refused() {
    let url = "POOLWISE__DATABASE__URL";
    let both = problems(&[PARTS], &[(url, "postgres://localhost/a")]).join("\n");
    assert!(both.contains("`database.url`") && both.contains("`database.host`"), "{both}");
    let file = ("POOLWISE__DATABASE__PASSWORD_FILE", "/nowhere/secret");
    let two = problems(&[PARTS], &[("POOLWISE__DATABASE__PASSWORD", "a"), file]).join("\n");
    assert!(two.contains("password_file` are both set"), "{two}");
    assert!(problems(&[PARTS], &[file]).join("\n").contains("/nowhere/secret cannot be read"));
    assert!(problems(&["database.host = \"db\""], &[])[0].contains("SQLite"));
    assert!(problems(&["database.backend = \"postgres\""], &[])[0].contains("must be set"));
    let wrong = problems(&["database.url = \"postgres://u:hush@h/d\""], &[]).join("\n");
    assert!(wrong.contains("sqlite:") && !wrong.contains("hush"), "{wrong}");
    assert!(
        problems(&["strategies.Bad_Name.access = \"pool\""], &[])[0].contains("a-z, 0-9 and -")
    );
}

#[test]
fn a_file_that_cannot_be_read_is_fatal() {
    let missing = config::load(
        &["/nowhere/poolwise.toml".into()],
        &Environment::default(),
        &Plugins::standard(),
    );
    let found = missing.expect_err("it must be refused").0;
    assert!(found.len() == 1 && found[0].starts_with("/nowhere/poolwise.toml cannot be read"));
    assert!(problems(&["[server\n"], &[])[0].contains("is not valid TOML"));
}

#[test]
fn a_dump_shows_everything_but_passwords() {
    let text = r#"
        database = { backend = "postgres", url = "postgres://u:hush@h/d?password=hush" }
        cache.redis_url = "redis://:hush@r:6379"
        strategies.far = { access = "pool", database_url = "postgres://u:hush@far/d" }
    "#;
    let dump = load(&[text], &[]).unwrap().dump();
    assert!(!dump.contains("hush"), "{dump}");
    let again: toml::Table = dump.parse().expect("a dump is TOML");
    assert_eq!(again["database"]["url"].as_str(), Some("postgres://u:***@h/d?password=***"));
    assert_eq!(again["server"]["send_timeout"].as_str(), Some("10s"));
    let parts = load(&[PARTS], &[("POOLWISE__DATABASE__PASSWORD", "00hush")]).unwrap().dump();
    assert!(!parts.contains("hush"), "{parts}");
}

#[test]
fn unwise_combinations_are_warned_of_with_the_arithmetic() {
    let text = r#"
        server = { body_buffer = "9MiB", body_budget = "1MiB", request_timeout = "1s" }
        cache = { max_entry = "16MiB", memory_size = "2MiB" }
    "#;
    let warnings = load(&[text], &[]).unwrap().warnings.join("\n");
    for part in ["9.0 MiB", "16.0 MiB", "2.0 MiB", "= 10s"] {
        assert!(warnings.contains(part), "{part} in {warnings}");
    }
}
