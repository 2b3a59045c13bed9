//! The endpoints of the spec.

use std::sync::Arc;

use poem::http::HeaderMap;
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::param::Path;
use poem_openapi::payload::{Json, PlainText};
use poem_openapi::{ApiResponse, OpenApi, Tags};

use super::State;
use super::answer::{Many, One, Products, Shape, answer};
use super::error::{Kind, Problem};
use super::health::{HealthAnswer, Liveness, ReadyAnswer};
use super::metrics;
use super::parameters::{ListQuery, NoQuery};
use super::request::RequestInfo;
use super::stats::{self, Stats, StrategyInfo};
use crate::query::ProductQuery;

/// The endpoints, over what every request can see.
pub(super) struct Api {
    pub state: Arc<State>,
}

#[derive(Tags)]
pub(super) enum Tag {
    /// One query, three ways.
    Products,
    /// Taken out of the stock, seen by whoever placed them.
    Orders,
    /// Every configured way.
    Strategies,
    /// Who may write. Reading needs no sign-in.
    #[oai(rename = "Sign-in")]
    SignIn,
    /// How the service is doing.
    Observe,
}

/// The request as its handler needs it, besides its parameters.
pub(super) struct Asked<'a> {
    pub headers: &'a HeaderMap,
    pub info: &'a Arc<RequestInfo>,
}

impl<'a> FromRequest<'a> for Asked<'a> {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let info = request.data().ok_or_else(|| Problem::new(Kind::Internal, "no request info"))?;
        Ok(Self { headers: request.headers(), info })
    }
}

impl Api {
    async fn answer<S: Shape>(
        &self,
        strategy: &str,
        query: &ProductQuery,
        asked: &Asked<'_>,
    ) -> Result<Products<S>, Problem> {
        // Not for as long as the answer takes: strategies that are gone would keep their connections.
        let found = self.state.strategies.load().get(strategy).cloned();
        let Some(strategy) = found else {
            let detail = format!("There is no strategy {strategy:?}. GET /strategies lists them.");
            return Err(Problem::new(Kind::NotFound, detail));
        };
        let timeout = self.state.config.load().server.request_timeout;
        answer(&strategy, query, asked.headers, asked.info, timeout).await
    }
}

