//! `/metrics`, what Prometheus makes of it, and what Grafana asks.

#[cfg(feature = "mysql")]
mod answered;
mod bounded;
mod compose_stats;
mod counted;
mod dashboard;
mod documented;
mod pool;
mod process;
mod promtool;
mod rules;
#[cfg(feature = "mysql")]
mod stack;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::harness::Client;

/// A file of the project.
fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(project(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

type Labels = BTreeMap<String, String>;

/// What `/metrics` said at one moment.
#[derive(Debug)]
struct Scrape {
    text: String,
    /// The type of each family.
    types: BTreeMap<String, String>,
    samples: Vec<(String, Labels, f64)>,
}

impl Scrape {
    async fn of(client: Client) -> Self {
        let answer = client.get("/metrics").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        Self::parse(std::str::from_utf8(&answer.body).expect("it is text"))
    }

    fn parse(text: &str) -> Self {
        let mut types = BTreeMap::new();
        let mut samples = Vec::new();
        for line in text.lines() {
            if let Some(described) = line.strip_prefix("# TYPE ") {
                let (name, kind) = described.split_once(' ').expect("a name and a type");
                let before = types.insert(name.to_owned(), kind.to_owned());
                assert!(before.is_none(), "{name} is described twice");
            } else if !line.starts_with('#') {
                samples.push(sample(line));
            }
        }
        Self { text: text.to_owned(), types, samples }
    }

    /// The series of this name with at least these labels.
    fn all<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&str, &str)],
    ) -> impl Iterator<Item = (&'a Labels, f64)> {
        self.samples.iter().filter_map(move |(of, found, value)| {
            let fits = |(key, value): &(&str, &str)| found.get(*key).is_some_and(|is| is == value);
            (of == name && labels.iter().all(fits)).then_some((found, *value))
        })
    }

    /// The sum of those.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.all(name, labels).map(|(_, value)| value).sum()
    }

    /// The one of this name with these labels.
    fn one(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found: Vec<_> = self.all(name, labels).collect();
        let [(_, value)] = found[..] else { panic!("{name} {labels:?} gives {found:?}") };
        value
    }

    /// The names of all families.
    fn names(&self) -> BTreeSet<String> {
        self.types.keys().cloned().collect()
    }
}

/// One line of the text format. No label here has anything that is escaped.
fn sample(line: &str) -> (String, Labels, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
    let value = value.parse().unwrap_or_else(|error| panic!("{line:?}: {error}"));
    let Some((name, labels)) = series.split_once('{') else {
        return (series.to_owned(), Labels::new(), value);
    };
    let labels = labels.strip_suffix("\"}").unwrap_or_else(|| panic!("{line:?}"));
    let labels = labels.split("\",").map(|label| {
        let (key, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line:?}"));
        (key.to_owned(), value.to_owned())
    });
    (name.to_owned(), labels.collect(), value)
}

/// Scrapes until it `holds`: an answer is counted when its last byte has left, so perhaps after it came.
async fn scrape_until(client: Client, what: &str, holds: impl Fn(&Scrape) -> bool) -> Scrape {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let scrape = Scrape::of(client).await;
        if holds(&scrape) {
            return scrape;
        }
        assert!(Instant::now() < deadline, "never came true: {what}\n{}", scrape.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
