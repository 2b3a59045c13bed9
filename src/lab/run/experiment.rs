//! A run in progress: the target, the samplers, and the record as it grows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::block::{self, Spec};
use super::people::People;
use super::progress::Progress;
use super::search::Steps;
use super::staleness::Watched;
use super::{Request, RunError, levels, open};
use crate::config::STANDARD_STRATEGIES;
use crate::lab::load::{Keys, LaneTarget, Shop, StageLevel};
use crate::lab::plan::{Distribution, Model, Parameters, Plan, Point, Search, Staleness};
use crate::lab::record::{Block, Ended, Finding, Role, RunRecord, SCHEMA, Target};
use crate::lab::sample::{self, Sampler, Watch};
use crate::lab::target::{self, Running};
use crate::lab::{doctor, verdict};

/// Users of the block that finds the driver's ceiling.
const CEILING_USERS: f64 = 20.0;

pub(super) struct Experiment<'a> {
    progress: &'a Progress,
    folder: std::path::PathBuf,
    stop: CancellationToken,
    started: Instant,
    running: Running,
    sampler: Sampler,
    /// Where something besides listing is done.
    people: Option<People>,
    record: RunRecord,
}

/// Why no further block is begun.
enum Halt {
    /// The run is over before its plan is; what was measured is kept.
    Ended(Ended),
    /// What was measured cannot be kept.
    Broken(RunError),
}

impl From<RunError> for Halt {
    fn from(error: RunError) -> Self {
        Halt::Broken(error)
    }
}

impl<'a> Experiment<'a> {
    /// Starts what is driven and looks at it.
    pub async fn begin(request: Request<'a>, progress: &'a Progress) -> Result<Self, RunError> {
        let Request {
            plan,
            target: choice,
            cores,
            folder,
            plugins,
            environment,
            despite_findings,
            stop,
        } = request;
        let started = Instant::now();
        let started_at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let says = &|text: &str| progress.says(text);
        let running = open(choice, &plan, plugins, environment, cores.as_ref(), says).await?;
        let sampler = Sampler::connect(Watch {
            started,
            base: running.base.clone(),
            service_pid: running.pid,
            config: running.config.clone(),
            strategies: running.strategies.clone(),
        })
        .await;
        let (max_connections, reserved) = sampler.limits();
        let live = doctor::Live { max_connections, reserved, ..doctor::Live::default() };
        let findings = doctor::examine(&plan, running.config.as_ref(), Some(&live));
        progress.says(&doctor::render(&findings));
        if !findings.is_empty() && !despite_findings {
            let count = findings.len();
            running.stop().await;
            return Err(RunError::Findings(count));
        }
        let target = running.record(&sampler);
        let record = empty(plan, started_at, findings, target, cores.as_ref());
        Ok(Self { progress, folder, stop, started, running, sampler, people: None, record })
    }

    /// Does what the plan says, for as long as the target lives and nobody ends it.
    pub async fn perform(mut self) -> Result<RunRecord, RunError> {
        self.write()?;
        let plan = self.record.plan.clone();
        self.record.ended = match self.follow(&plan).await {
            Ok(()) => Ended::Finished,
            Err(Halt::Ended(how)) => how,
            Err(Halt::Broken(error)) => return Err(error),
        };
        self.record.target.sources = self.sampler.sources();
        self.write()?;
        self.progress.finish();
        self.running.stop().await;
        Ok(self.record)
    }

    async fn follow(&mut self, plan: &Plan) -> Result<(), Halt> {
        if !plan.idle.is_zero() {
            self.progress.says("  idle");
            let now = Instant::now();
            self.record.idle = self.sampler.during(now, now + plan.idle, &self.stop).await;
            self.progress.advance(plan.idle);
        }
        if !plan.ceiling.is_zero() {
            self.ceiling(plan).await?;
        }
        if !plan.tasks.only_lists() || plan.staleness.is_some() {
            let count = plan.users.count;
            self.progress.says(&format!("  signing in {count} users"));
            let gathered = People::gather(plan, &self.running.base).await;
            self.people = Some(gathered.map_err(|why| Halt::Ended(Ended::Failed { why }))?);
        }
        for (number, point) in plan.points.iter().enumerate() {
            self.point(plan, number, point).await?;
        }
        if let Some(search) = &plan.search {
            for strategy in &plan.strategies {
                self.search(plan, search, &strategy.name).await?;
            }
        }
        Ok(())
    }

    async fn ceiling(&mut self, plan: &Plan) -> Result<(), Halt> {
        let nothing = Parameters { values: vec![String::new()], distribution: Distribution::Fixed };
        let duration = plan.ceiling;
        let spec = Spec {
            point: "noop",
            round: 1,
            role: Role::Ceiling,
            lanes: vec![LaneTarget { strategy: "noop".into(), path: "/noop".into() }],
            model: Model::Closed { pause: Duration::ZERO },
            stages: vec![StageLevel { level: CEILING_USERS, ramp: Duration::ZERO, duration }],
            warm_up: Duration::from_millis(300),
            timeout: plan.timeout,
            keys: Arc::new(Keys::new(&nothing, plan.seed, 1)),
            shop: None,
            pause_spread: Duration::ZERO,
            staleness: None,
            seed: plan.seed,
        };
        self.block(spec).await
    }

