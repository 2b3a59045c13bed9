//! Answers by route, clients, sign-ins.

use std::fmt;
use std::sync::Arc;

use super::super::State;
use super::text::{Labels, Text, plain};
use crate::observe::{HttpSeries, Kind, RouteMeter, SignIn};

pub(super) fn write(text: &mut Text<'_>, state: &State) -> fmt::Result {
    let routes = state.meter.http.routes();
    let all: Vec<(&RouteMeter, Arc<HttpSeries>, String)> = routes
        .iter()
        .flat_map(|route| route.series().into_iter().map(move |series| (&**route, series)))
        .map(|(route, series)| (route, series.clone(), series.status.to_string()))
        .collect();
    let labels = || all.iter().map(|(route, series, status)| labels(route, series, status));
    let each = || all.iter().map(|(_, series, _)| series);
    text.counter(
        "http_requests_total",
        "Requests that are over, by route, method, status and, where one answered, strategy.",
        labels().zip(each().map(|series| series.duration.count())),
    )?;
    text.histogram(
        "http_request_duration_seconds",
        "From the arrival of a request to the last byte of its answer handed to the socket.",
        labels().zip(each().map(|series| series.duration.shares())),
    )?;
    text.histogram(
        "http_request_size_bytes",
        "Head of a request, and as much of its body as was read.",
        labels().zip(each().map(|series| series.request_size.shares())),
    )?;
    text.histogram(
        "http_response_size_bytes",
        "Body of an answer, as much as was handed to the socket.",
        labels().zip(each().map(|series| series.response_size.shares())),
    )?;
    clients(text, state)
}

fn labels<'a>(route: &'a RouteMeter, series: &'a HttpSeries, status: &'a str) -> Labels<'a> {
    let mut labels =
        vec![("route", route.pattern()), ("method", series.method.name()), ("status", status)];
    labels.extend(series.strategy.as_deref().map(|strategy| ("strategy", strategy)));
    labels
}

fn clients(text: &mut Text<'_>, state: &State) -> fmt::Result {
    text.gauge(
        "poolwise_client_connections",
        "Connections of clients that are open.",
        state.meter.connections.get().into_iter().flat_map(|gauge| plain(gauge.get())),
    )?;
    text.counter(
        "poolwise_rate_limited_requests_total",
        "Requests refused because their client asked for more than rate_limit allows.",
        plain(state.rate_limited.get()),
    )?;
    let sign_ins = SignIn::ALL.iter().flat_map(|what| {
        let each = state.meter.sign_ins[what.index()].each();
        each.map(|(outcome, count)| (vec![("kind", what.name()), ("outcome", outcome)], count))
    });
    text.counter(
        "poolwise_sign_ins_total",
        "Registrations, sign-ins, refreshes and sign-outs, by what came of them.",
        sign_ins,
    )
}
