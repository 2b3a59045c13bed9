//! What is read of JSON and what is refused.

use super::*;

const GOOD: &str =
    r#"{"sku":"A-1","name":"Lamp","category":"electronics","price":12.50,"stock":3}"#;

fn with(field: &str, value: &str) -> String {
    let fields = [
        ("sku", "\"A-1\""),
        ("name", "\"Lamp\""),
        ("category", "\"electronics\""),
        ("price", "12.50"),
        ("stock", "3"),
    ];
    let fields = fields.map(|(name, default)| {
        let value = if name == field { value } else { default };
        format!("\"{name}\":{value}")
    });
    format!("{{{}}}", fields.join(","))
}

fn said(refused: Result<impl std::fmt::Debug, Vec<Invalid>>) -> Vec<String> {
    let refused = refused.expect_err("it must be refused");
    refused.into_iter().map(|problem| format!("{} {}", problem.pointer, problem.reason)).collect()
}

#[test]
fn a_product_is_read_exactly() {
    let product = NewProduct::read(GOOD.as_bytes()).expect("it is good");
    assert_eq!((product.sku(), product.stock(), product.price().cents()), ("A-1", 3, 1250));
    for (price, cents) in [
        ("0", 0),
        ("0.1", 10),
        ("0.07", 7),
        ("99999999.99", 9_999_999_999),
        ("\"12.5\"", 1250),
        ("4503599.63", 450_359_963),
    ] {
        let product = NewProduct::read(with("price", price).as_bytes()).expect(price);
        assert_eq!(product.price().cents(), cents, "{price}");
    }
    let longest = format!("\"{}\"", "\u{1F4A1}".repeat(MAX_SKU_CHARS));
    NewProduct::read(with("sku", &longest).as_bytes()).expect("characters count, not bytes");
    NewProduct::read(with("name", "\"a\\u0001b\"").as_bytes()).expect("a name may have controls");
}

#[test]
fn a_value_out_of_bounds_is_refused_where_it_stands() {
    let long = |n: usize| format!("\"{}\"", "x".repeat(n));
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    for (field, value) in [
        ("sku", "\"\""),
        ("sku", &long(MAX_SKU_CHARS + 1)),
        ("sku", "\"a\\u0007\""),
        ("sku", "\"a\\u0000\""),
        ("sku", "\"\\ud800\""),
        ("sku", "7"),
        ("sku", "null"),
        ("name", &long(MAX_NAME_CHARS + 1)),
        ("name", "\"a\\u0000\""),
        ("category", &long(MAX_CATEGORY_CHARS + 1)),
        ("category", "\"a\\nb\""),
        ("category", "[]"),
        ("price", "-1"),
        ("price", "-0"),
        ("price", "1.234"),
        ("price", "1.250"),
        ("price", "1e2"),
        ("price", "1e400"),
        ("price", "100000000"),
        ("price", "\"NaN\""),
        ("price", "\"12,50\""),
        ("price", "null"),
        ("price", "{}"),
        ("stock", "-1"),
        ("stock", "2147483648"),
        ("stock", "1.0"),
        ("stock", "1e2"),
        ("stock", "99999999999999999999999999"),
        ("stock", "\"3\""),
        ("stock", "true"),
        ("stock", &deep),
    ] {
        let found = said(NewProduct::read(with(field, value).as_bytes()));
        assert_eq!(found.len(), 1, "{field} {:.40}: {found:?}", value);
        assert!(found[0].starts_with(&format!("/{field} must be ")), "{found:?}");
        let patch = format!("{{\"{field}\":{value}}}");
        assert_eq!(said(ProductPatch::read(patch.as_bytes())), found);
    }
}

#[test]
fn every_problem_is_named_at_once() {
    let json = r#"{"sku":"","sku":"b","colour":"red","a/b~c":1,"price":"x","stock":-1}"#;
    let found = said(NewProduct::read(json.as_bytes()));
    for expected in [
        "/sku is given more than once",
        "/sku must be text of 1 to 64 characters",
        "/colour is not known; known are sku, name, category, price, stock",
        "/a~1b~0c is not known",
        "/name is missing",
        "/category is missing",
        "/price must be a price",
        "/stock must be a whole number from 0 to 2147483647",
    ] {
        assert!(found.iter().any(|f| f.starts_with(expected)), "{expected} in {found:?}");
    }
    assert_eq!(found.len(), 8);
}

