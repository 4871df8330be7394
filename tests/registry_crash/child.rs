//! A process that writes until it is killed.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use model_runtime::SystemClock;
use model_runtime::catalog::{Catalog, Offering, Subject, Task};
use model_runtime::clock::Clock;
use model_runtime::database::{Database, DatabaseError};
use model_runtime::lifecycle::{Change, Draft, EventKey, Offer, State, Timeline, UpdateRecord};
use model_runtime::metering::ledger::{Ledger, LedgerOptions, Outcome as Ended, Phases, UsageRecord};
use model_runtime::registry::{
    DeliveredEvents, EndpointLog, ModelName, NewModel, NewVersion, Registration, Registry, RegistryError,
    TimelineLog, UpdateLog, VersionId,
};

use super::Outcome;
use super::random::Random;
use super::writes::Write;

/// The names under which models are registered.
pub(crate) const NAMES: [&str; 3] = ["main.crash.a", "main.crash.b", "main.crash.c"];

pub(crate) fn event(round: u32) -> EventKey {
    EventKey {
        subject: Subject::model("m"),
        offering: Offering::PayPerToken,
        state: State::Announced,
        principal: "ann".into(),
        round,
    }
}

/// Says that a write has succeeded. The line is out in one piece or it is cut short, which its reader sees.
fn acknowledge(write: &Write) -> Outcome {
    let mut line = serde_json::to_vec(write)?;
    line.push(b'\n');
    let mut output = std::io::stdout().lock();
    output.write_all(&line)?;
    output.flush()?;
    Ok(())
}

struct Writer {
    random: Random,
    number: u64,
    count: u64,
    files: PathBuf,
    clock: Arc<SystemClock>,
    registry: Registry,
    revisions: TimelineLog,
    timeline: Timeline,
    updates: UpdateLog,
    events: DeliveredEvents,
    endpoints: EndpointLog,
    ledger: Ledger,
}

/// Writes until it is killed. `task` is the number of the child, its seed and the directory.
pub(crate) fn run(task: &str) -> Outcome {
    let mut parts = task.splitn(3, ':');
    let mut part = || parts.next().ok_or("the task has three parts");
    let (number, seed, dir) = (part()?.parse()?, part()?.parse()?, Path::new(part()?));
    let clock = Arc::new(SystemClock::new());
    let database = Database::open(&dir.join("runtime.db"))?;
    // The log of writes is carried over into the file often, so that it is killed in the middle of that too.
    database.read(|tx| Ok::<_, DatabaseError>(tx.execute_batch("PRAGMA wal_autocheckpoint = 20")?))?;
    let mut writer = Writer {
        random: Random::new(seed),
        number,
        count: 0,
        files: dir.join("files"),
        registry: Registry::new(&database, clock.clone())?,
        revisions: TimelineLog::new(&database),
        timeline: Timeline::new(Catalog::builtin()?.policy().clone()),
        updates: UpdateLog::new(&database),
        events: DeliveredEvents::new(&database, clock.clone()),
        endpoints: EndpointLog::new(&database, clock.clone()),
        ledger: Ledger::open(&database, clock.clone(), LedgerOptions::default())?,
        clock,
    };
    loop {
        writer.write()?;
    }
}

