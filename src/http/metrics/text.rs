//! Families of metrics in Prometheus's text format 0.0.4, by the encoder of prometheus-client.
//!
//! That encoder writes OpenMetrics, which leaves `_total` out of the name that HELP and TYPE give a counter.
//! Every Prometheus, and `promtool check metrics`, reads the older format; so a counter is given to it under
//! its whole name, as a value without a suffix, and the end-of-file mark is left out.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::observe::Shares;

/// The labels of a series. Nothing that comes from outside ever is one, so nothing has to be escaped.
pub(super) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// What is written so far.
pub(super) struct Text<'a>(DescriptorEncoder<'a>);

impl<'a> Text<'a> {
    pub fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// What only rises, until the process starts anew.
    pub fn counter<'s, V: EncodeGaugeValue>(
        &mut self,
        name: &'static str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'s>, V)>,
    ) -> fmt::Result {
        self.family((name, help, MetricType::Counter), series, |metric, value| {
            metric.encode_gauge(value)
        })
    }

    /// What is so at the moment.
    pub fn gauge<'s, V: EncodeGaugeValue>(
        &mut self,
        name: &'static str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'s>, V)>,
    ) -> fmt::Result {
        self.family((name, help, MetricType::Gauge), series, |metric, value| {
            metric.encode_gauge(value)
        })
    }

    /// Samples between bounds.
    pub fn histogram<'s>(
        &mut self,
        name: &'static str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'s>, Shares)>,
    ) -> fmt::Result {
        self.family((name, help, MetricType::Histogram), series, |metric, shares| {
            let Shares { buckets, sum, count } = shares;
            metric.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)
        })
    }

    /// A family without series is left out.
    fn family<'s, V>(
        &mut self,
        (name, help, kind): (&'static str, &str, MetricType),
        series: impl IntoIterator<Item = (Labels<'s>, V)>,
        write: impl Fn(&mut MetricEncoder<'_>, &V) -> fmt::Result,
    ) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in series {
            match labels.as_slice() {
                [] => write(&mut metric, &value)?,
                labels => write(&mut metric.encode_family(&labels)?, &value)?,
            }
        }
        Ok(())
    }
}

/// A series without labels.
pub(super) fn plain<V>(value: V) -> [(Labels<'static>, V); 1] {
    [(Vec::new(), value)]
}

/// A series for each of `all`, 1 for the one that is.
pub(super) fn one_hot<'a, K: Copy + PartialEq>(
    labels: Labels<'a>,
    key: &'static str,
    all: &'static [K],
    name: impl Fn(K) -> &'static str,
    is: K,
) -> impl Iterator<Item = (Labels<'a>, u64)> {
    all.iter().map(move |kind| {
        let mut labels = labels.clone();
        labels.push((key, name(*kind)));
        (labels, u64::from(*kind == is))
    })
}