#[test]
fn what_is_no_document_is_refused_as_a_whole() {
    for bad in [
        &b""[..],
        b"{",
        b"[1",
        b"{} {}",
        b"NaN",
        b"{\"stock\":NaN}",
        b"{\"stock\":Infinity}",
        b"{\"a\xff\":1}",
        b"\xef\xbb\xbf{}",
        b"{'a':1}",
        b"{\"a\":01}",
        b"\"text\"",
        b"7",
        b"null",
        b"[]",
    ] {
        let found = said(NewProduct::read(bad));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(" must be "), "{found:?}");
    }
    let deep = "[".repeat(1_000_000);
    assert_eq!(said(NewProduct::read(deep.as_bytes())).len(), 1);
    let closed = deep + &"]".repeat(1_000_000);
    assert_eq!(said(NewProduct::read(closed.as_bytes())).len(), 1);
}

#[test]
fn a_patch_changes_what_it_names() {
    let product = NewProduct::read(GOOD.as_bytes()).unwrap();
    let patch = ProductPatch::read(br#"{"stock":9,"price":"1.10"}"#).unwrap();
    let patched = patch.apply(product.clone());
    assert_eq!((patched.stock(), patched.price().cents(), patched.sku()), (9, 110, "A-1"));
    assert_eq!(said(ProductPatch::read(b"{}")).len(), 1);
    assert_eq!(said(ProductPatch::read(br#"{"id":1}"#)).len(), 1 + 1);
}

#[test]
fn a_batch_has_different_skus_and_says_where_it_is_wrong() {
    let batch = format!("[{GOOD},{}]", with("sku", "\"A-2\""));
    assert_eq!(NewProduct::read_batch(batch.as_bytes()).unwrap().len(), 2);
    let batch = format!("[{GOOD},{},{GOOD},7]", with("stock", "-1"));
    let found = said(NewProduct::read_batch(batch.as_bytes()));
    assert!(found.iter().any(|f| f.starts_with("/2/sku is the same as /0/sku")), "{found:?}");
    assert!(found.iter().any(|f| f.starts_with("/1/stock must be")), "{found:?}");
    assert!(found.iter().any(|f| f.starts_with("/3 must be an object")), "{found:?}");
    let many = format!("[{}7]", "7,".repeat(MAX_BATCH));
    let found = said(NewProduct::read_batch(many.as_bytes()));
    assert_eq!(found, [" must be an array of 1 to 1000 products, and has 1001"]);
    let bad = format!("[{}7]", "7,".repeat(MAX_BATCH - 1));
    assert_eq!(said(NewProduct::read_batch(bad.as_bytes())).len(), MAX_PROBLEMS);
}

#[test]
fn an_order_has_lines_of_different_products() {
    let order = br#"{"lines":[{"product_id":7,"quantity":2},{"quantity":1,"product_id":3}]}"#;
    let order = NewOrder::read(order).expect("it is good");
    assert_eq!(order.lines()[1], OrderLine { product_id: 3, quantity: 1 });
    for (bad, says) in [
        (r#"{}"#, "/lines is missing"),
        (r#"{"lines":[]}"#, "/lines must be an array of 1 to 100 lines"),
        (r#"{"lines":[{}]}"#, "/lines/0/product_id is missing"),
        (r#"{"lines":[{"product_id":0,"quantity":1}]}"#, "/lines/0/product_id must be"),
        (r#"{"lines":[{"product_id":1,"quantity":0}]}"#, "/lines/0/quantity must be"),
        (r#"{"lines":[{"product_id":1,"quantity":1000001}]}"#, "/lines/0/quantity must be"),
        (r#"{"lines":[{"product_id":1,"quantity":1.0}]}"#, "/lines/0/quantity must be"),
        (r#"{"lines":[7]}"#, "/lines/0 must be an object"),
        (r#"{"lines":[],"note":""}"#, "/note is not known"),
        (
            r#"{"lines":[{"product_id":1,"quantity":1},{"product_id":1,"quantity":1}]}"#,
            "/lines/1/product_id is in /lines/0 already",
        ),
    ] {
        let found = said(NewOrder::read(bad.as_bytes()));
        assert!(found.iter().any(|f| f.starts_with(says)), "{says} in {found:?}");
    }
}
