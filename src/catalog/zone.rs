//! Time zones, from the database that is compiled in.

use std::fmt;
use std::sync::LazyLock;

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::CatalogError;

/// The database that was compiled in and no other: what a host has installed must not decide on which day a model retires.
static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A time zone of the IANA database, by its name, such as `UTC` or `America/Los_Angeles`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// The zone of an IANA name, in any case.
    ///
    /// # Errors
    /// [`CatalogError::Name`] when the database has no such zone.
    pub fn new(name: &str) -> Result<Self, CatalogError> {
        if name.eq_ignore_ascii_case("UTC") {
            return Ok(Self::UTC);
        }
        let unknown = || {
            CatalogError::name("time zone", name, "names of the IANA database, such as UTC or Europe/Paris")
        };
        let zone = DATABASE.get(name).map_err(|_| unknown())?;
        // A zone without a name could not be written down again.
        if zone.iana_name().is_some() { Ok(Self(zone)) } else { Err(unknown()) }
    }

    /// The name in the IANA database.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The first instant of `day` here.
    ///
    /// # Errors
    /// [`CatalogError::Date`] at the ends of the calendar.
    pub fn start_of(&self, day: Date) -> Result<Timestamp, CatalogError> {
        let out_of_range = |_| CatalogError::Date { day, zone: self.name().into() };
        Ok(day.to_zoned(self.0.clone()).and_then(|at| at.start_of_day()).map_err(out_of_range)?.timestamp())
    }

    /// The day that `at` falls on here.
    pub fn day_of(&self, at: Timestamp) -> Date {
        at.to_zoned(self.0.clone()).date()
    }

    /// The same time of day, `months` calendar months after `at`; a day that the month lacks becomes its last one.
    ///
    /// # Errors
    /// [`CatalogError::Date`] at the ends of the calendar.
    pub fn months_after(&self, at: Timestamp, months: u32) -> Result<Timestamp, CatalogError> {
        let start = at.to_zoned(self.0.clone());
        let out_of_range = |_| CatalogError::Date { day: start.date(), zone: self.name().into() };
        let span = Span::new().try_months(months).map_err(out_of_range)?;
        Ok(start.checked_add(span).map_err(out_of_range)?.timestamp())
    }

    /// The day `months` calendar months before `day`; a day that the month lacks becomes its last one.
    ///
    /// # Errors
    /// [`CatalogError::Date`] at the ends of the calendar.
    pub fn months_before(&self, day: Date, months: u32) -> Result<Date, CatalogError> {
        let out_of_range = |_| CatalogError::Date { day, zone: self.name().into() };
        let span = Span::new().try_months(months).map_err(out_of_range)?;
        day.checked_sub(span).map_err(out_of_range)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name())
    }
}

impl TryFrom<String> for Zone {
    type Error = CatalogError;

    fn try_from(name: String) -> Result<Self, CatalogError> {
        Self::new(&name)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name().into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::civil::date;

    use super::*;

    #[test]
    fn names_of_the_database_in_any_case() {
        assert_eq!(Zone::new("utc").unwrap(), Zone::UTC);
        assert_eq!(Zone::new("america/los_angeles").unwrap().name(), "America/Los_Angeles");
        let error = Zone::new("Mars/Olympus").unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown time zone \"Mars/Olympus\"; accepted are names of the IANA database, such as UTC or Europe/Paris"
        );
    }

    #[test]
    fn a_day_starts_where_the_zone_says() {
        let pacific = Zone::new("America/Los_Angeles").unwrap();
        assert_eq!(pacific.start_of(date(2025, 5, 1)).unwrap().to_string(), "2025-05-01T07:00:00Z");
        assert_eq!(Zone::UTC.start_of(date(2025, 5, 1)).unwrap().to_string(), "2025-05-01T00:00:00Z");
        // Clocks went from midnight to one o'clock: the day began at one.
        let beirut = Zone::new("Asia/Beirut").unwrap();
        assert_eq!(beirut.start_of(date(2021, 3, 28)).unwrap().to_string(), "2021-03-27T22:00:00Z");
    }

    #[test]
    fn months_are_calendar_months_and_clamped() {
        let months = |at: &str| Zone::UTC.months_after(at.parse().unwrap(), 3).unwrap().to_string();
        assert_eq!(months("2025-01-31T10:00:00Z"), "2025-04-30T10:00:00Z");
        assert_eq!(months("2024-11-30T00:00:00Z"), "2025-02-28T00:00:00Z");
        assert_eq!(months("2023-11-30T00:00:00Z"), "2024-02-29T00:00:00Z");
        assert_eq!(Zone::UTC.months_before(date(2025, 4, 30), 3).unwrap(), date(2025, 1, 30));
        assert!(Zone::UTC.months_after(Timestamp::MAX, 3).is_err());
    }
}
