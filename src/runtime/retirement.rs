//! The life of what endpoints serve: the timeline of this runtime, who is told of it, and what others announce meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};

use super::ModelRuntime;
use crate::catalog::{Catalog, Offering, Subject, Task};
use crate::clock::Clock;
use crate::database::Database;
use crate::error::{Error, ErrorKind, Result};
use crate::lifecycle::{
    Change, Documents, Draft, EventKey, FineTuningListing, LifecycleEvent, ModelCard, Offer, Principal,
    Revision, State, Status, Timeline, Watch, fine_tuning_list, model_card,
};
use crate::mailbox::guarded;
use crate::registry::{DeliveredEvents, Registry, RegistryError, TimelineLog};

/// How often it is looked whether other processes have made revisions.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often a revision is made again because somebody else was first.
const ATTEMPTS: usize = 100;

/// Hears what is new about the life of a model: each state once for each subject and principal, in all processes that share
/// a database. It is called on the thread that came upon the news, under no lock, and may use the runtime.
pub type LifecycleListener = Box<dyn Fn(&LifecycleEvent) + Send + Sync>;

/// The timeline of a runtime.
pub(super) struct Retirements {
    catalog: Catalog,
    timeline: RwLock<Arc<Timeline>>,
    log: TimelineLog,
    delivered: DeliveredEvents,
    /// News that need not be looked up any more.
    told: Mutex<BTreeSet<EventKey>>,
    listener: Option<LifecycleListener>,
    clock: Arc<dyn Clock>,
    /// When it was last looked whether others have revised: milliseconds of monotonic time.
    looked: AtomicU64,
}

impl Retirements {
    pub(super) fn open(
        database: &Database,
        catalog: Catalog,
        listener: Option<LifecycleListener>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let log = TimelineLog::new(database);
        let mut timeline = Timeline::from_catalog(&catalog)?;
        for revision in log.load()? {
            timeline.apply(revision)?;
        }
        let delivered = DeliveredEvents::new(database, Arc::clone(&clock));
        let told = Mutex::new(delivered.load()?);
        let looked = AtomicU64::new(milliseconds(clock.monotonic()));
        let timeline = RwLock::new(Arc::new(timeline));
        Ok(Self { catalog, timeline, log, delivered, told, listener, clock, looked })
    }

    pub(super) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The timeline as it is known now.
    pub(super) fn timeline(&self) -> Arc<Timeline> {
        Arc::clone(&self.timeline.read())
    }

    /// As [`timeline`](Self::timeline), with what other processes have revised up to a second ago. A database that cannot be
    /// read stops nobody: what was known holds until it can.
    pub(super) fn current(&self) -> Arc<Timeline> {
        let now = milliseconds(self.clock.monotonic());
        let looked = self.looked.load(Ordering::Relaxed);
        let due = now.saturating_sub(looked) >= LOOK_AGAIN.as_millis() as u64;
        if due
            && self.looked.compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            && let Err(error) = self.catch_up()
        {
            tracing::warn!(%error, "what others have announced could not be read");
        }
        self.timeline()
    }

