//! A product is made, changed, ordered and deleted, and what is cached follows.

use super::Step;

const PRODUCT: &str = r#"{
  "sku": "{{sku}}",
  "name": "Contract \"Lamp\"",
  "category": "{{newCategory}}",
  "price": 12.50,
  "stock": 3
}"#;

const KEEP: &str = r#"
const product = pm.response.json();
pm.test("there is an ETag", () => pm.response.to.have.header("ETag"));
pm.collectionVariables.set("productId", product.id);
pm.collectionVariables.set("etag", pm.response.headers.get("ETag"));
"#;

/// A test that the list of the new category has so many products.
fn listed(count: u8) -> String {
    format!(
        r#"pm.test("there are {count} products", () => pm.expect(pm.response.json().length).to.equal({count}));"#
    )
}

pub(super) fn steps() -> Vec<Step> {
    let mut steps = made();
    steps.extend(changed());
    steps.extend(ordered());
    steps.extend(deleted());
    steps
}

fn list(name: &'static str) -> Step {
    Step::new(name, "get", "/products/cached", 200).query(&[("category", "{{newCategory}}")])
}

fn one(name: &'static str, method: &str, status: u16) -> Step {
    Step::new(name, method, "/products/{id}", status).variable("id", "{{productId}}")
}

fn made() -> Vec<Step> {
    let new_names = r#"
const random = pm.variables.replaceIn("{{$guid}}");
pm.collectionVariables.set("newCategory", `contract-${random}`);
pm.collectionVariables.set("sku", `CT-${random}`);
pm.collectionVariables.set("idempotencyKey", random);
"#;
    let made = r#"
pm.test("it is what was sent", () => {
    pm.expect(product).to.include({ name: 'Contract "Lamp"', price: 12.5, stock: 3 });
});
pm.test("the price has two decimals", () => pm.expect(pm.response.text()).to.include('"price":12.50,'));
pm.test("Location says where it is", () => {
    pm.expect(pm.response.headers.get("Location")).to.equal(`/products/${product.id}`);
});
"#;
    let same = r#"
pm.test("it is the product of the first request", () => {
    pm.expect(pm.response.json().id).to.equal(Number(pm.collectionVariables.get("productId")));
});
"#;
    let all_wrong = r#"
pm.test("it names each place", () => {
    const places = pm.response.json().errors.map((error) => error.pointer);
    pm.expect(places).to.have.members(["/sku", "/name", "/category", "/price", "/stock", "/colour"]);
});
"#;
    vec![
        list("A category that nobody has, cached").before(new_names).after(&listed(0)),
        Step::new("A product that is wrong in every place", "post", "/products", 400)
            .signed_in()
            .body(r#"{ "sku": "", "price": 1.234, "stock": -1, "colour": "red" }"#)
            .problem("bad-body")
            .after(all_wrong),
        Step::new("Made", "post", "/products", 201)
            .signed_in()
            .header("Idempotency-Key", "{{idempotencyKey}}")
            .body(PRODUCT)
            .after(KEEP)
            .after(made),
        Step::new("Made once, however often it is asked for", "post", "/products", 201)
            .about("The same `Idempotency-Key` gets the first answer.")
            .signed_in()
            .header("Idempotency-Key", "{{idempotencyKey}}")
            .body(PRODUCT)
            .after(same),
        list("What is cached has it, too")
            .about("The write ended what was cached of its category.")
            .after(&listed(1)),
    ]
}

fn changed() -> Vec<Step> {
    let patched = r#"
pm.test("only the price has changed", () => {
    pm.expect(product).to.include({ name: 'Contract "Lamp"', price: 11.9, stock: 3 });
});
"#;
    let new_etag = r#"
const former = pm.collectionVariables.get("etag");
pm.test("the ETag is another one", () => pm.expect(pm.response.headers.get("ETag")).to.not.equal(former));
pm.collectionVariables.set("formerEtag", former);
"#;
    let patch = r#"{ "price": "11.90" }"#;
    vec![
        one("A change of nobody knows what", "patch", 428)
            .about("`If-Match` is missing.")
            .signed_in()
            .body(patch)
            .problem("if-match-missing"),
        one("Changed", "patch", 200)
            .signed_in()
            .header("If-Match", "{{etag}}")
            .body(patch)
            .after(new_etag)
            .after(KEEP)
            .after(patched),
        one("Changed by somebody who did not look", "patch", 412)
            .about("`If-Match` names the product as it was.")
            .signed_in()
            .header("If-Match", "{{formerEtag}}")
            .body(r#"{ "price": "10.00" }"#)
            .problem("stale"),
    ]
}

fn ordered() -> Vec<Step> {
    let order = r#"
const order = pm.response.json();
pm.test("two at 11.90 are 23.80", () => {
    pm.expect(order.total).to.equal(23.8);
    pm.expect(order.lines).to.have.lengthOf(1);
});
pm.collectionVariables.set("orderId", order.id);
"#;
    let too_many = r#"
pm.test("it says how many there are", () => {
    const productId = Number(pm.collectionVariables.get("productId"));
    pm.expect(pm.response.json().products).to.eql([{ product_id: productId, asked: 2, available: 1 }]);
});
"#;
    let left = r#"
pm.test("one is left", () => pm.expect(product.stock).to.equal(1));
"#;
    let own = r#"
pm.test("it is the only one", () => {
    pm.expect(pm.response.json().map((order) => order.id)).to.eql([Number(pm.collectionVariables.get("orderId"))]);
});
"#;
    let body = r#"{ "lines": [{ "product_id": {{productId}}, "quantity": 2 }] }"#;
    vec![
        Step::new("Ordered", "post", "/orders", 201)
            .signed_in()
            .header("Idempotency-Key", "{{$guid}}")
            .body(body)
            .after(order),
        Step::new("There is not enough for another", "post", "/orders", 409)
            .signed_in()
            .header("Idempotency-Key", "{{$guid}}")
            .body(body)
            .problem("not-enough")
            .after(too_many),
        one("The stock is less", "get", 200).after(KEEP).after(left),
        Step::new("One's own orders", "get", "/orders", 200).signed_in().after(own),
        Step::new("One of them", "get", "/orders/{id}", 200)
            .variable("id", "{{orderId}}")
            .signed_in(),
    ]
}

fn deleted() -> Vec<Step> {
    vec![
        one("Deleted", "delete", 204).signed_in().header("If-Match", "{{etag}}"),
        one("Gone", "get", 404).problem("not-found"),
        list("Gone from what is cached, too").after(&listed(0)),
    ]
}
