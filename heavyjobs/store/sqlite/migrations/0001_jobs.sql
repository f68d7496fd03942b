-- The same four tables as in PostgreSQL, prefixed. Never edited once released; changes come as new files.
--
-- Times are microseconds since 1970, ids are 16 bytes, JSON is text.

CREATE TABLE heavyjobs_schema_version (
    version        INTEGER NOT NULL,
    min_compatible INTEGER NOT NULL,
    migrated_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE heavyjobs_jobs (
    id                   BLOB PRIMARY KEY,
    kind                 TEXT    NOT NULL,
    version              INTEGER NOT NULL,
    state                TEXT    NOT NULL
        CHECK (state IN ('scheduled', 'ready', 'running', 'succeeded', 'dead', 'cancelled')),
    queue                TEXT    NOT NULL,
    priority             INTEGER NOT NULL,
    attempts             INTEGER NOT NULL,
    backoff_seconds      REAL    NOT NULL,
    backoff_max_seconds  REAL    NOT NULL,
    timeout_seconds      REAL,
    grace_seconds        REAL    NOT NULL,
    cpus                 REAL    NOT NULL,
    memory_bytes         INTEGER,
    epoch                INTEGER NOT NULL DEFAULT 1,
    attempt              INTEGER NOT NULL DEFAULT 0,
    unstarted            INTEGER NOT NULL DEFAULT 0,
    claim                INTEGER NOT NULL DEFAULT 0,
    session              BLOB,
    created_at           INTEGER NOT NULL,
    due_at               INTEGER,
    ready_at             INTEGER,
    finished_at          INTEGER,
    cancel_requested_at  INTEGER,
    cancel_grace_seconds REAL,
    unique_key           TEXT,
    live_key             TEXT,
    parent               BLOB,
    child_key            TEXT,
    parent_claim         INTEGER,
    depth                INTEGER NOT NULL DEFAULT 0,
    parameters           TEXT    NOT NULL,
    checkpoint           TEXT,
    result               TEXT,
    error                TEXT,
    cause                TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX heavyjobs_jobs_ready
    ON heavyjobs_jobs (queue, kind, version, priority DESC, depth DESC, ready_at, id, cpus, memory_bytes)
    WHERE ready_at IS NOT NULL;
CREATE INDEX heavyjobs_jobs_due ON heavyjobs_jobs (due_at) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX heavyjobs_jobs_live_key ON heavyjobs_jobs (kind, live_key) WHERE live_key IS NOT NULL;
CREATE UNIQUE INDEX heavyjobs_jobs_child ON heavyjobs_jobs (parent, child_key) WHERE parent IS NOT NULL;

CREATE TABLE heavyjobs_invocations (
    job               BLOB    NOT NULL,
    claim             INTEGER NOT NULL,
    epoch             INTEGER NOT NULL,
    attempt           INTEGER NOT NULL,
    session           BLOB    NOT NULL,
    host              TEXT    NOT NULL,
    slot              TEXT    NOT NULL DEFAULT '',
    opened_at         INTEGER NOT NULL,
    started_at        INTEGER,
    ended_at          INTEGER,
    ending            TEXT
        CHECK (ending IN ('succeeded', 'failed', 'raised', 'timed_out', 'crashed', 'out_of_memory', 'cancelled', 'forfeited',
                          'handed_back')),
    status            TEXT,
    cause             TEXT,
    wall_seconds      REAL    NOT NULL DEFAULT 0,
    cpu_seconds       REAL    NOT NULL DEFAULT 0,
    memory_peak_bytes INTEGER NOT NULL DEFAULT 0,
    read_bytes        INTEGER NOT NULL DEFAULT 0,
    written_bytes     INTEGER NOT NULL DEFAULT 0,
    log_lines         INTEGER NOT NULL DEFAULT 0,
    log_bytes         INTEGER NOT NULL DEFAULT 0,
    log_dropped_lines INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job, claim)
) STRICT, WITHOUT ROWID;

-- What a session holds; partial, so that it stays as small as that.
CREATE INDEX heavyjobs_invocations_open ON heavyjobs_invocations (session, opened_at) WHERE ended_at IS NULL;

CREATE TABLE heavyjobs_logs (
    job   BLOB    NOT NULL,
    claim INTEGER NOT NULL,
    first INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    data  TEXT    NOT NULL,
    PRIMARY KEY (job, claim, first)
) STRICT;

CREATE TABLE heavyjobs_coordinators (
    session            BLOB PRIMARY KEY,
    name               TEXT    NOT NULL,
    host               TEXT    NOT NULL,
    boot_id            TEXT    NOT NULL,
    pid                INTEGER NOT NULL,
    pid_started        REAL    NOT NULL,
    release            TEXT    NOT NULL,
    queues             TEXT    NOT NULL,
    kinds              TEXT    NOT NULL,
    problems           TEXT    NOT NULL,
    tick               INTEGER NOT NULL DEFAULT 0,
    started_at         INTEGER NOT NULL,
    ticked_at          INTEGER NOT NULL,
    drain_requested_at INTEGER,
    fenced_at          INTEGER,
    ended_at           INTEGER
) STRICT, WITHOUT ROWID;

-- Wake-ups: a number for each topic, raised in the transaction that has news, so that a tick or a look wakes nobody.
CREATE TABLE heavyjobs_wakeups (
    topic  TEXT PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO heavyjobs_wakeups (topic, number) VALUES ('ready', 0), ('jobs', 0), ('control', 0);

CREATE VIEW heavyjobs_log_lines AS
    SELECT lower(substr(hex(logs.job), 1, 8) || '-' || substr(hex(logs.job), 9, 4) || '-' || substr(hex(logs.job), 13, 4) || '-'
                 || substr(hex(logs.job), 17, 4) || '-' || substr(hex(logs.job), 21)) AS job,
           logs.claim, logs.first + line.key AS number,
           strftime('%Y-%m-%d %H:%M:%f', json_extract(line.value, '$[0]'), 'unixepoch') AS time,
           json_extract(line.value, '$[1]') AS source, json_extract(line.value, '$[2]') AS level,
           json_extract(line.value, '$[3]') AS text
      FROM heavyjobs_logs AS logs, json_each(logs.data) AS line;
