-- What every request used. Names of columns are those of the hosted API's usage and inference tables, where they have them.
-- Times are microseconds since 1970, UTC.
CREATE TABLE usage (
    -- The order in which they were written.
    seq INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL UNIQUE,
    client_request_id TEXT,
    requester TEXT NOT NULL,
    endpoint_name TEXT NOT NULL,
    served_entity_name TEXT NOT NULL,
    -- The registered model and its version, where it is registered.
    entity_name TEXT NOT NULL,
    entity_version INTEGER,
    -- The id that the response named.
    response_model TEXT NOT NULL,
    -- What the timeline of retirements knows it as.
    subject_kind TEXT,
    subject_name TEXT,
    task TEXT NOT NULL,
    offering TEXT NOT NULL,
    admitted INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    status_code INTEGER NOT NULL,
    input_token_count INTEGER NOT NULL,
    cached_token_count INTEGER NOT NULL,
    output_token_count INTEGER NOT NULL,
    reasoning_token_count INTEGER NOT NULL,
    queued_seconds REAL,
    prefill_seconds REAL,
    decode_seconds REAL,
    first_token_seconds REAL,
    request_time INTEGER NOT NULL,
    finish_time INTEGER NOT NULL,
    request_streaming INTEGER NOT NULL,
    -- A JSON object.
    usage_context TEXT,
    CHECK ((subject_kind IS NULL) = (subject_name IS NULL))
) STRICT;

CREATE INDEX usage_by_time ON usage (request_time);

-- The last admitted request of each requester for each subject, of all rows of `usage` up to `last_use_through`. It is brought
-- forward now and then: with every row it would cost more than the row.
CREATE TABLE last_use (
    requester TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject_name TEXT NOT NULL,
    offering TEXT NOT NULL,
    request_time INTEGER NOT NULL,
    PRIMARY KEY (requester, subject_kind, subject_name, offering)
) STRICT, WITHOUT ROWID;

CREATE TABLE last_use_through (
    -- There is one row.
    only INTEGER PRIMARY KEY CHECK (only = 1),
    seq INTEGER NOT NULL
) STRICT;

INSERT INTO last_use_through (only, seq) VALUES (1, 0);

-- For queries that were written for the hosted API's tables.
CREATE VIEW endpoint_usage AS
SELECT
    request_id AS databricks_request_id,
    client_request_id,
    requester,
    endpoint_name,
    served_entity_name,
    entity_name,
    entity_version,
    task,
    status_code,
    strftime('%Y-%m-%dT%H:%M:%fZ', request_time / 1000000.0, 'unixepoch') AS request_time,
    date(request_time / 1000000, 'unixepoch') AS request_date,
    (finish_time - request_time) / 1000 AS execution_duration_ms,
    input_token_count,
    output_token_count,
    request_streaming,
    usage_context
FROM usage;
