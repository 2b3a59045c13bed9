//! Rules of the source: which module may import which, how long a file may be, and the packages
//! that have to be direct dependencies and used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each module at the top of `src/` may use of the others: imports point one way.
const MAY_IMPORT: [(&str, &[&str]); 17] = [
    ("query", &[]),
    ("catalogue", &["query"]),
    ("rows", &[]),
    ("observe", &[]),
    ("config", &[]),
    ("connector", &["config"]),
    ("redis_client", &["config"]),
    ("encode", &["rows"]),
    (
        "store",
        &["query", "catalogue", "rows", "encode", "config", "connector", "observe", "redis_client"],
    ),
    ("seed", &["rows", "config", "store"]),
    ("auth", &["config", "redis_client", "store", "observe"]),
    ("http", &["query", "catalogue", "encode", "store", "auth", "config", "observe"]),
    ("server", &["encode", "store", "auth", "http", "config", "seed"]),
    ("lab", &["config", "connector", "redis_client"]),
    ("postman", &[]),
    ("version", &[]),
    ("cli", &["store", "auth", "http", "config", "seed", "server", "lab", "postman", "version"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under these folders, with its text.
fn sources(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("sources are UTF-8");
                found.push((path.strip_prefix(root()).expect("it is below").to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// The module at the top of `src/` that a file belongs to.
fn module(path: &Path) -> String {
    let top = path.iter().nth(1).expect("it is under src/");
    Path::new(top).file_stem().expect("it has a name").to_string_lossy().into_owned()
}

/// The modules that a text names after `crate::`, also in groups.
fn imported(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: Vec<&str> = code.collect();
    let code = code.join("\n").replace("$crate::", "crate::");
    let word = |text: &str| -> String {
        text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => {
                let mut depth = 0;
                let end = group.find(|c| {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    depth < 0
                });
                let group = &group[..end.expect("braces are closed")];
                assert!(!group.contains('{'), "write `use crate::{{...}}` without inner groups");
                found.extend(group.split(',').map(word).filter(|name| !name.is_empty()));
            }
            None => drop(found.insert(word(rest))),
        }
    }
    found
}

#[test]
fn imports_point_one_way() {
    let rules: BTreeMap<&str, &[&str]> = MAY_IMPORT.into();
    let mut seen = BTreeSet::new();
    for (path, text) in sources(&["src"]) {
        let module = module(&path);
        if ["lib", "main"].contains(&&*module) {
            continue;
        }
        let allowed = rules.get(&*module);
        let allowed = allowed.unwrap_or_else(|| panic!("give {module} a place in MAY_IMPORT"));
        for other in imported(&text) {
            let inside = other == module;
            assert!(inside || allowed.contains(&&*other), "{} imports {other}", path.display());
        }
        seen.insert(module);
    }
    assert!(rules.keys().all(|module| seen.contains(*module)), "only {seen:?}");
}

#[test]
fn the_import_rule_sees_every_way_to_import() {
    let text = "use crate::store::{a, b};\nuse crate::{http, seed as s};\n// crate::cli\n\
        fn f() -> crate::query::Q {}";
    let expected = ["http", "query", "seed", "store"].map(str::to_owned);
    assert_eq!(imported(text), expected.into());
}

#[test]
fn the_named_packages_are_direct_dependencies_and_used() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("it is there");
    let manifest: toml::Table = manifest.parse().expect("it is TOML");
    let dependencies = manifest["dependencies"].as_table().expect("a table");
    let sources = sources(&["src"]);
    for package in [
        "poem",
        "poem-openapi",
        "tokio-postgres",
        "deadpool-postgres",
        "redis",
        "config",
        "serde",
        "tokio",
        "sysinfo",
    ] {
        assert!(dependencies.contains_key(package), "{package} is not a direct dependency");
        let name = package.replace('-', "_");
        let used = [format!("use {name}::"), format!(" {name}::")];
        let is_used = |text: &str| used.iter().any(|used| text.contains(used));
        assert!(sources.iter().any(|(_, text)| is_used(text)), "{package} is not used");
    }
}

#[test]
fn files_are_short_and_say_what_they_are() {
    for (path, text) in sources(&["src", "tests", "benches", "examples"]) {
        let lines = text.lines().count();
        let most = if path.ends_with("main.rs") && path.starts_with("src") { 60 } else { 500 };
        assert!(lines <= most, "{} has {lines} lines, more than {most}", path.display());
        assert!(text.starts_with("//! "), "{} does not say what it is", path.display());
    }
}
