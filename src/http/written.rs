//! Answers of whole bodies that were made here: what was written, and what is read without a strategy.

use std::marker::PhantomData;

use bytes::Bytes;
use poem::http::{HeaderMap, HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Object};

use super::answer::Product;
use super::negotiate::{entity_tag, none_match};
use crate::encode::Fingerprint;

/// What an answer is, for the spec.
pub(super) trait Good: Send {
    /// The JSON that it holds.
    type Schema: Type;
    /// Its status.
    const STATUS: StatusCode;
    /// What it is.
    const DESCRIPTION: &'static str;
}

macro_rules! good {
    ($($(#[$doc:meta])* $name:ident: $schema:ty, $status:ident, $description:literal;)*) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl Good for $name {
            type Schema = $schema;
            const STATUS: StatusCode = StatusCode::$status;
            const DESCRIPTION: &'static str = $description;
        }
    )*};
}

good! {
    /// A product that was made.
    NewOne: Product, CREATED, "The product, which is at `Location`";
    /// Products that were made.
    NewMany: Vec<Product>, CREATED, "The products, in the order in which they were sent";
    /// A product that was changed.
    ChangedOne: Product, OK, "The product as it is now";
    /// An order that was placed.
    PlacedOrder: Order, CREATED, "The order, which is at `Location`";
    /// An order that was read.
    OneOrder: Order, OK, "The order";
    /// Orders that were read.
    ManyOrders: Vec<OrderSummary>, OK, "Your orders, the newest first";
    /// Categories.
    ManyCategories: Vec<Category>, OK, "Every category that has products, in the order of their names";
}

/// An order.
#[derive(Object)]
pub(super) struct Order {
    /// Its number.
    id: i64,
    /// When it was placed, in UTC with microseconds.
    created_at: String,
    /// The sum of price times quantity, always with two decimals.
    total: f64,
    /// What was ordered.
    lines: Vec<OrderLine>,
}

/// A line of an order, with the product as it was then.
#[derive(Object)]
struct OrderLine {
    /// The product's number.
    product_id: i64,
    /// Its article code.
    sku: String,
    /// Its name.
    name: String,
    /// Its price, always with two decimals.
    price: f64,
    /// How many were ordered.
    quantity: i32,
}

/// An order in a list.
#[derive(Object)]
pub(super) struct OrderSummary {
    /// Its number.
    id: i64,
    /// When it was placed, in UTC with microseconds.
    created_at: String,
    /// The sum of price times quantity, always with two decimals.
    total: f64,
    /// How many lines it has.
    line_count: i32,
}

/// A category.
#[derive(Object)]
pub(super) struct Category {
    /// Its name.
    category: String,
    /// How many products it has.
    products: i64,
}

/// An answer of JSON that is there as a whole, with its entity tag.
pub(super) struct Written<G>(Response, PhantomData<G>);

impl<G: Good> Written<G> {
    /// The answer of this body.
    pub fn new(body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let tag = entity_tag(Fingerprint::of(&body), None);
        let mut response =
            Response::builder().status(G::STATUS).content_type("application/json").body(body);
        let tag = HeaderValue::try_from(tag).expect("hex digits in quotation marks");
        response.headers_mut().insert(header::ETAG, tag);
        Self(response, PhantomData)
    }

    /// The same, saying where it is.
    pub fn at(mut self, location: String) -> Self {
        let location = HeaderValue::try_from(location).expect("a path of ASCII");
        self.0.headers_mut().insert(header::LOCATION, location);
        self
    }

    /// The answer of this body, or that the client has it already.
    pub fn unless_known(body: Bytes, headers: &HeaderMap) -> Self {
        let known = none_match(headers, Fingerprint::of(&body));
        let mut answer = Self::new(body);
        if known {
            answer.0.set_status(StatusCode::NOT_MODIFIED);
            answer.0.set_body(());
            answer.0.headers_mut().remove(header::CONTENT_TYPE);
        }
        answer
    }
}

impl<G: Good> ApiResponse for Written<G> {
    fn meta() -> MetaResponses {
        let schema: MetaSchemaRef = G::Schema::schema_ref();
        let json = MetaMediaType { content_type: "application/json", schema };
        let response = MetaResponse {
            description: G::DESCRIPTION,
            status: Some(G::STATUS.as_u16()),
            status_range: None,
            content: vec![json],
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(registry: &mut Registry) {
        G::Schema::register(registry);
    }
}

impl<G: Good> IntoResponse for Written<G> {
    fn into_response(self) -> Response {
        self.0
    }
}
