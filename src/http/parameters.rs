//! The query parameters of a product list: how they are read, and the one table that documents
//! them in the spec.

use poem::{FromRequest, Request, RequestBody, Result};
use serde_json::{Value, json};

use super::error::Problem;
use crate::query::{MAX_CATEGORY_CHARS, MAX_LIMIT, PARAMETER_NAMES, ProductQuery};

/// A product list's query, read from the URL.
pub(super) struct ListQuery(pub ProductQuery);

impl<'a> FromRequest<'a> for ListQuery {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> Result<Self> {
        let text = request.uri().query().unwrap_or_default();
        let pairs = form_urlencoded::parse(text.as_bytes());
        let query = ProductQuery::from_pairs(pairs).map_err(Problem::bad_parameters)?;
        Ok(Self(query))
    }
}

/// Refuses any query parameter, where none is known.
pub(super) struct NoQuery;

impl<'a> FromRequest<'a> for NoQuery {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> Result<Self> {
        let text = request.uri().query().unwrap_or_default();
        let refused: Vec<_> = form_urlencoded::parse(text.as_bytes())
            .map(|(name, _)| crate::query::InvalidParameter {
                name: name.into_owned(),
                reason: "is not known; this endpoint takes none".into(),
            })
            .collect();
        if refused.is_empty() { Ok(Self) } else { Err(Problem::bad_parameters(refused).into()) }
    }
}

/// What the spec says of each parameter, in the order of [`PARAMETER_NAMES`].
pub(super) fn documented() -> Vec<Value> {
    let price = |what: &str| {
        let description = format!("{what}, with at most two decimals.");
        (
            description,
            json!({"type": "number", "format": "decimal", "minimum": 0, "maximum": 99_999_999.99, "multipleOf": 0.01}),
        )
    };
    let whole = |min: u64, max: Option<u64>| {
        let mut schema = json!({"type": "integer", "format": "int64", "minimum": min});
        if let Some(max) = max {
            schema["maximum"] = max.into();
        }
        schema
    };
    let describe = |name: &str| -> (String, Value, Option<Value>) {
        match name {
            "category" => (
                "Only products of this category; an unknown one gives an empty list.".into(),
                json!({"type": "string", "maxLength": MAX_CATEGORY_CHARS, "pattern": "^[^\\u0000]*$"}),
                Some(json!("electronics")),
            ),
            "min_price" => {
                let (text, schema) = price("Only products that cost at least this");
                (text, schema, None)
            }
            "max_price" => {
                let (text, schema) = price("Only products that cost at most this");
                (text, schema, None)
            }
            "in_stock" => (
                "true: only products with a stock above 0; false: only those without.".into(),
                json!({"type": "boolean"}),
                None,
            ),
            "limit" => (
                format!("At most this many products, 1 to {MAX_LIMIT}. Without it: all that match."),
                whole(1, Some(u64::from(MAX_LIMIT))),
                Some(json!(20)),
            ),
            "offset" => (
                "Skip this many matching products. It gets slower the deeper it goes; `after` does not. Not together with `after`.".into(),
                whole(0, None),
                None,
            ),
            _ => (
                "Only ids above this one: the last id of the page before (keyset paging). Not together with `offset`.".into(),
                whole(0, None),
                None,
            ),
        }
    };
    PARAMETER_NAMES
        .iter()
        .map(|name| {
            let (description, schema, example) = describe(name);
            let mut parameter = json!({
                "name": name, "in": "query", "required": false,
                "description": description, "schema": schema,
            });
            if let Some(example) = example {
                parameter["example"] = example;
            }
            parameter
        })
        .chain([json!({
            "name": "Prefer", "in": "header", "required": false,
            "description": "`count=exact`: say in X-Total-Count how many products there are on all pages. It costs a statement of its own.",
            "schema": {"type": "string"},
        })])
        .collect()
}