    /// Makes a revision, numbered and dated, keeps it and lets it hold.
    pub(super) fn revise(&self, draft: &Draft) -> Result<Revision> {
        for _ in 0..ATTEMPTS {
            self.catch_up()?;
            let revision = self.timeline().prepare(draft.clone(), self.clock.wall())?;
            match self.log.append(&revision) {
                Ok(()) => {
                    self.catch_up()?;
                    return Ok(revision);
                }
                Err(RegistryError::Behind { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::new(ErrorKind::Overloaded, "the timeline is being written by others all the time"))
    }

    /// Sees to it that a subject, and what it is part of, is offered, so that its life can be planned.
    pub(super) fn offer(&self, subjects: &[Subject], offering: Offering, tasks: &[Task]) -> Result<()> {
        for (at, subject) in subjects.iter().enumerate().rev() {
            if self.timeline().is_known(subject, offering) {
                continue;
            }
            let offer = subjects.get(at + 1).cloned().into_iter().fold(Offer::of(tasks), Offer::part_of);
            let draft = Draft::new(subject.clone(), offering, Change::Offer(offer)).because("served");
            self.revise(&draft)?;
        }
        Ok(())
    }

    fn catch_up(&self) -> Result<()> {
        let mut timeline = self.timeline.write();
        let last = timeline.revisions().last().map_or(0, |revision| revision.seq);
        let new = self.log.after(last)?;
        if !new.is_empty() {
            let mut next = Timeline::clone(&timeline);
            new.into_iter().try_for_each(|revision| next.apply(revision))?;
            *timeline = Arc::new(next);
        }
        Ok(())
    }

    /// Tells what is new for a principal, if anything is.
    pub(super) fn tell(&self, timeline: &Timeline, status: &Status, principal: &Principal) {
        let Some(listener) = &self.listener else { return };
        if status.state == State::Active && status.round == 0 {
            return;
        }
        let (subject, offering, task) = (status.subject.clone(), status.offering, status.task);
        let watch = Watch { subject, offering, task, principal: principal.clone() };
        let due = timeline.due([&watch], &self.told.lock(), status.at);
        for event in due {
            match self.delivered.claim(&event.key) {
                Ok(ours) => {
                    self.told.lock().insert(event.key.clone());
                    // It is the host's, and so is its panic: the request that came upon the news is answered.
                    if ours && let Err(panic) = guarded(|| listener(&event)) {
                        tracing::error!(%panic, "the listener for the lives of models panicked");
                    }
                }
                // It is still due: the next request tells it.
                Err(error) => tracing::warn!(%error, "news of a model's life were not told"),
            }
        }
    }
}

impl ModelRuntime {
    /// The registered models, their versions and aliases, in this runtime's database.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// The facts that this runtime goes by.
    pub fn catalog(&self) -> &Catalog {
        self.inner.retirements.catalog()
    }

    /// What is offered and how its life ends: a snapshot.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn timeline(&self) -> Result<Arc<Timeline>> {
        self.inner.retirements.catch_up()?;
        Ok(self.inner.retirements.timeline())
    }

    /// Announces or changes how the life of a model ends, or offers one. It holds from now on, in all processes that share
    /// the database; requests that were admitted before are not touched.
    ///
    /// # Errors
    /// What the rules do not allow ([`LifecycleError`](crate::lifecycle::LifecycleError) is the source): notice of less than
    /// three calendar months, replacements in a circle, a return from retirement without
    /// [`Change::Reinstate`]. The database cannot be written.
    pub fn revise(&self, draft: &Draft) -> Result<Revision> {
        self.inner.retirements.revise(draft)
    }

    /// What holds now for what an endpoint serves: for its main entity, one of its tasks, and a principal.
    ///
    /// # Errors
    /// An unknown endpoint.
    pub fn lifecycle(&self, endpoint: &str, principal: &str) -> Result<Status> {
        let endpoint = self.inner.endpoints.find(endpoint)?;
        let configuration = endpoint.configuration();
        let entity = configuration.main();
        let task = entity.tasks()[0];
        let timeline = self.inner.retirements.current();
        let offering = endpoint.options().offering;
        let principal = self.principal(principal, entity.subject(), offering);
        Ok(timeline.status(entity.subject(), offering, task, &principal, self.inner.clock.wall()))
    }

    /// The card of a model of the catalog, by its name, an alias or its endpoint, with its warnings; `None` if the catalog
    /// has no such model.
    pub fn model_card(&self, name: &str, principal: &str) -> Option<ModelCard> {
        let retirements = &self.inner.retirements;
        let timeline = retirements.current();
        let now = self.inner.clock.wall();
        model_card(retirements.catalog(), &timeline, name, &Principal::new(principal), now)
    }

    /// The models that can be trained further, with their warnings.
    pub fn fine_tuning_models(&self, principal: &str) -> Vec<FineTuningListing> {
        let retirements = &self.inner.retirements;
        let timeline = retirements.current();
        let now = self.inner.clock.wall();
        fine_tuning_list(retirements.catalog(), &timeline, &Principal::new(principal), now)
    }

    /// What the documents say at an instant, now if none is given, in Markdown: what is offered, retired and announced.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn lifecycle_documents(&self, at: Option<Timestamp>) -> Result<String> {
        let timeline = self.timeline()?;
        let at = at.unwrap_or_else(|| self.inner.clock.wall());
        Ok(Documents::at(self.catalog(), &timeline, at).to_markdown())
    }

    /// Tells the listener what is new about everything that is served now, for a principal. Requests do so by themselves for
    /// what they use; a host calls this where nobody asks for a model whose retirement is near.
    pub fn tell_lifecycle(&self, principal: &str) {
        let timeline = self.inner.retirements.current();
        let now = self.inner.clock.wall();
        for endpoint in self.inner.endpoints.ready() {
            let offering = endpoint.options().offering;
            for (entity, _) in endpoint.configuration().entities() {
                let principal = self.principal(principal, entity.subject(), offering);
                let status = timeline.status(entity.subject(), offering, entity.tasks()[0], &principal, now);
                self.inner.retirements.tell(&timeline, &status, &principal);
            }
        }
    }

    /// A principal with its last use of a subject.
    pub(super) fn principal(&self, name: &str, subject: &Subject, offering: Offering) -> Principal {
        let last_use = self.inner.ledger.last_use(name, subject, offering);
        Principal { name: name.into(), last_use }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
