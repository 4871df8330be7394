//! The tables of the documents, for any day.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::civil::Date;

use super::state::State;
use super::status::{Principal, Status};
use super::timeline::Timeline;
use super::warning::{shown_date, shown_day};
use crate::catalog::{Catalog, Note, Offering, Subject, Task, Wording};

/// A table: a heading for each column, and rows of as many cells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Table {
    /// What stands above it.
    pub title: String,
    /// The headings.
    pub columns: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
    /// What stands below it.
    pub footnotes: Vec<String>,
}

impl Table {
    fn new(title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { title: title.into(), columns: columns.into(), rows: Vec::new(), footnotes: Vec::new() }
    }

    /// The table in Markdown: the rows and the footnotes, without the title.
    pub fn to_markdown(&self) -> String {
        let mut text =
            format!("| {} |\n|{}\n", self.columns.join(" | "), " --- |".repeat(self.columns.len()));
        for row in &self.rows {
            let cells: Vec<_> = row.iter().map(|cell| escaped(cell)).collect();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        for note in &self.footnotes {
            let _ = write!(text, "\n{}\n", escaped(note));
        }
        text
    }
}

/// A cell on one line that no name can break out of.
fn escaped(text: &str) -> String {
    let one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut escaped = String::with_capacity(one_line.len());
    for c in one_line.chars() {
        if matches!(c, '|' | '*' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// What the documents say at one instant, generated from the catalog and the timeline. The same bytes whenever the three are
/// the same.
#[derive(Debug, Clone, Copy)]
pub struct Documents<'a> {
    catalog: &'a Catalog,
    timeline: &'a Timeline,
    now: Timestamp,
}

impl<'a> Documents<'a> {
    /// The documents at `now`.
    pub fn at(catalog: &'a Catalog, timeline: &'a Timeline, now: Timestamp) -> Self {
        Self { catalog, timeline, now }
    }

    /// All of it, in Markdown.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# Foundation models on {}\n", shown_date(self.today()));
        let sentences = [self.replacement_notice(), self.retired_sentence()];
        for sentence in sentences.into_iter().flatten() {
            let _ = write!(text, "\n{sentence}\n");
        }
        let tables = [
            self.supported_models(),
            self.architectures(),
            self.fine_tuning_models(),
            self.retirements(Offering::FineTuning),
            self.retirements(Offering::PayPerToken),
        ];
        for table in tables {
            let _ = write!(text, "\n## {}\n\n{}", table.title, table.to_markdown());
        }
        text
    }

    /// The models offered by the token, with their preconfigured endpoints.
    pub fn supported_models(&self) -> Table {
        let title = "Models supported for pay-per-token";
        let mut table = Table::new(title, &["Model", "Task type", "Endpoint", "Notes"]);
        for model in self.catalog.models() {
            let status = self.status(&Subject::model(&model.name), Offering::PayPerToken, model.task);
            let Some(endpoint) = model.endpoint.as_ref().filter(|_| is_listed(&status)) else { continue };
            let footnotes = self.said(&model.notes, true);
            let name = format!("{}{}", model.name, "*".repeat(usize::from(!footnotes.is_empty())));
            let notes = status.notice().into_iter().chain(self.said(&model.notes, false)).collect::<Vec<_>>();
            table.rows.push(vec![name, model.task.title().into(), endpoint.clone(), notes.join(" ")]);
            for note in footnotes {
                let note = format!("* {note}");
                if !table.footnotes.contains(&note) {
                    table.footnotes.push(note);
                }
            }
        }
        table
    }

    /// The architectures that can be deployed with reserved capacity.
    pub fn architectures(&self) -> Table {
        let title = "Architectures supported for provisioned throughput";
        let mut table = Table::new(title, &["Model architecture", "Task type", "Notes"]);
        let today = self.today();
        let offered = |from: Option<Date>| from.is_none_or(|from| from <= today);
        for architecture in self.catalog.architectures().iter().filter(|entry| offered(entry.available_from))
        {
            let tasks: Vec<_> = architecture.tasks.iter().map(|task| task.title()).collect();
            let notes = self.said(&architecture.notes, false).join(" ");
            table.rows.push(vec![architecture.name.clone(), tasks.join(" or "), notes]);
        }
        table
    }

    /// The models that can be trained further.
    pub fn fine_tuning_models(&self) -> Table {
        let title = "Models supported for fine-tuning";
        let mut table = Table::new(title, &["Model", "Maximum context length", "Notes"]);
        for model in self.catalog.fine_tuning_models() {
            let status = self.status(&Subject::model(&model.name), Offering::FineTuning, Task::Chat);
            if is_listed(&status) {
                let notes =
                    status.notice().into_iter().chain(self.said(&model.notes, false)).collect::<Vec<_>>();
                table.rows.push(vec![model.name.clone(), model.context_length.to_string(), notes.join(" ")]);
            }
        }
        table
    }

    /// What has been retired from an offering or is planned to be: first what the catalog lists, in its order, then what
    /// the host announced. The replacement is what replaces it by now.
    pub fn retirements(&self, offering: Offering) -> Table {
        let title = format!("Retirements from {}", offering.title());
        let columns = match offering {
            Offering::FineTuning => {
                ["Model family", "Retirement date", "Recommended replacement model family"]
            }
            _ => ["Model", "Retirement date", "Recommended replacement model"],
        };
        let mut table = Table::new(title, &columns);
        for subject in self.retiring(offering) {
            let status = self.status(subject, offering, self.task_of(subject, offering));
            let Some(retirement) = &status.retirement else { continue };
            let mut day = shown_day(&retirement.day);
            if let Some(reason) = retirement.override_reason {
                let _ = write!(day, " (without the usual notice: {})", reason.as_str());
            }
            let replacement = status.replacement.as_ref().map_or("None", |subject| &subject.name);
            table.rows.push(vec![subject.name.clone(), day, replacement.into()]);
        }
        table
    }

    /// The last time that one model took the place of another on the day of its retirement.
    pub fn replacement_notice(&self) -> Option<String> {
        let offering = Offering::PayPerToken;
        let taken = self.retiring(offering).into_iter().filter_map(|subject| {
            let status = self.status(subject, offering, self.task_of(subject, offering));
            let retirement =
                status.retirement.filter(|retirement| retirement.day.wording == Wording::From)?;
            let plan = self.timeline.plan(subject, offering, self.now)?;
            let replacement = plan.replacement.as_ref().filter(|_| status.state.is_retired())?;
            Some((retirement.at, retirement.day, replacement, subject))
        });
        let (_, day, replacement, subject) = taken.max_by_key(|(at, ..)| *at)?;
        Some(format!(
            "Starting {}, {} replaces support for {} in {}.",
            shown_day(&day),
            replacement.name,
            subject.name,
            offering.title()
        ))
    }

    /// The models that were retired without another taking their place on that day.
    pub fn retired_sentence(&self) -> Option<String> {
        let offering = Offering::PayPerToken;
        let retired = self.retiring(offering).into_iter().filter(|subject| {
            let status = self.status(subject, offering, self.task_of(subject, offering));
            let replaced =
                status.retirement.is_some_and(|retirement| retirement.day.wording == Wording::From);
            status.state.is_retired() && !replaced
        });
        let names: Vec<_> = retired.map(|subject| subject.name.as_str()).collect();
        (!names.is_empty()).then(|| format!("The following models are now retired: {}.", names.join(", ")))
    }

    fn retiring(&self, offering: Offering) -> Vec<&'a Subject> {
        let mut known = self.timeline.retirements(offering, self.now);
        let rows = self.catalog.retirements();
        let place = |subject: &Subject| {
            let row = rows.iter().position(|row| row.offering == offering && row.subject == *subject);
            row.unwrap_or(rows.len())
        };
        // Stable: what the catalog does not list stays in the order in which it was announced.
        known.sort_by_key(|subject| place(subject));
        known
    }

    /// A task that the subject may be retired for.
    fn task_of(&self, subject: &Subject, offering: Offering) -> Task {
        let policy = self.timeline.policy();
        let tasks =
            self.timeline.standing(subject, offering, self.now).map_or(&[][..], |standing| standing.tasks());
        tasks.iter().copied().find(|task| policy.covers(offering, *task)).unwrap_or(Task::Chat)
    }

    fn status(&self, subject: &Subject, offering: Offering, task: Task) -> Status {
        self.timeline.status(subject, offering, task, &Principal::default(), self.now)
    }

    fn said(&self, notes: &[Note], footnote: bool) -> Vec<String> {
        let today = self.today();
        let said = notes.iter().filter(|note| note.footnote == footnote && note.is_said_on(today));
        said.map(|note| note.text.clone()).collect()
    }

    fn today(&self) -> Date {
        self.catalog.policy().zone.day_of(self.now)
    }
}

/// Whether a document lists a model: it is offered, and not retired yet.
fn is_listed(status: &Status) -> bool {
    status.state > State::Planned && !status.state.is_retired()
}
