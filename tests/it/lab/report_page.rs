//! The page of a report as a browser reads it. It is well-formed XML too, so it is parsed as such.

use std::collections::{BTreeMap, BTreeSet};

use poolwise::lab::report;
use poolwise::lab::verdict::{CellRef, Figure, Meaning};
use roxmltree::{Document, Node, ParsingOptions};

use super::report::all;
use super::{synthetic_analysis, synthetic_report};

fn parsed(html: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(html, options).unwrap_or_else(|error| {
        panic!("{error}: {:?}", html.lines().nth(error.pos().row as usize - 1))
    })
}

fn named<'a, 'i>(page: &'a Document<'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    page.descendants().filter(move |node| node.has_tag_name(name))
}

fn text(node: Node<'_, '_>) -> String {
    let texts = node.descendants().filter(Node::is_text).filter_map(|node| node.text());
    texts.collect::<String>().trim().to_owned()
}

/// The number of a cell without its interval, by the cell's id.
fn cells(page: &Document<'_>) -> BTreeMap<String, String> {
    let cells = named(page, "td").filter_map(|cell| Some((cell.attribute("id")?, cell)));
    cells.map(|(id, cell)| (id.to_owned(), cell.text().unwrap_or("").trim().to_owned())).collect()
}

#[test]
fn ids_are_unique_and_every_link_has_its_target() {
    for (name, run, analysis) in all() {
        let html = report::html(&run, &analysis);
        let page = parsed(&html);
        let ids: Vec<&str> = page.descendants().filter_map(|node| node.attribute("id")).collect();
        let unique: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), unique.len(), "{name}");
        let mut links = 0;
        for link in named(&page, "a") {
            let href = link.attribute("href").expect("a link leads somewhere");
            let target = href.strip_prefix('#').expect("a report has links into itself only");
            assert!(unique.contains(target), "{name}: nothing has the id {target:?}");
            links += 1;
        }
        assert!(links >= 7, "{name}");
    }
}

#[test]
fn cells_whose_names_give_the_same_anchor_get_different_ids() {
    let run = synthetic_report::case();
    let mut analysis = synthetic_analysis::case(&run);
    analysis.tables[0].rows[0].strategy = "one two".to_owned();
    analysis.tables[0].rows[1].strategy = "one/two".to_owned();
    let html = report::html(&run, &analysis);
    let cells = cells(&parsed(&html));
    let figures: usize = analysis.tables[0].rows.iter().map(|row| row.figures.len()).sum();
    assert_eq!(cells.len(), figures);
}

#[test]
fn nothing_is_loaded_from_anywhere_and_nothing_is_run() {
    for (name, run, analysis) in all() {
        let html = report::html(&run, &analysis);
        let page = parsed(&html);
        for node in page.descendants().filter(Node::is_element) {
            assert_ne!(node.tag_name().name(), "script", "{name}");
            for attribute in node.attributes() {
                let (key, value) = (attribute.name(), attribute.value());
                assert!(!key.starts_with("on"), "{name}: {key}");
                if ["src", "href", "srcset", "data"].contains(&key) {
                    let inside = value.starts_with('#') || value == "data:,";
                    assert!(inside, "{name}: {key}={value:?}");
                }
            }
        }
        let style = named(&page, "style").map(text).collect::<String>();
        assert!(!style.contains("url(") && !style.contains("@import"), "{name}");
    }
}

#[test]
fn the_csv_has_every_cell_of_the_page_with_the_same_number() {
    for (name, run, analysis) in all() {
        let html = report::html(&run, &analysis);
        let shown = cells(&parsed(&html));
        let csv = report::csv(&run, &analysis);
        let mut listed = BTreeMap::new();
        for line in csv::Reader::from_reader(csv.as_bytes()).records() {
            let line = line.expect("it is CSV");
            let Ok(value) = line[5].parse::<f64>() else { continue };
            if &line[0] == "figure" {
                let figure: Figure = line[3].parse().expect("it is a figure");
                let (point, strategy) = (line[1].to_owned(), line[2].to_owned());
                let cell = CellRef { point, strategy, figure };
                listed.insert(cell.anchor(), report::figure(figure, value));
            }
        }
        assert!(shown.len() > 20, "{name}");
        assert_eq!(shown, listed, "{name}");
    }
}

#[test]
fn every_numbered_link_names_the_number_that_stands_in_its_cell() {
    let run = synthetic_report::case();
    let analysis = synthetic_analysis::case(&run);
    let html = report::html(&run, &analysis);
    let page = parsed(&html);
    let cells = cells(&page);
    let mut numbers: BTreeMap<String, String> = BTreeMap::new();
    for link in named(&page, "sup").flat_map(|sup| sup.children().filter(Node::is_element)) {
        let id = &link.attribute("href").expect("it is a link")[1..];
        let title = link.attribute("title").expect("it says where it leads");
        assert!(title.ends_with(&format!(" = {}", cells[id])), "{title:?}, {:?}", cells[id]);
        let number = numbers.entry(id.to_owned()).or_insert_with(|| text(link)).clone();
        assert_eq!(number, text(link), "a cell has one number");
    }
    let unique: BTreeSet<&String> = numbers.values().collect();
    assert_eq!(unique.len(), numbers.len());
    assert!(numbers.len() >= 8, "{numbers:?}");
}

