//! The routes: the API, its documentation, and a page to start from.

use std::sync::Arc;

use poem::endpoint::make_sync;
use poem::http::{HeaderValue, header};
use poem::{Endpoint, IntoEndpoint, Response, Route};

use super::State;
use super::spec::{self, Spec};

const LANDING: &str = include_str!("landing.html");

/// Everything that is served.
pub(super) fn routes(state: Arc<State>, spec: &Spec) -> impl Endpoint + 'static {
    let service = spec::service(state);
    // The page comes with its script and style inside; only the document in it is replaced, by
    // the completed one. `<` cannot end a script early that way.
    let docs = service
        .swagger_ui_html()
        .replace(&service.spec(), &spec.json.replace('<', "\\u003c"))
        .replace("<title>Swagger UI</title>", "<title>Poolwise API</title>")
        .replace(
            "filter: false,",
            "filter: false, tryItOutEnabled: true, defaultModelsExpandDepth: 0,",
        );
    let json = spec.json.clone();
    let api = Arc::new(service.into_endpoint());
    Route::new()
        .at("/", page(LANDING.to_owned(), "text/html; charset=utf-8"))
        .at("/docs", page(docs, "text/html; charset=utf-8"))
        .at("/openapi.json", page(json, "application/json"))
        // Not as one wildcard, which would win over "/".
        .at("/:first", api.clone())
        .at("/:first/*rest", api)
}

fn page(body: String, content_type: &'static str) -> impl Endpoint + 'static {
    let body = bytes::Bytes::from(body);
    poem::get(make_sync(move |_| {
        let mut response = Response::builder().body(body.clone());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }))
}
