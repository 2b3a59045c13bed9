//! One block: the load and the samplers side by side on one clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use super::staleness::{self, Watched};
use crate::lab::base::Base;
use crate::lab::load::{self, Job, Keys, LaneTarget, Live, Shop, StageLevel};
use crate::lab::plan::{Model, Staleness};
use crate::lab::record::{Block, Load, Role, StalenessRecord};
use crate::lab::sample::Sampler;

/// Time for opening connections before the load begins.
const LEAD: Duration = Duration::from_millis(500);

/// What to do in a block.
pub(super) struct Spec<'a> {
    pub point: &'a str,
    pub round: u32,
    pub role: Role,
    pub lanes: Vec<LaneTarget>,
    pub model: Model,
    pub stages: Vec<StageLevel>,
    pub warm_up: Duration,
    pub timeout: Duration,
    pub keys: Arc<Keys>,
    pub shop: Option<Arc<Shop>>,
    pub pause_spread: Duration,
    /// How stale answers are looked at, and by which product.
    pub staleness: Option<(Staleness, Arc<Watched>)>,
    pub seed: u64,
}

/// Drives a block and samples while it is measured.
pub(super) async fn measure(
    spec: Spec<'_>,
    base: &Base,
    sampler: &mut Sampler,
    started: Instant,
    stop: &CancellationToken,
    progress: &Progress,
) -> Block {
    let begin = Instant::now() + LEAD;
    let from = begin + spec.warm_up;
    let to = from + spec.stages.iter().map(|stage| stage.duration).sum::<Duration>();
    let load = highest(&spec);
    let strategy = spec.lanes[0].strategy.clone();
    let live = Arc::new(Live::default());
    let (stop_load, stop_samples) = (stop.child_token(), stop.child_token());
    let job = Job {
        base: base.clone(),
        lanes: spec.lanes,
        model: spec.model,
        stages: spec.stages,
        warm_up: spec.warm_up,
        timeout: spec.timeout,
        keys: spec.keys,
        shop: spec.shop.clone().filter(|shop| !shop.tasks.only_lists()),
        pause_spread: spec.pause_spread,
        seed: spec.seed,
        begin,
        live: live.clone(),
        stop: stop_load,
    };
    let drive = async {
        let driven = load::drive(job).await;
        // A block that was cut short has nothing left to sample.
        if driven.cut.is_some() {
            stop_samples.cancel();
        }
        driven
    };
    let shown = progress.block(&live, begin, to);
    let seen = Mutex::new(StalenessRecord::default());
    let look = async {
        if let (Some((looks, watched)), Some(shop)) = (&spec.staleness, spec.shop) {
            let at = (base, shop, &**watched);
            staleness::look(*looks, at, &strategy, (from, to), &seen).await;
        }
        std::future::pending::<()>().await;
    };
    let (mut driven, samples) = tokio::select! {
        both = async { tokio::join!(drive, sampler.during(from, to, &stop_samples)) } => both,
        () = shown => unreachable!("progress is shown until the block has ended"),
        () = look => unreachable!("whoever looks waits until the block has ended"),
    };
    if spec.staleness.is_some() {
        let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        driven.lanes[0].staleness = Some(seen);
    }
    let since = |moment: Instant| moment.saturating_duration_since(started).as_secs_f64();
    Block {
        point: spec.point.to_owned(),
        round: spec.round,
        role: spec.role,
        load,
        from_seconds: since(driven.measured.0),
        to_seconds: since(driven.measured.1),
        cut: driven.cut,
        lanes: driven.lanes,
        samples,
    }
}

/// The load at its highest.
fn highest(spec: &Spec<'_>) -> Load {
    let level = spec.stages.iter().map(|stage| stage.level).fold(0.0, f64::max);
    match spec.model {
        Model::Closed { pause } => {
            Load::Closed { users: level.round() as u32, pause_seconds: pause.as_secs_f64() }
        }
        Model::Open { connections, .. } => Load::Open { rate: level, connections },
        Model::Watched => Load::Watched,
    }
}
