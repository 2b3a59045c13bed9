//! The JSON body of a request: bounded in size and time, read to a table whose every problem is named.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use poem::http::header;
use poem::{Request, RequestBody};
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde_json::{Map, Value};
use tokio::io::AsyncReadExt;

use super::State;
use super::error::{Kind, Problem};
use super::request::RequestInfo;
use crate::query::InvalidParameter;

/// What is too large is read all the same up to this, and thrown away: a client that is still writing does
/// not see an answer on a connection that closes.
const READ_AND_DROPPED: usize = 16 << 20;

/// The media type of a JSON document.
pub(super) const JSON: &[&str] = &["application/json"];

/// What a body says, checked field by field.
pub(super) trait FromFields: Sized {
    /// What the spec says of it.
    type Schema: Type;
    /// The longest body that makes sense.
    const MOST_BYTES: usize;

    /// Takes its fields; what is wrong with them is noted in `fields`.
    fn from_fields(fields: &mut Fields) -> Option<Self>;
}

/// The fields of a body, and everything that is wrong with them.
pub(super) struct Fields {
    left: Map<String, Value>,
    problems: Vec<InvalidParameter>,
}

impl Fields {
    /// Notes what is wrong with a field, as the end of a sentence.
    pub fn refuse(&mut self, name: &str, reason: impl Into<String>) {
        self.problems.push(InvalidParameter { name: name.into(), reason: reason.into() });
    }

    /// A text that has to be there.
    pub fn text(&mut self, name: &str) -> Option<String> {
        match self.left.shift_remove(name) {
            Some(Value::String(text)) => return Some(text),
            Some(other) => self.refuse(name, format!("must be a text, not {}", kind_of(&other))),
            None => self.refuse(name, "is missing"),
        }
        None
    }

    /// The same, as what `parse` makes of it.
    pub fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(String) -> Result<T, &'static str>,
    ) -> Option<T> {
        match parse(self.text(name)?) {
            Ok(parsed) => Some(parsed),
            Err(reason) => {
                self.refuse(name, reason);
                None
            }
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A JSON body.
pub(super) struct Body<T>(pub T);

impl<T> Deref for Body<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

fn parse<T: FromFields>(bytes: &[u8]) -> Result<T, Problem> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        // Without the text, in which a password may stand.
        let (line, column) = (error.line(), error.column());
        let what = match error.classify() {
            serde_json::error::Category::Eof => "it ends too early",
            _ => "it is no JSON, or nested too deeply",
        };
        let detail = format!("The body cannot be read: {what} (line {line}, column {column}).");
        Problem::new(Kind::BadRequest, detail)
    })?;
    let Value::Object(left) = value else {
        let detail = format!("The body must be a JSON object, not {}.", kind_of(&value));
        return Err(Problem::new(Kind::BadRequest, detail));
    };
    let mut fields = Fields { left, problems: Vec::new() };
    let read = T::from_fields(&mut fields);
    let unknown: Vec<String> = fields.left.keys().cloned().collect();
    unknown.iter().for_each(|name| fields.refuse(shown(name), "is not a known field"));
    match read {
        Some(read) if fields.problems.is_empty() => Ok(read),
        _ => Err(Problem::bad_fields(fields.problems)),
    }
}

/// Enough of a name to be recognised.
fn shown(name: &str) -> &str {
    let end = name.char_indices().nth(64).map_or(name.len(), |(end, _)| end);
    &name[..end]
}

/// The bytes of a body of one of `media_types`, at most `most` of them.
async fn read(
    request: &Request,
    body: &mut RequestBody,
    (most, media_types): (usize, &[&str]),
) -> Result<Vec<u8>, Problem> {
    let media_type = request.header(header::CONTENT_TYPE).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    let coding = request.header(header::CONTENT_ENCODING).unwrap_or("identity");
    if !media_types.iter().any(|known| media_type.eq_ignore_ascii_case(known))
        || !coding.eq_ignore_ascii_case("identity")
    {
        let known = media_types.join(" or ");
        let detail = format!("Send the body as JSON, with `Content-Type: {known}`, uncompressed.");
        return Err(Problem::new(Kind::MediaType, detail));
    }
    let too_large = || {
        let detail = format!("The longest body that is read here has {most} bytes.");
        Problem::new(Kind::BodyTooLarge, detail)
    };
    let announced = request.header(header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
    // Who asks before sending has not begun.
    let longest =
        if request.headers().contains_key(header::EXPECT) { most } else { READ_AND_DROPPED };
    if announced.is_some_and(|bytes: usize| bytes > longest) {
        return Err(too_large());
    }
    let info = request.data::<Arc<RequestInfo>>();
    let unreadable = |_| Problem::new(Kind::BadRequest, "The body ended before it was whole.");
    let mut reader = body
        .take()
        .map_err(|_| Problem::new(Kind::BadRequest, "There is no body."))?
        .into_async_read();
    let (mut bytes, mut dropped, mut chunk) = (Vec::new(), 0, [0; 4096]);
    loop {
        let count = reader.read(&mut chunk).await.map_err(unreadable)?;
        if count == 0 {
            break;
        }
        if let Some(info) = info {
            info.has_read(count);
        }
        if dropped == 0 && bytes.len() + count <= most {
            bytes.extend_from_slice(&chunk[..count]);
        } else {
            dropped += count;
            if dropped > READ_AND_DROPPED {
                break;
            }
        }
    }
    if dropped > 0 { Err(too_large()) } else { Ok(bytes) }
}

/// The same within the time of the request.
pub(super) async fn read_in_time(
    request: &Request,
    body: &mut RequestBody,
    bounds: (usize, &[&str]),
) -> Result<Vec<u8>, Problem> {
    let state = request.data::<Arc<State>>();
    let limit =
        state.map_or(Duration::from_secs(30), |state| state.config.load().server.request_timeout);
    let bytes = tokio::time::timeout(limit, read(request, body, bounds)).await;
    bytes.unwrap_or_else(|_| {
        let limit = humantime::format_duration(limit);
        Err(Problem::new(Kind::BodyTimeout, format!("It was not whole within {limit}.")))
    })
}

impl<'a, T: FromFields> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::Schema::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let schema: MetaSchemaRef = T::Schema::schema_ref();
        let content_type = Json::<T::Schema>::CONTENT_TYPE;
        let content = vec![MetaMediaType { content_type, schema }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<Self::ParamType>,
    ) -> poem::Result<Self> {
        let bytes = read_in_time(request, body, (T::MOST_BYTES, JSON)).await?;
        Ok(Self(parse(&bytes)?))
    }
}