#[OpenApi]
impl Api {
    /// Products, a connection for each request
    ///
    /// Opens a connection to the database, asks, and closes it.
    #[oai(
        path = "/products/direct",
        method = "get",
        operation_id = "list_direct",
        tag = "Tag::Products"
    )]
    async fn direct(&self, query: ListQuery, asked: Asked<'_>) -> Result<Products<Many>, Problem> {
        self.answer("direct", &query.0, &asked).await
    }

    /// Products, through a pool
    ///
    /// Borrows a connection from a pool of fixed size.
    #[oai(
        path = "/products/pooled",
        method = "get",
        operation_id = "list_pooled",
        tag = "Tag::Products"
    )]
    async fn pooled(&self, query: ListQuery, asked: Asked<'_>) -> Result<Products<Many>, Problem> {
        self.answer("pooled", &query.0, &asked).await
    }

    /// Products, through a cache
    ///
    /// Answers from the cache; what is not there is fetched through a pool and kept. The parameters
    /// are the key.
    #[oai(
        path = "/products/cached",
        method = "get",
        operation_id = "list_cached",
        tag = "Tag::Products"
    )]
    async fn cached(&self, query: ListQuery, asked: Asked<'_>) -> Result<Products<Many>, Problem> {
        self.answer("cached", &query.0, &asked).await
    }

    /// Products, through any configured strategy
    #[oai(
        path = "/strategies/:name/products",
        method = "get",
        operation_id = "list_by_strategy",
        tag = "Tag::Strategies"
    )]
    async fn by_strategy(
        &self,
        name: Path<String>,
        query: ListQuery,
        asked: Asked<'_>,
    ) -> Result<Products<Many>, Problem> {
        self.answer(&name.0, &query.0, &asked).await
    }

    /// One product, through any configured strategy
    #[oai(
        path = "/strategies/:name/products/:id",
        method = "get",
        operation_id = "get_product_by_strategy",
        tag = "Tag::Strategies"
    )]
    async fn product_by_strategy(
        &self,
        name: Path<String>,
        id: Path<i64>,
        _none: NoQuery,
        asked: Asked<'_>,
    ) -> Result<Products<One>, Problem> {
        self.answer(&name.0, &ProductQuery::by_id(id.0), &asked).await
    }

    /// Every strategy
    ///
    /// With what it is made of and how it is doing.
    #[oai(
        path = "/strategies",
        method = "get",
        operation_id = "list_strategies",
        tag = "Tag::Strategies"
    )]
    async fn strategies(&self, _none: NoQuery) -> Result<Json<Vec<StrategyInfo>>, Problem> {
        Ok(Json(stats::strategies(&self.state)))
    }

    /// How the service is doing
    ///
    /// From memory: it answers when the pool is full or the database frozen.
    #[oai(path = "/stats", method = "get", operation_id = "stats", tag = "Tag::Observe")]
    async fn stats(&self, _none: NoQuery) -> Result<Json<Stats>, Problem> {
        Ok(Json(stats::stats(&self.state)))
    }

    /// The same for Prometheus
    ///
    /// Counters since the start, gauges and histograms in its text format; from memory, as `/stats`.
    #[oai(path = "/metrics", method = "get", operation_id = "metrics", tag = "Tag::Observe")]
    async fn metrics(&self, _none: NoQuery) -> Result<Metrics, Problem> {
        Ok(Metrics::Text(PlainText(metrics::metrics(self.state.clone()))))
    }

    /// The state of the service
    ///
    /// Healthy, warning, degraded or critical, since when, why, and what it was judged by; from
    /// memory. 503 when critical, so that a monitor that knows nothing but statuses can tell; a load
    /// balancer asks `/health/ready`.
    #[oai(path = "/health", method = "get", operation_id = "health", tag = "Tag::Observe")]
    async fn health(&self, _none: NoQuery) -> HealthAnswer {
        self.state.health.report().into()
    }

    /// The state of the service, under another name
    #[oai(
        path = "/health_check",
        method = "get",
        operation_id = "health_check",
        tag = "Tag::Observe"
    )]
    async fn health_check(&self, _none: NoQuery) -> HealthAnswer {
        self.state.health.report().into()
    }

    /// Whether the process lives
    ///
    /// 200 for as long as it answers, whatever else is down.
    #[oai(path = "/health/live", method = "get", operation_id = "live", tag = "Tag::Observe")]
    async fn live(&self, _none: NoQuery) -> Json<Liveness> {
        Json(Liveness { live: true })
    }

    /// Whether requests should be sent here
    ///
    /// Not while it is starting or stopping, nor when the database cannot be reached. How much of the
    /// pools is in use does not matter.
    #[oai(path = "/health/ready", method = "get", operation_id = "ready", tag = "Tag::Observe")]
    async fn ready(&self, _none: NoQuery) -> ReadyAnswer {
        self.state.health.phase().into()
    }

    /// Nothing
    ///
    /// What the HTTP stack alone costs.
    #[oai(path = "/noop", method = "get", operation_id = "noop", tag = "Tag::Observe")]
    async fn noop(&self, _none: NoQuery) -> Result<Noop, Problem> {
        Ok(Noop::Done)
    }
}

#[derive(ApiResponse)]
enum Metrics {
    /// Every figure
    #[oai(status = 200, content_type = "text/plain; version=0.0.4; charset=utf-8")]
    Text(PlainText<String>),
}

#[derive(ApiResponse)]
enum Noop {
    /// Nothing, as asked
    #[oai(status = 204)]
    Done,
}
