//! A real Newman against a real service on PostgreSQL and Redis.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;

use super::root;
use crate::harness::{Backend, Database, MANY, Redis, Service, Setup, folder, long_or, unique};

async fn service() -> Service {
    // One of its own: the contract writes.
    let database = Database::scratch(Backend::Postgres, MANY).await;
    let redis = Redis::shared();
    let settings = r#"
        strategies.cached = { access = "pool", cache = "redis" }
        auth.store = "redis"
    "#;
    Setup::of(&database).with_redis(redis).with(settings).start().await
}

async fn newman(arguments: &[&str]) -> (i32, String, String) {
    let mut command = tokio::process::Command::new(root().join("scripts/newman.sh"));
    let output: Output = command.args(arguments).output().await.expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().expect("it was not killed");
    (code, text(&output.stdout), text(&output.stderr))
}

/// The lines of the table by their first column: requests, errors and rows.
fn table(out: &str) -> BTreeMap<String, (u64, u64, String)> {
    let lines = out.lines().skip_while(|line| !line.starts_with("endpoint "));
    let number = |text: &str| text.replace(',', "").parse().expect("a number");
    lines
        .skip(2)
        .filter(|line| !line.starts_with('-'))
        .filter_map(|line| {
            let cells: Vec<&str> =
                line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
            let [name, requests, _, _, _, _, errors, rows] = cells[..] else { return None };
            Some((name.to_owned(), (number(requests), number(errors), rows.to_owned())))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_and_a_service_with_other_rows_fails_it() {
    let service = service().await;
    let url = format!("http://{}", service.client.0);
    let (code, out, error) = newman(&["--url", &url]).await;
    assert_eq!(code, 0, "{out}\n{error}");
    let lines = table(&out);
    assert!(lines["GET /products/direct"].2.contains("21,000"), "{out}");
    let (requests, errors, _) = &lines["all"];
    assert!(*requests > 45 && *errors == 0, "{out}");
    assert!(out.contains("Through cached"), "{out}");
    assert!(!out.contains("skipped"), "{out}");

    let (code, out, error) = newman(&["--url", &url, "--rows", "2000"]).await;
    assert_eq!(code, 1, "{out}");
    assert!(error.contains("there are 700 products"), "{error}");
    assert!(table(&out)["GET /products/direct"].1 >= 1, "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_experiment_runs_in_as_many_processes_as_clients() {
    let service = service().await;
    let url = format!("http://{}", service.client.0);
    let place: PathBuf = folder().join(unique("newman"));
    let clients = long_or(20_u64, 5);
    let seconds = long_or(60_u64, 4);
    let (n, s) = (clients.to_string(), seconds.to_string());
    let options = ["--folder", "stress", "--limit", "20", "--clients", &n, "--seconds", &s];
    let arguments = [&options[..], &["--url", &url, "--out", place.to_str().unwrap()]].concat();
    let (code, out, error) = newman(&arguments).await;
    assert_eq!(code, 0, "{out}\n{error}");
    let lines = table(&out);
    assert_eq!(lines.len(), 4, "{out}");
    for strategy in ["direct", "pooled", "cached"] {
        let (requests, errors, rows) = &lines[strategy];
        // Each client goes round at least once, however slow the machine.
        assert!(*requests >= clients && *errors == 0 && rows == "20", "{out}");
    }
    // Nobody is faster than the pause allows.
    let most = clients * (seconds * 1000 / 233 + 1);
    assert!(lines["all"].0 <= most, "{} requests, more than {most}", lines["all"].0);
    let counted = service.strategy("direct").meter.requests.get();
    assert_eq!(counted, lines["direct"].0);

    let jtl = std::fs::read_to_string(place.join("requests.jtl")).expect("it was written");
    assert_eq!(jtl.lines().count() as u64, 1 + lines["all"].0);
    let reports = std::fs::read_dir(&place).unwrap().flatten();
    let reports: Vec<PathBuf> = reports
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    assert_eq!(reports.len() as u64, clients);
    let mut executions = 0;
    for report in reports {
        let text = std::fs::read_to_string(&report).expect("it was written");
        let report: serde_json::Value =
            serde_json::from_str(&text).expect("Newman's report is JSON");
        executions +=
            report["run"]["executions"].as_array().expect("it lists requests").len() as u64;
    }
    assert_eq!(executions, lines["all"].0);

    // Two clients of one process; a service that holds 20 products would have 7 for them.
    let options = ["--clients", "2", "--processes", "1", "--seconds", "1", "--rows", "20"];
    let arguments =
        [&["--folder", "stress", "--limit", "20", "--url", &url], &options[..]].concat();
    let (code, out, error) = newman(&arguments).await;
    assert_eq!(code, 1, "{out}\n{error}");
    assert!(out.starts_with("2 clients in 1 process ask "), "{out}");
    assert!(error.contains("20 products instead of 7"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_run_is_said() {
    for (arguments, code, said) in [
        (&["--folder", "unit"][..], 2, "contract and stress"),
        (&["--clients"], 2, "--clients"),
        (&["--pause", "long", "--folder", "stress"], 2, "--pause long"),
        (&["--processes", "0", "--folder", "stress"], 2, "--processes 0"),
        (&["--rows", "50"], 2, "multiple of 20"),
        (&["--url", "localhost"], 2, "http://"),
        (&["--url", "http://127.0.0.1:9"], 1, "Is the service running"),
    ] {
        let (found, out, error) = newman(arguments).await;
        assert_eq!((found, &*out), (code, ""), "{arguments:?}: {error}");
        assert!(error.contains(said), "{said} in {error}");
        assert!(!error.contains("    at "), "no stack: {error}");
    }
}

/// What Postman itself is built on reads the collection and leaves nothing out.
#[tokio::test]
async fn postmans_own_library_reads_every_item() {
    // Installs it, if need be.
    let (code, _, error) = newman(&["--url", "http://127.0.0.1:9"]).await;
    assert!(code == 1 && error.contains("Is the service running"), "{error}");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let script = r#"
        const { Collection, VariableScope } = require('postman-collection');
        const fs = require('node:fs');
        const written = JSON.parse(fs.readFileSync('postman/poolwise.postman_collection.json'));
        const collection = new Collection(written);
        let requests = 0;
        collection.forEachItem((item) => {
            requests += 1;
            if (!item.request.url.toString().startsWith('{{baseUrl}}/')) throw new Error(item.name);
        });
        for (const name of ['local', 'compose']) {
            const scope = new VariableScope(JSON.parse(fs.readFileSync(`postman/${name}.postman_environment.json`)));
            if (!scope.get('baseUrl').startsWith('http')) throw new Error(name);
        }
        console.log(requests);
    "#;
    let output = tokio::process::Command::new("node")
        .env("NODE_PATH", target.join("newman/node_modules"))
        .current_dir(root())
        .args(["-e", script])
        .output()
        .await
        .expect("these tests need Node.js: apt-get install nodejs npm");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let collection = super::read("postman/poolwise.postman_collection.json");
    let requests =
        super::items(&collection).iter().filter(|(_, item)| item.get("request").is_some()).count();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), requests.to_string());
}
