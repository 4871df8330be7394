//! What endpoints were configured to serve.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Row;
use serde::Serialize;

use super::error::RegistryError;
use crate::clock::Clock;
use crate::database::{Database, DatabaseError};

/// One configuration of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointConfiguration {
    /// The endpoint.
    pub endpoint: String,
    /// Its number, from 1 for each endpoint.
    pub config_version: u64,
    /// The configuration itself.
    pub configuration: serde_json::Value,
    /// From when on it was wanted.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// All configurations that endpoints ever had. The last of an endpoint is what it is to serve.
#[derive(Clone)]
pub struct EndpointLog {
    database: Database,
    clock: Arc<dyn Clock>,
}

const COLUMNS: &str = "endpoint, config_version, configuration, at, reason";

impl EndpointLog {
    /// Those of `database`, dated by `clock`.
    pub fn new(database: &Database, clock: Arc<dyn Clock>) -> Self {
        Self { database: database.clone(), clock }
    }

    /// Appends a configuration and gives its number.
    ///
    /// # Errors
    /// [`RegistryError::Invalid`] of an endpoint without a name, [`RegistryError::Database`].
    pub fn append(
        &self,
        endpoint: &str,
        configuration: &serde_json::Value,
        reason: &str,
    ) -> Result<u64, RegistryError> {
        if endpoint.is_empty() {
            return Err(RegistryError::invalid("endpoint", endpoint, "has no name; accepted are names"));
        }
        let json = configuration.to_string();
        let at = self.clock.wall();
        self.database.write(|tx| {
            let number = tx
                .prepare_cached(
                    "INSERT INTO endpoint_configuration
                     SELECT ?1, coalesce(max(config_version), 0) + 1, ?2, ?3, ?4
                     FROM endpoint_configuration WHERE endpoint = ?1 RETURNING config_version",
                )?
                .query_row((endpoint, json, at, reason), |row| row.get(0))?;
            Ok(number)
        })
    }

    /// The last configuration of each endpoint, in order of name.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub fn current(&self) -> Result<Vec<EndpointConfiguration>, DatabaseError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM endpoint_configuration AS this
             WHERE config_version = (SELECT max(config_version) FROM endpoint_configuration WHERE endpoint = this.endpoint)
             ORDER BY endpoint"
        );
        self.select(&sql, &[])
    }

    /// All configurations of an endpoint, oldest first.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub fn history(&self, endpoint: &str) -> Result<Vec<EndpointConfiguration>, DatabaseError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM endpoint_configuration WHERE endpoint = ?1 ORDER BY config_version"
        );
        self.select(&sql, &[endpoint])
    }

    fn select(&self, sql: &str, parameters: &[&str]) -> Result<Vec<EndpointConfiguration>, DatabaseError> {
        self.database.read(|tx| {
            let mut statement = tx.prepare_cached(sql)?;
            let mut rows = statement.query(rusqlite::params_from_iter(parameters))?;
            let mut configurations = Vec::new();
            while let Some(row) = rows.next()? {
                configurations.push(read(row)?);
            }
            Ok(configurations)
        })
    }
}

fn read(row: &Row<'_>) -> Result<EndpointConfiguration, DatabaseError> {
    let (endpoint, config_version): (String, u64) = (row.get(0)?, row.get(1)?);
    let configuration = serde_json::from_str(&row.get::<_, String>(2)?).map_err(|error| {
        DatabaseError::value(format!("configuration {config_version} of endpoint {endpoint:?}: {error}"))
    })?;
    Ok(EndpointConfiguration {
        endpoint,
        config_version,
        configuration,
        at: row.get(3)?,
        reason: row.get(4)?,
    })
}

impl std::fmt::Debug for EndpointLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointLog").field("database", &self.database).finish_non_exhaustive()
    }
}
