//! The routes: the API, its documentation, and a page to start from.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use poem::endpoint::{make, make_sync};
use poem::http::{HeaderValue, header};
use poem::{Endpoint, IntoEndpoint, Response, Route};

use super::spec::{self, Spec};
use super::{State, page, reports};

/// What is served besides the API.
pub(super) const PAGES: [&str; 4] = ["/", "/report", "/docs", "/openapi.json"];

/// `<!-- report -->` in it is replaced by the link to the lab's newest report.
const LANDING: &str = include_str!("landing.html");

/// Everything that is served.
pub(super) fn routes(state: Arc<State>, spec: &Spec) -> impl Endpoint + 'static {
    let folder: Arc<Path> = state.config.load().server.reports.as_path().into();
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
        .at("/", landing(folder.clone()))
        .at("/report", reports::newest(folder))
        .at("/docs", with_scripts(docs))
        .at("/openapi.json", unchanging(json, "application/json"))
        // Not as one wildcard, which would win over "/".
        .at("/:first", api.clone())
        .at("/:first/*rest", api)
}

pub(super) const HTML: &str = "text/html; charset=utf-8";

/// The page to start from, with the newest report as it is now.
fn landing(reports: Arc<Path>) -> impl Endpoint + 'static {
    let policy = page::policy_for(LANDING);
    poem::get(make(move |_| {
        let (reports, policy) = (reports.clone(), policy.clone());
        async move {
            let link = reports::link(&reports).await;
            let mut page = content(LANDING.replace("<!-- report -->", &link).into(), HTML);
            page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
            page
        }
    }))
}

/// A page that is always the same and runs the scripts in it.
fn with_scripts(html: String) -> impl Endpoint + 'static {
    let policy = page::policy_for(&html);
    let html = Bytes::from(html);
    poem::get(make_sync(move |_| {
        let mut page = content(html.clone(), HTML);
        page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy.clone());
        page
    }))
}

/// A document that is always the same.
fn unchanging(body: String, content_type: &'static str) -> impl Endpoint + 'static {
    let body = Bytes::from(body);
    poem::get(make_sync(move |_| content(body.clone(), content_type)))
}

/// An answer that is asked for anew each time.
pub(super) fn content(body: Bytes, content_type: &'static str) -> Response {
    let mut response = Response::builder().body(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
