//! The parsers on what the tools wrote (`tests/records`), and on everything that can be wrong with it.

use super::*;

fn parsed(text: &str) -> Parsed {
    parse(&mut text.as_bytes(), false).unwrap_or_else(|why| panic!("{why}: {text}"))
}

fn refused(text: &str) -> String {
    parse(&mut text.as_bytes(), false).expect_err(text)
}

fn entries(text: &str) -> Vec<Entry> {
    match parsed(text).imported {
        Imported::Requests(entries) => entries,
        other => panic!("{other:?}"),
    }
}

fn close(found: f64, wanted: f64) {
    assert!((found - wanted).abs() < 1e-6, "{found} is not {wanted}");
}

#[test]
fn a_jtl_of_jmeter_has_every_request_with_its_begin_its_time_and_its_bytes() {
    let text = include_str!("../../../../tests/records/jmeter.jtl");
    assert_eq!((parsed(text).measured_by, parsed(text).notes.len()), ("JMeter", 0));
    let entries = entries(text);
    assert_eq!(entries.len(), 8);
    assert_eq!(entries[0].asked, "GET /health/ready");
    let one = &entries[3];
    assert_eq!((&*one.asked, &*one.outcome, one.is_good), ("GET /products/direct", "200", true));
    assert_eq!((one.bytes, one.first_byte), (4028, Some(0.032)));
    close(one.began, 1_795_401_240.944);
    close(one.ended(), 1_795_401_240.983);
}

#[test]
fn a_jtl_of_newman_is_known_by_its_clients() {
    let text = include_str!("../../../../tests/records/newman.jtl");
    assert_eq!(parsed(text).measured_by, "Newman");
    let entries = entries(text);
    assert_eq!(entries.len(), 6);
    assert_eq!((&*entries[3].asked, entries[3].bytes), ("cached", 3648));
    close(entries[0].took, 0.53);
}

#[test]
fn the_columns_of_a_jtl_may_be_few_or_many_and_divided_by_semicolons() {
    let few = entries("timeStamp,elapsed,label\n1795401240839,9,direct\n");
    assert_eq!((&*few[0].outcome, few[0].is_good, few[0].first_byte), ("200", true, None));
    let url = "elapsed;timeStamp;URL;label\n9;1795401240839;http://h/products/cached?x=1,2;any\n\
               9;1795401240839;null;GET /noop\n";
    let url = entries(url);
    assert_eq!([&*url[0].asked, &*url[1].asked], ["http://h/products/cached?x=1,2", "GET /noop"]);
}

#[test]
fn failures_of_a_jtl_have_names_and_transactions_are_not_requests() {
    let text = "timeStamp,elapsed,label,responseCode,responseMessage,success\n\
        1795401240000,1,a,503,Service Unavailable,false\n\
        1795401240000,1,b,200,\"OK, but \"\"19\"\" rows\",false\n\
        1795401240000,1,c,Non HTTP response code: java.net.ConnectException,Non HTTP response message: Connection refused,false\n\
        1795401240000,1,d,Non HTTP response code: java.net.SocketTimeoutException,Non HTTP response message: Read timed out,false\n\
        1795401240000,1,e,Non HTTP response code: org.apache.http.NoHttpResponseException,x,false\n\
        1795401240000,9,all,200,\"Number of samples in transaction : 2, number of failing samples : 0\",true\n";
    let found = entries(text);
    let outcomes: Vec<&str> = found.iter().map(|entry| &*entry.outcome).collect();
    assert_eq!(outcomes, ["503", "wrong answer", "refused", "timeout", "reset"]);
    assert!(found.iter().all(|entry| !entry.is_good));
    let note = &parsed(text).notes[0];
    assert!(note.starts_with("1 line that sums up a transaction is not counted"), "{note}");
    assert!(note.contains("only the requests that have lines of their own"), "{note}");
    // What "Generate parent sample" leaves.
    let (header, rest) = text.split_once('\n').expect("it has a header");
    let sum = rest.lines().last().expect("it has lines");
    let said = refused(&format!("{header}\n{sum}\n{sum}\n"));
    assert!(
        said.starts_with("holds no request, only 2 lines that sum up a transaction each"),
        "{said}"
    );
    assert!(said.contains("switch off \"Generate parent sample\""), "{said}");
}

#[test]
fn the_records_of_locust_end_when_they_say() {
    let found = entries(include_str!("../../../../tests/records/locust_records.csv"));
    assert_eq!(found.len(), 7);
    assert_eq!((&*found[1].asked, found[1].is_good), ("/products/direct", true));
    close(found[1].ended(), 1_795_401_289.098_036);
    close(found[1].took, 0.010_089);
    let failed = "ended,milliseconds,name,rows,failure\n\
        2.5,500,/products/direct,,status 503: pool_exhausted\n\
        2.5,500,/products/direct,19,19 rows instead of 20 rows\n\
        2.5,500,/products/direct,,status 0: no answer (ConnectionRefusedError)\n";
    let outcomes: Vec<String> = entries(failed).into_iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, ["503", "wrong answer", "refused"]);
}

