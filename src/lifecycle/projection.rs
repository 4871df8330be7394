//! The same status in the forms that other systems use: HTTP headers, OpenAI's model object, Bedrock's lifecycle object.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::state::State;
use super::status::Status;
use crate::error::Error;

/// Bedrock's `FoundationModelLifecycle`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FoundationModelLifecycle {
    /// `ACTIVE`, `LEGACY` or `EOL`.
    pub status: BedrockStatus,
    /// From when on it is offered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub start_of_life_time: Option<Timestamp>,
    /// From when on it is not recommended, or its retirement is announced.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub legacy_time: Option<Timestamp>,
    /// From when on access is extended, at another price.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub public_extended_access_time: Option<Timestamp>,
    /// From when on it no longer works.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end_of_life_time: Option<Timestamp>,
}

/// The states that Bedrock has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum BedrockStatus {
    /// Offered.
    Active,
    /// On its way out.
    Legacy,
    /// Gone.
    Eol,
}

impl Status {
    /// The value of `Deprecation` (RFC 9745), such as `@1738195200`: since when the retirement is known.
    pub fn deprecation_header(&self) -> Option<String> {
        self.retirement.as_ref().map(|retirement| format!("@{}", retirement.known_since.as_second()))
    }

    /// The value of `Sunset` (RFC 8594), such as `Thu, 01 May 2025 00:00:00 GMT`: the first instant that does not work. Never
    /// before [`Status::deprecation_header`].
    pub fn sunset_header(&self) -> Option<String> {
        let at = self.retirement.as_ref()?.at;
        Some(at.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
    }

    /// The value of `Link` that leads to what a host has written about the retirement at `url`; none if none is announced.
    ///
    /// # Errors
    /// A `url` with characters that no URI has: it would end the header early.
    pub fn link_header(&self, url: &str) -> Result<Option<String>, Error> {
        let fits = |c: char| {
            c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | '\\' | '^' | '`' | '{' | '|' | '}')
        };
        if url.is_empty() || !url.chars().all(fits) {
            let message =
                format!("the link {url:?} is no URI; accepted are the characters of RFC 3986, others as %XX");
            return Err(Error::invalid("url", message));
        }
        let link = format!(
            "<{url}>; rel=\"deprecation\"; type=\"text/html\", <{url}>; rel=\"sunset\"; type=\"text/html\""
        );
        Ok(self.retirement.as_ref().map(|_| link))
    }

    /// The value of `shutdown_date` in OpenAI's model object: the first day that does not work.
    pub fn shutdown_date(&self) -> Option<Date> {
        self.retirement.as_ref().map(|retirement| retirement.first_day_without)
    }

    /// Bedrock's lifecycle object; none before the model is offered.
    pub fn foundation_model_lifecycle(&self) -> Option<FoundationModelLifecycle> {
        let status = match self.state {
            State::Planned => return None,
            State::Preview | State::Active => BedrockStatus::Active,
            State::Retired | State::Removed => BedrockStatus::Eol,
            _ => BedrockStatus::Legacy,
        };
        let known = self.retirement.as_ref().map(|retirement| retirement.known_since);
        Some(FoundationModelLifecycle {
            status,
            start_of_life_time: self.schedule.available_from,
            legacy_time: [self.schedule.legacy_from, known].into_iter().flatten().min(),
            public_extended_access_time: self.schedule.extended_from,
            end_of_life_time: self.retirement.as_ref().map(|retirement| retirement.at),
        })
    }
}