    async fn point(&mut self, plan: &Plan, number: usize, point: &Point) -> Result<(), Halt> {
        for round in 1..=plan.rounds {
            for (strategies, role) in levels::order(plan, number, round) {
                let stages = levels::of_stages(point, &strategies[0], &self.record.blocks)
                    .map_err(|why| Halt::Ended(Ended::Failed { why }))?;
                let spec = Spec {
                    point: &point.name,
                    round,
                    role,
                    lanes: strategies.iter().map(|name| lane(name)).collect(),
                    model: point.model,
                    stages,
                    warm_up: plan.warm_up,
                    timeout: plan.timeout,
                    keys: Arc::new(Keys::new(&plan.parameters, plan.seed, round)),
                    shop: self.shop(plan, round).await?,
                    pause_spread: plan.pause_spread,
                    staleness: self.staleness(plan),
                    seed: plan.seed ^ u64::from(round),
                };
                self.block(spec).await?;
            }
        }
        Ok(())
    }

    async fn search(&mut self, plan: &Plan, search: &Search, strategy: &str) -> Result<(), Halt> {
        let mut steps = Steps::new(search);
        let mut step = 0;
        while let Some(level) = steps.next() {
            step += 1;
            let spec = Spec {
                point: "search",
                round: step,
                role: Role::Probe,
                lanes: vec![lane(strategy)],
                model: search.model,
                stages: vec![StageLevel { level, ramp: Duration::ZERO, duration: search.probe }],
                warm_up: plan.warm_up,
                timeout: plan.timeout,
                keys: Arc::new(Keys::new(&plan.parameters, plan.seed, step)),
                shop: self.shop(plan, step).await?,
                pause_spread: plan.pause_spread,
                staleness: None,
                seed: plan.seed ^ u64::from(step),
            };
            self.block(spec).await?;
            let last = self.record.blocks.last().expect("a block was just measured");
            steps.tried(level, verdict::judge(search, strategy, [last].into_iter()).step.held);
        }
        Ok(())
    }

    /// What a block of this round does besides listing: the same for every strategy.
    async fn shop(&self, plan: &Plan, round: u32) -> Result<Option<Arc<Shop>>, Halt> {
        let Some(people) = &self.people else { return Ok(None) };
        people.are_signed_in().await.map_err(|why| Halt::Ended(Ended::Failed { why }))?;
        let seed = plan.seed ^ (u64::from(round) << 32);
        Ok(Some(Arc::new(Shop { seed, ..people.shop.clone() })))
    }

    fn staleness(&self, plan: &Plan) -> Option<(Staleness, Arc<Watched>)> {
        Some((plan.staleness?, self.people.as_ref()?.watched.clone()))
    }

    /// One block, and the file. An error when there should be no further one.
    async fn block(&mut self, spec: Spec<'_>) -> Result<(), Halt> {
        let block = block::measure(
            spec,
            &self.running.base,
            &mut self.sampler,
            self.started,
            &self.stop,
            self.progress,
        )
        .await;
        self.progress.ended(&block, self.record.plan.rounds);
        let cut = block.cut.clone();
        self.record.blocks.push(block);
        self.write()?;
        if self.stop.is_cancelled() {
            return Err(Halt::Ended(Ended::Interrupted));
        }
        if !self.running.is_alive() {
            let words = self.running.last_words().await;
            let why = format!("the service ended in the middle. Its last words:\n{words}");
            return Err(Halt::Ended(Ended::Failed { why }));
        }
        match cut {
            None => Ok(()),
            Some(why) => Err(Halt::Ended(Ended::Failed { why })),
        }
    }

    fn write(&mut self) -> Result<(), RunError> {
        self.record.took_seconds = self.started.elapsed().as_secs_f64();
        let path = self.folder.join("run.json");
        self.record.write(&path).map_err(|error| RunError::Write { path, error })
    }
}

/// The three that always exist are driven at their own endpoints.
fn lane(strategy: &str) -> LaneTarget {
    let path = if STANDARD_STRATEGIES.contains(&strategy) {
        format!("/products/{strategy}")
    } else {
        format!("/strategies/{strategy}/products")
    };
    LaneTarget { strategy: strategy.to_owned(), path }
}

/// A record of a run in which nothing was measured yet.
pub(in crate::lab) fn empty(
    plan: Plan,
    started_at: String,
    findings: Vec<Finding>,
    target: Target,
    cores: Option<&target::Pins>,
) -> RunRecord {
    let mut host = sample::host();
    let list = |cores: &BTreeSet<u32>| cores.iter().copied().collect();
    host.driver_cores = cores.and_then(|pins| pins.driver.as_ref()).map(list);
    host.service_cores = cores.and_then(|pins| pins.service.as_ref()).map(list);
    RunRecord {
        schema: SCHEMA,
        poolwise: env!("CARGO_PKG_VERSION").to_owned(),
        started_at,
        took_seconds: 0.0,
        ended: Ended::Running,
        plan,
        host,
        target,
        findings,
        idle: Vec::new(),
        blocks: Vec::<Block>::new(),
        watched: None,
    }
}
