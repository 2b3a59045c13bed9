//! The JSON schema of the configuration, asked by a validator of JSON schemas, and held against what the program
//! itself takes and refuses.

use std::path::{Path, PathBuf};

use jsonschema::Validator;
use poolwise::config::{self, DEFAULTS, Environment};
use poolwise::store::plugin::Plugins;
use serde_json::Value;

use crate::command::outcome;
use crate::config::file;

const HINT: &str = "#:schema ./poolwise.schema.json\n";

fn validator() -> Validator {
    let plugins = Plugins::standard();
    let schema = config::schema(&plugins.access_shapes(), &plugins.cache_shapes());
    jsonschema::draft7::meta::validate(&schema).expect("it is a JSON schema");
    jsonschema::draft7::new(&schema).expect("it is a JSON schema")
}

/// What the schema has against a text, each with its place.
fn objections(toml: &str) -> Vec<String> {
    let table: toml::Table = toml.parse().expect("it is TOML");
    let value: Value = serde_json::to_value(table).expect("TOML is JSON");
    validator().iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

/// What the program has against it.
fn refusals(toml: &str) -> Vec<String> {
    let loaded = config::load(&[file(toml)], &Environment::default(), &Plugins::standard());
    loaded.err().map(|problems| problems.0).unwrap_or_default()
}

#[test]
fn the_exported_schema_is_up_to_date() {
    let (code, out, error) = outcome(&["config", "schema", "--check"]);
    assert_eq!((code, &*error), (0, ""));
    assert!(out.contains("up to date"), "{out}");
}

/// Every TOML file of `config/` and `deploy/` that is a configuration.
fn shipped() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(root.join("config")).expect("it is there").flatten();
    let files = files.map(|entry| entry.path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .filter(|path| !path.ends_with("claims.toml"))
        .collect()
}

#[test]
fn every_shipped_file_names_the_schema_and_keeps_to_it() {
    let files = shipped();
    assert!(files.len() >= 3, "{files:?}");
    for path in files {
        let text = std::fs::read_to_string(&path).expect("it is text");
        assert!(text.starts_with(HINT), "{} does not begin with {HINT}", path.display());
        assert_eq!(objections(&text), Vec::<String>::new(), "{}", path.display());
    }
}

#[test]
fn the_manual_with_every_line_uncommented_keeps_to_it() {
    let is_key = |line: &str| {
        let name = line.split_once(" = ").map_or("", |(name, _)| name);
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    let lines: Vec<&str> = DEFAULTS
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(key) if is_key(key) || key.starts_with('[') => key,
            _ => line,
        })
        .collect();
    assert_eq!(objections(&lines.join("\n")), Vec::<String>::new());
}

/// What is wrong by itself; the schema and the program agree.
#[test]
fn what_the_program_refuses_the_schema_refuses() {
    for (toml, place) in [
        ("colour = 1", "colour"),
        ("[server]\nlsiten = \"127.0.0.1:1\"", "lsiten"),
        ("database.pool_sise = 4", "pool_sise"),
        ("database.pool_size = \"many\"", "/database/pool_size"),
        ("database.pool_size = -1", "/database/pool_size"),
        ("database.port = 65536", "/database/port"),
        ("database.backend = \"oracle\"", "/database/backend"),
        ("database.sslmode = \"VERIFY\"", "/database/sslmode"),
        ("server.send_timeout = \"soon\"", "/server/send_timeout"),
        ("server.send_timeout = 5", "/server/send_timeout"),
        ("server.body_buffer = \"big\"", "/server/body_buffer"),
        ("cache.coalesce = \"perhaps\"", "/cache/coalesce"),
        ("log.format = \"xml\"", "/log/format"),
        ("strategies.Bad_Name.access = \"pool\"", "Bad_Name"),
        ("strategies.extra.acess = \"pool\"", "acess"),
        ("strategies.extra.access = \"psychic\"", "/strategies/extra/access"),
        ("strategies.extra.access = { kind = \"pool\", sizes = 4 }", "/strategies/extra/access"),
        ("strategies.extra.access = { kind = \"direct\", size = 4 }", "/strategies/extra/access"),
        (
            "strategies.extra = { access = \"pool\", cache = { store = \"tiered\", tll = \"1s\" } }",
            "/cache",
        ),
    ] {
        let found = objections(toml);
        assert!(found.iter().any(|one| one.contains(place)), "{toml}: {found:?}");
        assert!(!refusals(toml).is_empty(), "the program takes {toml}");
    }
}

#[test]
fn what_the_program_takes_the_schema_takes() {
    for toml in [
        "",
        "server = { send_timeout = \"1m 30s\", body_budget = 0, body_buffer = \"64 MiB\" }",
        "server = { drain_delay = \"0s\", cors_origins = [\"https://shop.example\"], listen = \"[::1]:0\" }",
        "cache = { ttl = \"250ms\", max_entry = 1048576, memory_size = \"1GB\", ttl_jitter = 0 }",
        "seed = { auto = false, rows = 20 }",
        "strategies.pool-4 = { access = { kind = \"pool\", size = 4, wait_timeout = \"2s\" }, cache = { store = \"tiered\", ttl = \"5s\" } }",
        "strategies.once = { access = { kind = \"direct\", limit = 50 }, cache = { store = \"none\", coalesce = true } }",
    ] {
        assert_eq!(objections(toml), Vec::<String>::new(), "{toml}");
        assert_eq!(refusals(toml), Vec::<String>::new(), "{toml}");
    }
}

#[test]
fn it_explains_keys_and_names_their_defaults() {
    let plugins = Plugins::standard();
    let schema = config::schema(&plugins.access_shapes(), &plugins.cache_shapes());
    let key = |section: &str, key: &str| &schema["properties"][section]["properties"][key];
    let pool_size = key("database", "pool_size");
    assert_eq!(pool_size["default"], 8);
    assert!(pool_size["description"].as_str().unwrap().starts_with("Connections of each pool"));
    let url = key("database", "url");
    assert!(url.get("default").is_none() && url["examples"][0].as_str().unwrap().contains("://"));
    let listen = key("server", "listen")["description"].as_str().unwrap();
    assert!(listen.ends_with("A change takes effect at the next start."), "{listen}");
    assert!(!listen.contains("(restart)"), "{listen}");
    let choices = &schema["properties"]["strategies"]["additionalProperties"]["properties"]["access"]
        ["anyOf"];
    assert_eq!(choices[0]["enum"], serde_json::json!(["direct", "pool", "shared"]));
}