/// What the other child may have brought about is no failure.
fn unless_beaten<T>(outcome: Result<T, RegistryError>) -> Outcome<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(
            RegistryError::ModelNotFound { .. }
            | RegistryError::VersionNotFound { .. }
            | RegistryError::Exists { .. }
            | RegistryError::NotPending { .. }
            | RegistryError::TakenUp { .. },
        ) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Writer {
    fn write(&mut self) -> Outcome {
        self.count += 1;
        let token = format!("t{}-{}", self.number, self.count);
        let name: ModelName = NAMES[self.random.below(NAMES.len() as u64) as usize].parse()?;
        match self.random.below(24) {
            0..8 => self.register(&name, token),
            8..11 => self.alias(&name, token),
            11 => self.delete_version(&name, &token),
            12 => self.take_up(&token),
            13 if self.random.below(4) == 0 => {
                unless_beaten(self.registry.delete_model(&name, &token)).map(drop)
            }
            13..16 => self.append_revision(&token),
            16..18 => self.append_update(token),
            18..20 => self.claim_event(),
            20..22 => self.configure(token),
            _ => self.record_usage(&token),
        }
    }

    fn register(&mut self, name: &ModelName, token: String) -> Outcome {
        let new = NewVersion::at(&self.files).comment(&token);
        let begun = self.registry.begin_version(name, &new, &token);
        if let Err(RegistryError::ModelNotFound { .. }) = begun {
            if unless_beaten(self.registry.create_model(name, &NewModel::default(), &token))?.is_some() {
                acknowledge(&Write::Model { name: name.clone(), token })?;
            }
            return Ok(());
        }
        let Some(registration) = unless_beaten(begun)? else { return Ok(()) };
        let id = registration.id().clone();
        acknowledge(&Write::Begun { id: id.clone(), token: token.clone() })?;
        self.finish(id, registration, &token)
    }

    fn finish(&self, id: VersionId, registration: Registration, by: &str) -> Outcome {
        let finished = self.registry.finish_version(registration, by, &mut |_| ControlFlow::Continue(()));
        match unless_beaten(finished)? {
            Some(_) => acknowledge(&Write::Ready { id }),
            None => Ok(()),
        }
    }

    /// Goes on where a process that is dead left off, or takes from the living one what it is about to finish.
    fn take_up(&mut self, by: &str) -> Outcome {
        let pending = self.registry.pending_versions()?;
        let Some(id) = pending.first() else { return Ok(()) };
        match unless_beaten(self.registry.resume_version(id))? {
            Some(registration) => self.finish(id.clone(), registration, by),
            None => Ok(()),
        }
    }

    fn some_version(&mut self, name: &ModelName) -> Outcome<Option<VersionId>> {
        let versions = unless_beaten(self.registry.versions(name))?.unwrap_or_default();
        if versions.is_empty() {
            return Ok(None);
        }
        Ok(Some(versions[self.random.below(versions.len() as u64) as usize].id.clone()))
    }

    fn alias(&mut self, name: &ModelName, token: String) -> Outcome {
        let Some(id) = self.some_version(name)? else { return Ok(()) };
        // One that both children move, and one that stays.
        unless_beaten(self.registry.set_alias(&id, "champion"))?;
        if unless_beaten(self.registry.set_alias(&id, &token))?.is_some() {
            acknowledge(&Write::Alias { id, token })?;
        }
        Ok(())
    }

    fn delete_version(&mut self, name: &ModelName, by: &str) -> Outcome {
        let Some(id) = self.some_version(name)? else { return Ok(()) };
        if unless_beaten(self.registry.delete_version(&id, by))?.is_some() {
            acknowledge(&Write::Deleted { id })?;
        }
        Ok(())
    }

    fn append_revision(&mut self, token: &str) -> Outcome {
        loop {
            let last = self.timeline.revisions().last().map_or(0, |last| last.seq);
            for revision in self.revisions.after(last)? {
                self.timeline.apply(revision)?;
            }
            let change = Change::Offer(Offer::of([Task::Chat]));
            let draft = Draft::new(Subject::model(token), Offering::PayPerToken, change).by(token);
            let last = self.timeline.revisions().last().map_or(Timestamp::MIN, |last| last.at);
            let revision = self.timeline.prepare(draft, self.clock.wall().max(last))?;
            match self.revisions.append(&revision) {
                Ok(()) => return acknowledge(&Write::Revision { seq: revision.seq, token: token.into() }),
                Err(RegistryError::Behind { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn append_update(&mut self, token: String) -> Outcome {
        let mut seq = 1;
        loop {
            let record = UpdateRecord {
                seq,
                base_id: token.clone(),
                update_date: None,
                response_id: token.clone(),
                version: "1".into(),
                notes: String::new(),
            };
            match self.updates.append(&record) {
                Ok(()) => return acknowledge(&Write::Update { seq, token }),
                Err(RegistryError::Behind { expected, .. }) => seq = expected,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Both children of a round want to tell the same news.
    fn claim_event(&mut self) -> Outcome {
        let round = (self.number / 2 * 10 + self.random.below(10)) as u32;
        if self.events.claim(&event(round))? {
            acknowledge(&Write::Event { round })?;
        }
        Ok(())
    }

    fn configure(&mut self, token: String) -> Outcome {
        let endpoint = format!("e{}", self.random.below(3));
        let config_version = self.endpoints.append(&endpoint, &serde_json::json!(token), "test")?;
        acknowledge(&Write::Endpoint { endpoint, config_version, token })
    }

    /// Several requests that end together; each is handed in twice and billed once.
    fn record_usage(&mut self, token: &str) -> Outcome {
        for request in 0..1 + self.random.below(20) {
            let token = format!("{token}-{request}");
            for _ in 0..2 {
                let acknowledged = token.clone();
                self.ledger.record(self.usage(&token), move |written| {
                    if written.is_ok() {
                        acknowledge(&Write::Usage { token: acknowledged }).ok();
                    }
                });
            }
        }
        Ok(())
    }

    fn usage(&self, token: &str) -> UsageRecord {
        let now = self.clock.wall();
        UsageRecord {
            request_id: token.into(),
            client_request_id: None,
            requester: "ann".into(),
            endpoint_name: "e0".into(),
            served_entity_name: "e0-1".into(),
            entity_name: NAMES[0].into(),
            entity_version: Some(1),
            response_model: "m".into(),
            subject: Some(Subject::model("m")),
            task: Task::Chat,
            offering: Offering::PayPerToken,
            admitted: true,
            outcome: Ended::finished("stop"),
            input_token_count: 5,
            cached_token_count: 0,
            output_token_count: 7,
            reasoning_token_count: 0,
            phases: Phases::default(),
            request_time: now,
            finish_time: now,
            request_streaming: false,
            usage_context: None,
        }
    }
}
