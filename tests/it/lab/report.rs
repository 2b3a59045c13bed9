//! The reports as files: golden ones, Markdown, CSV, the three together, and the overview.

use std::path::PathBuf;

use poolwise::lab::record::RunRecord;
use poolwise::lab::report;
use poolwise::lab::verdict::{Analysis, CellRef, Figure, analyse};

use super::{synthetic_analysis, synthetic_report};

/// Every synthetic run with its analysis, by name.
pub fn all() -> Vec<(&'static str, RunRecord, Analysis)> {
    let (case, sweep, spike) =
        (synthetic_report::case(), synthetic_report::sweep(), synthetic_report::spike());
    let analyses = (
        synthetic_analysis::case(&case),
        synthetic_analysis::sweep(&sweep),
        synthetic_analysis::spike(&spike),
    );
    let (embedded, of_embedded) = synthetic_analysis::embedded();
    vec![
        ("case", case, analyses.0),
        ("sweep", sweep, analyses.1),
        ("spike", spike, analyses.2),
        ("embedded", embedded, of_embedded),
    ]
}

/// The three texts of a run with the names of their files.
fn texts(run: &RunRecord, analysis: &Analysis) -> [(&'static str, String); 3] {
    [
        ("report.html", report::html(run, analysis)),
        ("report.md", report::markdown(run, analysis)),
        ("tables.csv", report::csv(run, analysis)),
    ]
}

/// With `POOLWISE_BLESS=1` the files are written anew: look at the difference before it is committed.
#[test]
fn the_reports_of_a_run_file_are_the_golden_ones() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/lab/golden");
    let file = folder.join("run.json");
    let bless = std::env::var_os("POOLWISE_BLESS").is_some();
    if bless {
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        synthetic_report::case().write(&file).expect("the folder can be written to");
    }
    let run = RunRecord::read(&file).expect("the golden run can be read");
    assert_eq!(run, synthetic_report::case(), "run.json is not what was recorded");
    let analysis = analyse(&run);
    for (name, text) in texts(&run, &analysis) {
        let file = folder.join(name);
        if bless {
            std::fs::write(&file, &text).expect("the folder can be written to");
        }
        let golden = std::fs::read_to_string(&file).expect("the golden file is there");
        let differs = golden.lines().zip(text.lines()).position(|(golden, text)| golden != text);
        assert!(
            golden == text,
            "{name} differs from line {:?}: if that is right, POOLWISE_BLESS=1 writes it anew",
            differs.map(|line| line + 1)
        );
    }
}

#[test]
fn the_same_run_gives_the_same_texts_again_and_after_json() {
    for (name, run, analysis) in all() {
        let json = serde_json::to_string(&run).expect("it can be written");
        let read: RunRecord = serde_json::from_str(&json).expect("and read");
        assert_eq!(texts(&run, &analysis), texts(&read, &analysis), "{name}");
    }
}

#[test]
fn a_report_is_smaller_than_a_megabyte() {
    for (name, run, analysis) in all() {
        let bytes = report::html(&run, &analysis).len();
        assert!((10_000..1_000_000).contains(&bytes), "{name}: {bytes} bytes");
    }
}

#[test]
fn the_csv_has_every_figure_once_and_what_is_not_known_is_empty() {
    for (name, run, analysis) in all() {
        let text = report::csv(&run, &analysis);
        let mut csv = csv::Reader::from_reader(text.as_bytes());
        let header = csv.headers().expect("there is one").clone();
        let column = |name: &str| header.iter().position(|h| h == name).expect("it is there");
        let lines: Vec<csv::StringRecord> =
            csv.records().map(|line| line.expect("every line is as long")).collect();
        for table in &analysis.tables {
            for row in &table.rows {
                for figure in Figure::ALL.iter().filter(|figure| figure.is_of(&run.plan)) {
                    let key = ["figure", &table.point, &row.strategy, figure.name()];
                    let names = ["section", "point", "strategy", "figure"].map(column);
                    let found: Vec<_> = lines
                        .iter()
                        .filter(|line| names.iter().zip(key).all(|(at, key)| &line[*at] == key))
                        .collect();
                    let [line] = found[..] else {
                        panic!("{name}: {key:?} is there {} times", found.len())
                    };
                    let known = row.figures.get(figure);
                    let value = line[column("value")].parse::<f64>().ok();
                    assert_eq!(value, known.map(|known| known.value), "{name}: {key:?}");
                    let low = line[column("low")].parse::<f64>().ok();
                    assert_eq!(
                        low,
                        known.and_then(|known| known.interval).map(|interval| interval.0)
                    );
                    assert_eq!(&line[column("stamp")], row.stamp.level.word());
                    assert_eq!(
                        known.is_none(),
                        !line[column("note")].is_empty(),
                        "{name}: {key:?}"
                    );
                }
            }
        }
        assert!(!text.contains("NaN") && !text.contains("inf"), "{name}");
    }
}

