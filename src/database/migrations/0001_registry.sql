-- The registry: models, versions, aliases and tags; the timeline, the ids of updates, delivered news and endpoint
-- configurations. Times are RFC 3339, UTC.

-- One row for each life of a name; a deleted model stays as a tombstone.
CREATE TABLE registered_model (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL CHECK (name <> ''),
    owner      TEXT NOT NULL,
    comment    TEXT NOT NULL,
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    updated_by TEXT NOT NULL,
    deleted_at TEXT,
    -- The registry_change that it was last part of, with its versions, aliases and tags.
    change     INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX registered_model_alive ON registered_model (name) WHERE deleted_at IS NULL;
CREATE INDEX registered_model_change ON registered_model (change);

CREATE TRIGGER registered_model_stays BEFORE DELETE ON registered_model
BEGIN SELECT RAISE(ABORT, 'registered models are never taken out'); END;
CREATE TRIGGER registered_model_identity BEFORE UPDATE OF id, name, created_at, created_by ON registered_model
BEGIN SELECT RAISE(ABORT, 'a registered model keeps its name'); END;
CREATE TRIGGER registered_model_deleted BEFORE UPDATE OF deleted_at ON registered_model WHEN OLD.deleted_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a deleted model stays deleted'); END;

-- Counts the changes of registered models, for whoever keeps a copy in memory.
CREATE TABLE registry_change (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    counter INTEGER NOT NULL
) STRICT;
INSERT INTO registry_change VALUES (1, 0);

-- Numbers go on over all lives of a name. A deleted version keeps its number and its digest; where it lay is forgotten.
CREATE TABLE model_version (
    name           TEXT NOT NULL,
    version        INTEGER NOT NULL CHECK (version > 0),
    model          INTEGER NOT NULL REFERENCES registered_model (id),
    status         TEXT NOT NULL CHECK (status IN ('pending', 'ready', 'failed')),
    status_message TEXT NOT NULL,
    -- How often its registration was taken up; only the last may finish it.
    attempt        INTEGER NOT NULL,
    layout         TEXT NOT NULL CHECK (layout IN ('model', 'adapter')),
    source         TEXT,
    run_id         TEXT,
    parent_name    TEXT,
    parent_version INTEGER,
    copied_name    TEXT,
    copied_version INTEGER,
    digest         BLOB CHECK (length(digest) = 32),
    comment        TEXT NOT NULL,
    created_at     TEXT NOT NULL,
    created_by     TEXT NOT NULL,
    updated_at     TEXT NOT NULL,
    updated_by     TEXT NOT NULL,
    deleted_at     TEXT,
    PRIMARY KEY (name, version),
    FOREIGN KEY (parent_name, parent_version) REFERENCES model_version (name, version),
    FOREIGN KEY (copied_name, copied_version) REFERENCES model_version (name, version),
    CHECK ((parent_name IS NULL) = (parent_version IS NULL)),
    CHECK ((copied_name IS NULL) = (copied_version IS NULL)),
    CHECK ((status = 'ready') = (digest IS NOT NULL)),
    CHECK ((source IS NULL) = (deleted_at IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX model_version_model ON model_version (model);
CREATE INDEX model_version_pending ON model_version (name, version) WHERE status = 'pending' AND deleted_at IS NULL;

CREATE TRIGGER model_version_stays BEFORE DELETE ON model_version
BEGIN SELECT RAISE(ABORT, 'versions are never taken out: their numbers are used for ever'); END;
CREATE TRIGGER model_version_identity
BEFORE UPDATE OF name, version, model, layout, parent_name, parent_version, copied_name, copied_version, created_at, created_by
ON model_version
BEGIN SELECT RAISE(ABORT, 'a version keeps its number and its origin'); END;
CREATE TRIGGER model_version_status BEFORE UPDATE OF status ON model_version
WHEN OLD.status <> 'pending' AND NEW.status <> OLD.status
BEGIN SELECT RAISE(ABORT, 'only a pending version becomes ready or failed'); END;
CREATE TRIGGER model_version_files BEFORE UPDATE OF source, digest ON model_version
WHEN (NEW.source IS NOT NULL AND NEW.source IS NOT OLD.source)
    OR (OLD.digest IS NOT NULL AND NEW.digest IS NOT OLD.digest)
BEGIN SELECT RAISE(ABORT, 'the files of a version do not change'); END;
CREATE TRIGGER model_version_deleted BEFORE UPDATE ON model_version WHEN OLD.deleted_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a deleted version stays as it is'); END;

-- The files that a version was made of, in the order in which they count in its digest.
CREATE TABLE version_file (
    name    TEXT NOT NULL,
    version INTEGER NOT NULL,
    file    TEXT NOT NULL,
    bytes   INTEGER NOT NULL CHECK (bytes >= 0),
    sha256  BLOB NOT NULL CHECK (length(sha256) = 32),
    PRIMARY KEY (name, version, file),
    FOREIGN KEY (name, version) REFERENCES model_version (name, version)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER version_file_stays BEFORE DELETE ON version_file
BEGIN SELECT RAISE(ABORT, 'the files of a version do not change'); END;
CREATE TRIGGER version_file_same BEFORE UPDATE ON version_file
BEGIN SELECT RAISE(ABORT, 'the files of a version do not change'); END;

CREATE TABLE model_alias (
    name    TEXT NOT NULL,
    alias   TEXT NOT NULL CHECK (alias <> ''),
    version INTEGER NOT NULL,
    PRIMARY KEY (name, alias),
    FOREIGN KEY (name, version) REFERENCES model_version (name, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE model_tag (
    model INTEGER NOT NULL REFERENCES registered_model (id),
    key   TEXT NOT NULL CHECK (key <> ''),
    value TEXT NOT NULL,
    PRIMARY KEY (model, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE version_tag (
    name    TEXT NOT NULL,
    version INTEGER NOT NULL,
    key     TEXT NOT NULL CHECK (key <> ''),
    value   TEXT NOT NULL,
    PRIMARY KEY (name, version, key),
    FOREIGN KEY (name, version) REFERENCES model_version (name, version)
) STRICT, WITHOUT ROWID;

-- The host's revisions of the timeline, as JSON.
CREATE TABLE timeline_revision (
    seq      INTEGER PRIMARY KEY CHECK (seq > 0),
    revision TEXT NOT NULL
) STRICT;

CREATE TRIGGER timeline_revision_stays BEFORE DELETE ON timeline_revision
BEGIN SELECT RAISE(ABORT, 'the timeline is append-only'); END;
CREATE TRIGGER timeline_revision_same BEFORE UPDATE ON timeline_revision
BEGIN SELECT RAISE(ABORT, 'the timeline is append-only'); END;

-- The ids that responses are marked with, and what they name.
CREATE TABLE update_record (
    seq         INTEGER PRIMARY KEY CHECK (seq > 0),
    base_id     TEXT NOT NULL,
    update_date TEXT,
    response_id TEXT NOT NULL UNIQUE,
    version     TEXT NOT NULL,
    notes       TEXT NOT NULL
) STRICT;

CREATE TRIGGER update_record_stays BEFORE DELETE ON update_record
BEGIN SELECT RAISE(ABORT, 'the history of updates is append-only'); END;
CREATE TRIGGER update_record_same BEFORE UPDATE ON update_record
BEGIN SELECT RAISE(ABORT, 'the history of updates is append-only'); END;

-- News of the lifecycle that somebody was told.
CREATE TABLE delivered_event (
    subject_kind TEXT NOT NULL,
    subject      TEXT NOT NULL,
    offering     TEXT NOT NULL,
    state        TEXT NOT NULL,
    principal    TEXT NOT NULL,
    round        INTEGER NOT NULL,
    delivered_at TEXT NOT NULL,
    PRIMARY KEY (subject_kind, subject, offering, state, principal, round)
) STRICT, WITHOUT ROWID;

-- What endpoints were configured to serve, from when on and why, as JSON.
CREATE TABLE endpoint_configuration (
    endpoint       TEXT NOT NULL CHECK (endpoint <> ''),
    config_version INTEGER NOT NULL CHECK (config_version > 0),
    configuration  TEXT NOT NULL,
    at             TEXT NOT NULL,
    reason         TEXT NOT NULL,
    PRIMARY KEY (endpoint, config_version)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER endpoint_configuration_stays BEFORE DELETE ON endpoint_configuration
BEGIN SELECT RAISE(ABORT, 'the configurations of endpoints are append-only'); END;
CREATE TRIGGER endpoint_configuration_same BEFORE UPDATE ON endpoint_configuration
BEGIN SELECT RAISE(ABORT, 'the configurations of endpoints are append-only'); END;
