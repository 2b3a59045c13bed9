//! Lists of products, and what the service says of itself.

use super::Step;

pub(super) fn ready() -> Vec<Step> {
    let ready = r#"
pm.test("it is ready", () => pm.expect(pm.response.json().ready).to.equal(true));
"#;
    vec![Step::new("The service is ready", "get", "/health/ready", 200).after(ready)]
}

const CATEGORY: [(&str, &str); 1] = [("category", "{{category}}")];
const WINDOW: [(&str, &str); 2] = [("min_price", "{{minPrice}}"), ("max_price", "{{maxPrice}}")];

const ROWS: &str = r#"
const rows = pm.response.json();
const expected = Number(pm.variables.get("matchingRows"));
pm.test(`there are ${expected} products`, () => pm.expect(rows.length).to.equal(expected));
pm.test("all are of the category", () => {
    const category = pm.variables.get("category");
    pm.expect(rows.filter((row) => row.category !== category)).to.be.empty;
});
pm.test("they are ordered by id", () => {
    pm.expect(rows.findIndex((row, i) => i > 0 && row.id <= rows[i - 1].id)).to.equal(-1);
});
"#;

const KEEP_ETAG: &str = r#"
pm.test("there is an ETag", () => pm.response.to.have.header("ETag"));
pm.collectionVariables.set("listEtag", pm.response.headers.get("ETag"));
"#;

const SAME_ETAG: &str = r#"
pm.test("the bytes are those of direct: the same ETag", () => {
    pm.expect(pm.response.headers.get("ETag")).to.equal(pm.collectionVariables.get("listEtag"));
});
"#;

pub(super) fn same_bytes() -> Vec<Step> {
    let no_cache = r#"
pm.test("no cache was asked", () => pm.response.to.not.have.header("X-Cache"));
"#;
    let cache = r#"
pm.test("the cache was used", () => {
    pm.expect(pm.response.headers.get("X-Cache")).to.be.oneOf(["hit", "miss", "coalesced"]);
});
"#;
    let list = |name, path| Step::new(name, "get", path, 200).query(&CATEGORY).after(ROWS);
    vec![
        list("Through direct", "/products/direct").after(KEEP_ETAG).after(no_cache),
        list("Through pooled", "/products/pooled").after(SAME_ETAG).after(no_cache),
        list("Through cached", "/products/cached").after(SAME_ETAG).after(cache),
        list("Through pooled, by its name", "/strategies/{name}/products")
            .variable("name", "pooled")
            .after(SAME_ETAG),
        Step::new("Not changed since", "get", "/products/pooled", 304)
            .about("Whoever has the bytes already gets none.")
            .query(&CATEGORY)
            .header("If-None-Match", "{{listEtag}}"),
    ]
}

pub(super) fn hit_after_miss() -> Vec<Step> {
    let new_window = r#"
// In cents; there are thousands of millions of such windows.
const between = (low, high) => low + Math.floor(Math.random() * (high - low + 1));
const low = between(100, 80000);
const high = low + between(30000, 100000);
pm.collectionVariables.set("minPrice", (low / 100).toFixed(2));
pm.collectionVariables.set("maxPrice", (high / 100).toFixed(2));
"#;
    let window = r#"
const [low, high] = ["minPrice", "maxPrice"].map((name) => Number(pm.variables.get(name)));
const rows = pm.response.json();
pm.test("there are products", () => pm.expect(rows).to.not.be.empty);
pm.test("all are within the window", () => {
    pm.expect(rows.filter((row) => row.price < low || row.price > high)).to.be.empty;
});
"#;
    let said = |word: &str| {
        format!(
            r#"pm.test("X-Cache: {word}", () => pm.expect(pm.response.headers.get("X-Cache")).to.equal("{word}"));"#
        )
    };
    let kept = r#"
// An answer is kept beside the answering of the client.
setTimeout(() => {}, 500);
"#;
    let list = |name, path| Step::new(name, "get", path, 200).query(&WINDOW).after(window);
    vec![
        list("A miss", "/products/cached").before(new_window).after(&said("miss")).after(KEEP_ETAG),
        list("A hit", "/products/cached").before(kept).after(&said("hit")).after(SAME_ETAG),
        list("The same past the cache", "/products/direct").after(SAME_ETAG),
    ]
}

pub(super) fn pages() -> Vec<Step> {
    let page = r#"
const rows = pm.response.json();
pm.test("there are 20 products", () => pm.expect(rows.length).to.equal(20));
pm.test("they begin after the last page", () => {
    pm.expect(rows[0].id).to.be.above(Number(pm.variables.get("lastId") || 0));
});
pm.collectionVariables.set("lastId", rows[19].id);
"#;
    let first = r#"
pm.test("Link leads to the next page", () => {
    pm.expect(pm.response.headers.get("Link")).to.match(/after=\d+.*rel="next"/);
});
pm.test("X-Total-Count is the number of all", () => {
    pm.expect(pm.response.headers.get("X-Total-Count")).to.equal(pm.variables.get("matchingRows"));
});
"#;
    let limited = [("category", "{{category}}"), ("limit", "20")];
    let next = [("category", "{{category}}"), ("limit", "20"), ("after", "{{lastId}}")];
    vec![
        Step::new("The first page", "get", "/products/pooled", 200)
            .query(&limited)
            .header("Prefer", "count=exact")
            .before("pm.collectionVariables.unset(\"lastId\");")
            .after(page)
            .after(first),
        Step::new("The next page", "get", "/products/pooled", 200).query(&next).after(page),
    ]
}

pub(super) fn itself() -> Vec<Step> {
    let stats = r#"
const stats = pm.response.json();
const strategies = Object.fromEntries(stats.strategies.map((one) => [one.name, one]));
pm.test("direct, pooled and cached are there", () => {
    pm.expect(strategies).to.include.all.keys("direct", "pooled", "cached");
});
pm.test("requests and bytes were counted", () => {
    pm.expect(strategies.direct.requests).to.be.above(0);
    pm.expect(strategies.direct.bytes).to.be.above(0);
});
pm.test("only cached has a cache, which was asked", () => {
    pm.expect(strategies.direct.cache).to.equal(null);
    pm.expect(strategies.pooled.cache).to.equal(null);
    const { hits, misses, coalesced } = strategies.cached.cache;
    pm.expect(hits + misses + coalesced).to.be.above(0);
});
pm.test("its CPU and its memory are known", () => {
    pm.expect(stats.process.cpu_seconds).to.be.above(0);
    pm.expect(stats.process.resident_bytes).to.be.above(1000000);
});
"#;
    let strategies = r#"
pm.test("each answers at a path of its own", () => {
    const paths = pm.response.json().map((one) => one.path);
    pm.expect(paths).to.include.members(["direct", "pooled", "cached"].map((name) => `/strategies/${name}/products`));
});
"#;
    let categories = r#"
pm.test("the category has as many products as the list", () => {
    const category = pm.response.json().find((one) => one.category === pm.variables.get("category"));
    pm.expect(category.products).to.equal(Number(pm.variables.get("matchingRows")));
});
"#;
    let health = r#"
pm.test("it is not critical", () => pm.expect(pm.response.json().status).to.not.equal("critical"));
"#;
    vec![
        Step::new("Figures", "get", "/stats", 200).after(stats),
        Step::new("Strategies", "get", "/strategies", 200).after(strategies),
        Step::new("Categories", "get", "/categories", 200).after(categories),
        Step::new("Health", "get", "/health", 200).after(health),
        Step::new("Nothing", "get", "/noop", 204),
    ]
}