#[test]
fn every_table_in_markdown_has_as_many_cells_in_each_line() {
    for (name, run, analysis) in all() {
        let markdown = report::markdown(&run, &analysis);
        let mut tables = 0;
        let mut expected = None;
        for line in markdown.lines() {
            if !line.starts_with('|') {
                expected = None;
                continue;
            }
            let cells = line.replace("\\|", "").matches('|').count();
            tables += usize::from(expected.is_none());
            assert_eq!(*expected.get_or_insert(cells), cells, "{name}: {line}");
        }
        assert!(tables >= 4, "{name} has {tables} tables");
        for row in analysis.tables.iter().flat_map(|table| &table.rows) {
            for (figure, estimate) in &row.figures {
                let shown = report::figure(*figure, estimate.value);
                assert!(markdown.contains(&format!("| {shown}")), "{name}: {shown} is missing");
            }
        }
    }
}

#[test]
fn figures_that_are_not_there_are_said_to_be_so_and_never_nought_or_nan() {
    let (run, analysis) = synthetic_analysis::embedded();
    let markdown = report::markdown(&run, &analysis);
    assert!(markdown.contains("Database: none in this set-up: SQLite runs inside the service"));
    assert!(
        markdown.contains("| CPU (of a core) | not visible from here | not visible from here |")
    );
    assert!(markdown.contains("| cache hit rate | – | – |"), "{markdown}");
    for (name, text) in texts(&run, &analysis) {
        assert!(!text.contains("NaN"), "{name}");
    }

    let (mut run, mut analysis) = (synthetic_report::case(), None);
    run.plan.mixed = true;
    let table = analysis.insert(synthetic_analysis::case(&run)).tables.first_mut().expect("one");
    table.mixed = true;
    table
        .rows
        .iter_mut()
        .for_each(|row| row.figures.retain(|f, _| f.name().starts_with("latency")));
    let markdown = report::markdown(&run, analysis.as_ref().expect("it was made"));
    assert!(markdown.contains("| CPU (of a core) | mixed | mixed | mixed |"), "{markdown}");
    assert!(markdown.contains("\"mixed\": cannot be told apart when mixed."));
}

#[test]
fn a_figure_whose_value_is_no_number_is_shown_as_none() {
    let run = synthetic_report::case();
    let mut analysis = synthetic_analysis::case(&run);
    let row = &mut analysis.tables[0].rows[0];
    let estimate = row.figures.get_mut(&Figure::LatencyP50).expect("it is known");
    (estimate.value, estimate.interval) = (f64::NAN, Some((f64::NAN, f64::INFINITY)));
    for (name, text) in texts(&run, &analysis) {
        assert!(!text.contains("NaN") && !text.contains("inf,"), "{name}");
    }
    assert!(report::markdown(&run, &analysis).contains("| p50 | – | 39.0 ms"));
}

#[test]
fn the_three_files_are_written_whole_or_not_at_all() {
    let (run, analysis) = synthetic_analysis::embedded();
    let folder = tempfile::tempdir().expect("there is room");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).ok();
    std::fs::write(folder.path().join("report.html"), "an older one").expect("it can be written");
    // The last of the three cannot be written: something is in its way.
    std::fs::create_dir(folder.path().join("tables.csv.part")).expect("it can be made");
    report::write(&run, &analysis, folder.path()).expect_err("it must fail");
    assert_eq!(read("report.html").as_deref(), Some("an older one"));
    assert_eq!((read("report.md"), read("report.md.part")), (None, None));

    std::fs::remove_dir(folder.path().join("tables.csv.part")).expect("it can be removed");
    report::write(&run, &analysis, folder.path()).expect("it can be written now");
    for (name, text) in texts(&run, &analysis) {
        assert_eq!(read(name).as_deref(), Some(&*text), "{name}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 3);
}

#[test]
fn an_anchor_is_the_one_that_a_cell_says() {
    let run = synthetic_report::case();
    let html = report::html(&run, &synthetic_analysis::case(&run));
    let cell = |strategy: &str, figure| CellRef {
        point: "load".to_owned(),
        strategy: strategy.to_owned(),
        figure,
    };
    for cell in [cell("direct", Figure::Rate), cell("cached", Figure::RedisCpuCost)] {
        assert!(html.contains(&format!("<td id=\"{}\"", cell.anchor())), "{}", cell.anchor());
    }
}