#[test]
fn running_totals_of_locust_become_counts_by_the_second() {
    let Imported::Counts(counts) =
        parsed(include_str!("../../../../tests/records/locust_stats_history.csv")).imported
    else {
        panic!("they are counts")
    };
    let of =
        |name: &str| -> Vec<&Count> { counts.iter().filter(|one| one.asked == name).collect() };
    let cached = of("/products/cached");
    assert_eq!(cached.iter().map(|one| one.answers).collect::<Vec<_>>(), [4, 4, 4, 4, 5]);
    close(cached[0].at, 1_795_401_304.5);
    close(cached[0].sum_ms, 4.0 * 44.479_721_502_284_52);
    // The running mean of 8 less that of the first 4.
    close(cached[1].sum_ms, 8.0 * 24.124_142_375_512_747 - 4.0 * 44.479_721_502_284_52);
    close(cached[1].bytes, 4.0 * 3648.0);
    let all: u64 = counts.iter().map(|one| one.answers + one.errors).sum();
    assert_eq!(all, 61, "as the last line of the sum says");
    let summed: String = include_str!("../../../../tests/records/locust_stats_history.csv")
        .lines()
        .filter(|line| !line.contains("/products/"))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert!(refused(&summed).contains("--csv-full-history"));
}

#[test]
fn the_get_and_the_post_of_one_name_have_running_totals_of_their_own() {
    let mut text = "Timestamp,User Count,Type,Name,Total Request Count,Total Failure Count,\
                    Total Average Response Time\n"
        .to_owned();
    for second in 1..=3 {
        for (method, each, failed, ms) in [("GET", 100, 0, 2), ("POST", 7, 1, 5)] {
            let (all, failed) = (second * each, second * failed);
            text += &format!("{second},3,{method},/products/direct,{all},{failed},{ms}\n");
        }
        text += &format!("{second},3,,Aggregated,{},{second},2\n", second * 107);
    }
    let Imported::Counts(counts) = parsed(&text).imported else { panic!("they are counts") };
    let found: Vec<(u64, u64, f64)> =
        counts.iter().map(|one| (one.answers, one.errors, one.sum_ms)).collect();
    assert_eq!(found, [(100, 0, 200.0), (6, 1, 35.0)].repeat(3));
}

#[test]
fn totals_of_locust_keep_its_own_percentiles() {
    let parsed = parsed(include_str!("../../../../tests/records/locust_stats.csv"));
    assert!(parsed.notes[0].contains("Locust's own"), "{parsed:?}");
    let Imported::Totals(totals) = parsed.imported else { panic!("they are totals") };
    assert_eq!(totals.len(), 3);
    let cached = &totals[0];
    assert_eq!((&*cached.asked, cached.answers, cached.errors), ("/products/cached", 17, 0));
    let Reported { p50_ms, p95_ms, p99_ms, mean_ms } = cached.reported;
    assert_eq!((p50_ms, p95_ms, p99_ms), (Some(2.0), Some(57.0), Some(57.0)));
    close(mean_ms.expect("it has one"), 6.530_412_176_610_245);
    close(cached.rate, 4.347_619_476_177_202);
}