#[test]
fn every_chart_has_words_and_stays_inside_its_edges() {
    for (name, run, analysis) in all() {
        let html = report::html(&run, &analysis);
        let page = parsed(&html);
        let charts: Vec<Node<'_, '_>> = named(&page, "svg").collect();
        assert!(charts.len() >= 4, "{name} has {} charts", charts.len());
        for chart in charts {
            assert_eq!(chart.attribute("role"), Some("img"));
            for part in ["title", "desc"] {
                let part = chart.children().find(|node| node.has_tag_name(part));
                assert!(!text(part.expect("it is there")).is_empty(), "{name}");
            }
            let size = chart.attribute("viewBox").expect("it has a size");
            let size: Vec<f64> = size.split(' ').map(|n| n.parse().expect("a number")).collect();
            let data = chart
                .descendants()
                .filter(|node| ["polyline", "circle", "rect"].contains(&node.tag_name().name()));
            assert!(data.count() > 3, "{name}: an empty chart {:?}", text(chart));
            for (x, y) in chart.descendants().flat_map(places) {
                let inside = (0.0..=size[2]).contains(&x) && (0.0..=size[3]).contains(&y);
                assert!(inside, "{name}: ({x}, {y}) is outside of {size:?}");
            }
            assert!(!chart.document().input_text().contains("#01"), "{name}: a raw colour");
        }
    }
}

/// Every place that a shape of a chart names.
fn places(shape: Node<'_, '_>) -> Vec<(f64, f64)> {
    let number = |name: &str| shape.attribute(name).map(|n| n.parse().expect("a number"));
    let mut places = Vec::new();
    for (x, y) in [("x", "y"), ("cx", "cy"), ("x1", "y1"), ("x2", "y2")] {
        places.extend(number(x).zip(number(y)));
    }
    for pair in shape.attribute("points").unwrap_or("").split_whitespace() {
        let (x, y) = pair.split_once(',').expect("a pair");
        places.push((x.parse().expect("a number"), y.parse().expect("a number")));
    }
    places
}

#[test]
fn a_run_without_data_has_no_charts_and_says_why() {
    let mut run = synthetic_report::case();
    run.blocks.clear();
    run.idle.clear();
    let mut analysis = synthetic_analysis::case(&run);
    analysis.tables[0].rows.iter_mut().for_each(|row| row.figures.clear());
    analysis.tables[0].comparisons.clear();
    let html = report::html(&run, &analysis);
    let page = parsed(&html);
    assert_eq!(named(&page, "svg").count(), 0);
    assert!(html.contains("No chart “Distribution of response times”: No strategy has enough"));

    analysis.tables.clear();
    analysis.verdict.clear();
    let html = report::html(&run, &analysis);
    parsed(&html);
    assert!(html.contains("No block ended: there are no figures."));
    assert!(html.contains("Nothing was measured that a verdict could rest on."));
}

#[test]
fn names_and_sentences_cannot_become_markup() {
    let evil = "<script>alert(1)</script>";
    let mut run = synthetic_report::case();
    let mut analysis = synthetic_analysis::case(&run);
    run.plan.title = evil.to_owned();
    run.plan.strategies[0].name = evil.to_owned();
    run.plan.strategies[0].definition = Some(evil.to_owned());
    run.target.config = Some(evil.to_owned());
    run.blocks.iter_mut().for_each(|block| block.lanes[0].strategy = evil.to_owned());
    analysis.tables[0].rows[0].strategy = evil.to_owned();
    analysis.tables[0].load = evil.to_owned();
    analysis.warnings[0].fact = format!("{evil} `{evil}` `");
    analysis.conclusions[0].text = format!("`{evil}`");
    let html = report::html(&run, &analysis);
    let page = parsed(&html);
    assert_eq!(named(&page, "script").count(), 0);
    assert!(html.matches("&lt;script&gt;").count() >= 8);
    assert_eq!(text(named(&page, "h1").next().expect("there is one")), evil);
    // What is indented or between backticks is code in Markdown, and shown as it is.
    let markdown = report::markdown(&run, &analysis);
    for line in markdown.lines().filter(|line| line.contains("<script>")) {
        assert!(line.starts_with("    ") || line.contains(&format!("`{evil}`")), "{line}");
    }
    let index = report::index(&[("a run", &run, &analysis)]);
    assert_eq!(named(&parsed(&index), "script").count(), 0);
}

#[test]
fn a_ratio_with_a_void_figure_is_never_called_better() {
    let run = synthetic_report::case();
    let analysis = synthetic_analysis::case(&run);
    let better = analysis.tables[0].comparisons[0].ratios.values();
    assert!(better.filter(|ratio| ratio.meaning == Meaning::Better).count() > 3);
    let html = report::html(&run, &analysis);
    let page = parsed(&html);
    let called =
        |class| named(&page, "td").filter(|cell| cell.attribute("class") == Some(class)).count();
    assert_eq!((called("better"), called("worse")), (0, 0), "the baseline of all of them is void");

    let (run, analysis) = (synthetic_report::sweep(), synthetic_analysis::sweep);
    let html = report::html(&run, &analysis(&run));
    let page = parsed(&html);
    let called =
        |class| named(&page, "td").filter(|cell| cell.attribute("class") == Some(class)).count();
    assert!(called("better") > 3 && called("worse") > 3);
}

#[test]
fn an_overview_leads_to_each_run_in_its_order() {
    let all = all();
    let folders = ["01-case", "02 sweep#1", "03-spike"];
    let runs: Vec<_> = folders.into_iter().zip(&all).map(|(f, (_, run, a))| (f, run, a)).collect();
    let index = report::index(&runs);
    let page = parsed(&index);
    let pages = named(&page, "a").filter_map(|link| link.attribute("href"));
    let pages: Vec<&str> = pages.filter(|href| href.ends_with("html")).collect();
    let expected =
        ["./01-case/report.html", "./02%20sweep%231/report.html", "./03-spike/report.html"];
    assert_eq!(pages, expected);
    assert!(index.contains(&all[0].2.verdict[0].text) && index.contains("VOID"));
    assert!(report::index(&[]).contains("No run has ended yet."));
}
