//! The body of a request: read exactly by the reader of `catalogue`, and what the spec says of it.

use std::sync::Arc;

use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions, Object};

use super::State;
use super::body::{JSON, read_in_time};
use super::error::{Kind, Problem};
use crate::catalogue::{self, Invalid, NewOrder, ProductPatch};

/// What a body is read as.
pub(super) trait Document: Sized + Send {
    /// What the spec says of it.
    type Schema: Type;
    /// The media types that it may come as, the usual one first.
    const MEDIA_TYPES: &'static [&'static str] = JSON;
    /// The longest that makes sense, in bytes; what `server.max_body_size` allows where it says nothing.
    const MOST_BYTES: Option<usize> = None;

    /// Reads it, or says everything that is wrong with it.
    fn read(json: &[u8]) -> Result<Self, Vec<Invalid>>;
}

/// A body that was read, and its bytes.
pub(super) struct Sent<T> {
    pub value: T,
    pub bytes: Vec<u8>,
}

impl<'a, T: Document> ApiExtractor<'a> for Sent<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::Schema::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = |content_type: &&'static str| {
            let schema: MetaSchemaRef = T::Schema::schema_ref();
            MetaMediaType { content_type, schema }
        };
        let content = T::MEDIA_TYPES.iter().map(content).collect();
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<Self::ParamType>,
    ) -> poem::Result<Self> {
        let state = request.data::<Arc<State>>();
        let configured = || state.map_or(0, |state| state.config.load().server.max_body_size);
        let most = T::MOST_BYTES.unwrap_or_else(configured);
        let bytes = read_in_time(request, body, (most, T::MEDIA_TYPES)).await?;
        let value = T::read(&bytes).map_err(refused)?;
        Ok(Self { value, bytes })
    }
}

/// 400, naming every place of the body that was refused.
fn refused(problems: Vec<Invalid>) -> Problem {
    let sentence = |bad: &Invalid| match &*bad.pointer {
        "" => format!("The body {}.", bad.reason),
        pointer => format!("{pointer} {}.", bad.reason),
    };
    let sentences: Vec<String> = problems.iter().map(sentence).collect();
    Problem::new(Kind::BadBody, sentences.join(" ")).at(problems)
}

/// A product as it is sent; everything else of it is made here.
#[derive(Object)]
pub(super) struct NewProduct {
    /// Its article code, which no other product has; no control characters.
    #[oai(validator(
        min_length = 1,
        max_length = 64,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
    ))]
    sku: String,
    /// Its name.
    #[oai(validator(min_length = 1, max_length = 255, pattern = "^[^\\u0000]*$"))]
    name: String,
    /// The category that it belongs to; no control characters.
    #[oai(validator(
        min_length = 1,
        max_length = 64,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
    ))]
    category: String,
    /// Its price: a number in plain digits with at most two decimals, or the same as text.
    price: f64,
    /// How many there are.
    #[oai(validator(minimum(value = "0")))]
    stock: i32,
}

/// What is to change of a product: at least one of these.
#[derive(Object)]
#[oai(rename = "ProductPatch")]
pub(super) struct PatchSchema {
    /// Its article code, which no other product has; no control characters.
    #[oai(validator(
        min_length = 1,
        max_length = 64,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
    ))]
    sku: Option<String>,
    /// Its name.
    #[oai(validator(min_length = 1, max_length = 255, pattern = "^[^\\u0000]*$"))]
    name: Option<String>,
    /// The category that it belongs to; no control characters.
    #[oai(validator(
        min_length = 1,
        max_length = 64,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
    ))]
    category: Option<String>,
    /// Its price: a number in plain digits with at most two decimals, or the same as text.
    price: Option<f64>,
    /// How many there are.
    #[oai(validator(minimum(value = "0")))]
    stock: Option<i32>,
}

/// An order as it is sent.
#[derive(Object)]
#[oai(rename = "NewOrder")]
pub(super) struct OrderSchema {
    /// Each of another product.
    #[oai(validator(min_items = 1, max_items = 100))]
    lines: Vec<NewOrderLine>,
}

/// So many pieces of a product.
#[derive(Object)]
struct NewOrderLine {
    /// The product's number.
    #[oai(validator(minimum(value = "1")))]
    product_id: i64,
    /// How many.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000000")))]
    quantity: i32,
}

impl Document for catalogue::NewProduct {
    type Schema = NewProduct;

    fn read(json: &[u8]) -> Result<Self, Vec<Invalid>> {
        Self::read(json)
    }
}

/// Several products.
pub(super) struct Batch(pub Vec<catalogue::NewProduct>);

impl Document for Batch {
    type Schema = Vec<NewProduct>;

    fn read(json: &[u8]) -> Result<Self, Vec<Invalid>> {
        catalogue::NewProduct::read_batch(json).map(Self)
    }
}

impl Document for ProductPatch {
    type Schema = PatchSchema;
    const MEDIA_TYPES: &'static [&'static str] =
        &["application/json", "application/merge-patch+json"];

    fn read(json: &[u8]) -> Result<Self, Vec<Invalid>> {
        Self::read(json)
    }
}

impl Document for NewOrder {
    type Schema = OrderSchema;

    fn read(json: &[u8]) -> Result<Self, Vec<Invalid>> {
        Self::read(json)
    }
}
