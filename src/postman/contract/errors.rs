//! What is refused, and whether the refusal says why.

use super::Step;

/// A test that `errors` names these places.
fn names(key: &str, places: &[&str]) -> String {
    let list = places.iter().map(|place| format!("\"{place}\"")).collect::<Vec<_>>().join(", ");
    format!(
        r#"pm.test("it names {}", () => {{
    const places = pm.response.json().errors.map((error) => error.{key});
    pm.expect(places).to.have.members([{list}]);
}});"#,
        places.join(" and "),
    )
}

pub(super) fn steps() -> Vec<Step> {
    let list = |name, status| Step::new(name, "get", "/products/pooled", status);
    let request_id = r#"
pm.test("it names the request, to be found in the log", () => {
    const id = pm.response.json().request_id;
    pm.expect(id).to.equal("contract-bad-limit").and.to.equal(pm.response.headers.get("X-Request-Id"));
});
"#;
    let allow = r#"
pm.test("Allow says what is allowed", () => pm.expect(pm.response.headers.get("Allow")).to.equal("GET"));
"#;
    vec![
        list("A limit that is too small", 400)
            .query(&[("limit", "0")])
            .header("X-Request-Id", "contract-bad-limit")
            .problem("bad-parameter")
            .after(&names("parameter", &["limit"]))
            .after(request_id),
        list("Everything that is wrong, at once", 400)
            .query(&[("colour", "red"), ("offset", "-1"), ("in_stock", "perhaps")])
            .problem("bad-parameter")
            .after(&names("parameter", &["colour", "offset", "in_stock"])),
        list("A window the wrong way round", 400)
            .query(&[("min_price", "20"), ("max_price", "10.50")])
            .problem("bad-parameter"),
        Step::new("No such strategy", "get", "/strategies/{name}/products", 404)
            .variable("name", "there-is-none")
            .problem("not-found"),
        Step::new("No such product", "get", "/products/{id}", 404)
            .variable("id", "9007199254740991")
            .problem("not-found"),
        Step::new("Another method", "post", "/products/direct", 405)
            .documented_for("get")
            .problem("method-not-allowed")
            .after(allow),
        list("Another media type", 406)
            .header("Accept", "text/csv")
            .query(&[("limit", "1")])
            .problem("not-acceptable"),
        Step::new("A write without a token", "post", "/products", 401)
            .body("{}")
            .problem("unauthorized"),
        Step::new("A name and a password that nobody may have", "post", "/auth/register", 400)
            .body(r#"{ "name": "?", "password": "short", "admin": true }"#)
            .problem("bad-body")
            .after(&names("pointer", &["/name", "/password", "/admin"])),
    ]
}
