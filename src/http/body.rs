//! The bytes of a request's JSON body, bounded in size and time.

use std::sync::Arc;
use std::time::Duration;

use poem::http::header;
use poem::{Request, RequestBody};
use tokio::io::AsyncReadExt;

use super::State;
use super::error::{Kind, Problem};
use super::request::RequestInfo;

/// What is too large is read all the same up to this, and thrown away: a client that is still writing does
/// not see an answer on a connection that closes.
const READ_AND_DROPPED: usize = 16 << 20;

/// The media type of a JSON document.
pub(super) const JSON: &[&str] = &["application/json"];

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