#[test]
fn a_sample_of_k6_is_a_request_that_ended_then() {
    let found = entries(include_str!("../../../../tests/records/k6.json"));
    assert_eq!(found.len(), 4);
    // Where a script names its requests, k6 says the name for the URL, too.
    assert_eq!((&*found[0].asked, found[0].is_good), ("GET /products/pooled", true));
    close(found[0].ended(), 1_795_911_151.921_644);
    close(found[0].took, 0.003_508_406);
    let line = |tags: &str| {
        format!(
            "{{\"type\":\"Point\",\"data\":{{\"time\":\"2026-11-23T03:36:05.5+01:00\",\"value\":5,\
             \"tags\":{{{tags}}}}},\"metric\":\"http_req_duration\"}}\n"
        )
    };
    for (tags, outcome, is_good) in [
        (r#""status":"200","expected_response":"true","url":"u""#, "200", true),
        (r#""status":"503","expected_response":"false","url":"u""#, "503", false),
        (r#""status":"0","error_code":"1050","error":"request timeout""#, "timeout", false),
        (r#""status":"0","error":"dial: connection refused""#, "refused", false),
    ] {
        let found = entries(&line(tags));
        assert_eq!((&*found[0].outcome, found[0].is_good), (outcome, is_good), "{tags}");
        close(found[0].ended(), 1_795_401_365.5);
    }
}

#[test]
fn an_export_of_newman_places_requests_by_the_dates_of_their_answers() {
    let text = include_str!("../../../../tests/records/newman.json");
    let found = entries(text);
    assert_eq!(found.len(), 4);
    assert_eq!((&*found[0].asked, found[0].bytes), ("/products/direct", 3648));
    close(found[0].took, 0.106);
    // Between begin and end of the run, in their order.
    close(found[0].ended(), 1_795_401_356.598 + 0.106);
    assert!(found.is_sorted_by(|a, b| a.ended() <= b.ended()));
    assert!(found.iter().all(|one| one.ended() <= 1_795_401_360.561), "{found:?}");
    let failed = text.replacen("\"code\": 200", "\"code\": 429", 1);
    assert_eq!((&*entries(&failed)[0].outcome, entries(&failed)[0].is_good), ("429", false));
}

#[test]
fn what_is_not_known_is_refused_in_a_sentence() {
    for text in ["a,b,c\n1,2,3\n", "hello\n", "{\"a\": 1}\n", "\u{0}\u{1}\n", "[1, 2]\n", "1,2\n"] {
        assert!(refused(text).starts_with("is nothing that is known: JMeter's .jtl"), "{text:?}");
    }
    for (text, wanted) in [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("<?xml version=\"1.0\"?>\n<testResults version=\"1.2\">\n", "output_format=csv"),
        ("1795401240314,130,direct,200,OK,20 users 1-1,true\n", "print_field_names=true"),
        ("timeStamp,elapsed,label\n2026/11/23 02:04:00,5,direct\n", "timestamp_format=ms"),
        ("timeStamp,elapsed\n1795401240314,5\n", "saveservice.label=true"),
        ("timeStamp,elapsed,label\n1795401240314,fast,direct\n", "\"fast\" as elapsed in line 2"),
        ("timeStamp,elapsed,label\n1,5,direct\n1,5\n1,5,direct\n", "2 values in line 3"),
        ("timeStamp,elapsed,label\n1,5,direct\n1,5,dir", "ends in the middle of line 3"),
        (
            "Type,Name,Request Count,Failure Count,Requests/s\nGET,direct,1e300,0,5\n",
            "\"1e300\" as Request Count in line 2, where a number of requests should be",
        ),
        (
            "{\"metric\":\"a\",\"type\":\"Point\",\"data\":{}}\nnothing\n",
            "a line 2 that is none of k6's",
        ),
        (
            "{\"metric\":\"a\",\"type\":\"Point\",\"data\":{}}\n{\"met",
            "ends in the middle of line 2",
        ),
        ("{\"run\": {\"timings\": {\"started\": 1}, \"execu", "ends in the middle of its JSON"),
    ] {
        let said = refused(text);
        assert!(said.contains(wanted), "{text:?}: {said}");
    }
}

#[test]
fn half_a_line_at_the_end_is_left_out_where_the_tool_was_stopped() {
    for (text, count) in [
        ("timeStamp,elapsed,label\n1,5,direct\n1,5,dir", 1),
        (
            "{\"type\":\"Point\",\"data\":{\"time\":\"2026-11-23T02:36:05Z\",\"value\":5},\"metric\":\"http_req_duration\"}\n{\"met",
            1,
        ),
    ] {
        let parsed = parse(&mut text.as_bytes(), true).expect("half a line is expected");
        assert_eq!(parsed.imported.requests(), count, "{text:?}");
    }
}

#[test]
fn a_file_that_is_not_there_older_or_without_requests_is_refused_by_its_name() {
    let folder = tempfile::tempdir().expect("the temp folder can be written to");
    let path = folder.path().join("results.jtl");
    let hour = Duration::from_secs(3600);
    let told = |since| read(&path, since, false).expect_err("it must be refused");
    let now = SystemTime::now();
    assert!(told(now).ends_with("results.jtl is not there: COMMAND did not write it"));
    std::fs::write(&path, "timeStamp,elapsed,label\n").expect("it can be written");
    assert!(told(now - hour).ends_with("results.jtl holds not one request"));
    assert!(told(now + hour).contains("is older than the start of COMMAND"));
    std::fs::write(&path, "timeStamp,elapsed,label\n1,5,direct\n").expect("it can be written");
    let (_, file) = read(&path, now - hour, false).expect("it is one");
    assert_eq!((&*file.file, file.requests), ("results.jtl", 1));
    assert!(read(folder.path(), now, false).expect_err("a folder").contains("is a folder"));
}
