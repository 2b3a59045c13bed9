//! How fast rows become JSON: the encoder alone, over the 21,000 rows that most measurements ask
//! for, made beforehand. `cargo bench --bench encoder`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use poolwise::encode::{JsonRows, Layout};
use poolwise::rows::Cell;
use poolwise::seed::{Products, THE_CATEGORY};
use poolwise::store::backend::{COLUMNS, ProductFeed, ProductRow};

const ROWS: u64 = 60_000;
const SEED: u64 = 42;
const CATEGORY: usize = 3;

/// The products of [`THE_CATEGORY`]. Their texts are leaked, so that the rows outlive the feed:
/// there is one set of them in a process.
fn products() -> Vec<ProductRow<'static>> {
    let mut feed = Products::new(ROWS, SEED);
    let mut rows = Vec::new();
    while let Some(row) = feed.next_row() {
        if row[CATEGORY] == Cell::Text(THE_CATEGORY) {
            rows.push(row.map(owned));
        }
    }
    rows
}

fn owned(cell: Cell<'_>) -> Cell<'static> {
    match cell {
        Cell::Text(text) => Cell::Text(text.to_owned().leak()),
        Cell::Unchecked(bytes) => Cell::Unchecked(bytes.to_owned().leak()),
        Cell::Null => Cell::Null,
        Cell::Bool(value) => Cell::Bool(value),
        Cell::Int(value) => Cell::Int(value),
        Cell::Decimal { unscaled, scale } => Cell::Decimal { unscaled, scale },
        Cell::Timestamp(micros) => Cell::Timestamp(micros),
    }
}

fn encode(rows: &[ProductRow<'_>], out: &mut Vec<u8>) {
    let mut json = JsonRows::new(&COLUMNS, Layout::Array);
    json.begin(out);
    for row in rows {
        json.row(out, row);
    }
    json.end(out);
}

fn encoder(criterion: &mut Criterion) {
    let rows = products();
    let mut out = Vec::new();
    encode(&rows, &mut out);
    let bytes = out.len() as u64;
    // The same work twice: Criterion knows one unit a measurement.
    for (name, throughput) in [
        ("megabytes", Throughput::BytesDecimal(bytes)),
        ("rows", Throughput::Elements(rows.len() as u64)),
    ] {
        let mut group = criterion.benchmark_group("encoder");
        group.throughput(throughput);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                encode(black_box(&rows), &mut out);
                black_box(out.len())
            });
        });
        group.finish();
    }
}

criterion_group!(benches, encoder);
criterion_main!(benches);
