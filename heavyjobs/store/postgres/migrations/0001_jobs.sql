-- The four tables, in a schema of their own. Never edited once released; changes come as new files.
--
-- No column that finishing, ticking or a change of status writes stands in an index or in an index's predicate, so these updates
-- are HOT. `due_at` is set only while scheduled, `ready_at` only while ready, `live_key` only while a unique job lives.

CREATE SCHEMA IF NOT EXISTS heavyjobs;

CREATE TABLE heavyjobs.schema_version (
    version        integer     NOT NULL,
    min_compatible integer     NOT NULL,  -- the oldest release's schema version that can still work here
    migrated_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE heavyjobs.jobs (
    id                  uuid PRIMARY KEY,
    kind                text             NOT NULL,
    version             integer          NOT NULL,
    state               text             NOT NULL
        CHECK (state IN ('scheduled', 'ready', 'running', 'succeeded', 'dead', 'cancelled')),
    queue               text             NOT NULL,
    priority            integer          NOT NULL,
    attempts            integer          NOT NULL,
    backoff_seconds     double precision NOT NULL,
    backoff_max_seconds double precision NOT NULL,
    timeout_seconds     double precision,
    grace_seconds       double precision NOT NULL,
    cpus                double precision NOT NULL,
    memory_bytes        bigint,
    epoch               integer          NOT NULL DEFAULT 1,
    attempt             integer          NOT NULL DEFAULT 0,  -- attempts charged in this epoch
    unstarted           integer          NOT NULL DEFAULT 0,  -- claims in a row that never started
    claim               bigint           NOT NULL DEFAULT 0,  -- number of the newest claim; never falls
    session             uuid,                                 -- who holds it, while running
    created_at          timestamptz      NOT NULL DEFAULT clock_timestamp(),
    due_at              timestamptz,
    ready_at            timestamptz,
    finished_at         timestamptz,
    cancel_requested_at timestamptz,
    cancel_grace_seconds double precision,
    unique_key          text,
    live_key            text,
    parent              uuid,
    child_key           text,
    parent_claim        bigint,                               -- the newest of the parent's claims that spawned this
    depth               integer          NOT NULL DEFAULT 0,
    parameters          json             NOT NULL,
    checkpoint          json,
    result              json,
    error               json,
    cause               json
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_analyze_scale_factor = 0.05);

-- What a claim walks: one range for each queue, kind and version, in the order jobs start, with what each job needs, so that
-- those too large for a host are passed over in the index.
CREATE INDEX jobs_ready ON heavyjobs.jobs (queue, kind, version, priority DESC, depth DESC, ready_at, id)
    INCLUDE (cpus, memory_bytes)
    WHERE ready_at IS NOT NULL;
CREATE INDEX jobs_due ON heavyjobs.jobs (due_at) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX jobs_live_key ON heavyjobs.jobs (kind, live_key) WHERE live_key IS NOT NULL;
CREATE UNIQUE INDEX jobs_child ON heavyjobs.jobs (parent, child_key) WHERE parent IS NOT NULL;

CREATE TABLE heavyjobs.invocations (
    job               uuid             NOT NULL,
    claim             bigint           NOT NULL,
    epoch             integer          NOT NULL,
    attempt           integer          NOT NULL,
    session           uuid             NOT NULL,
    host              text             NOT NULL,
    slot              text             NOT NULL DEFAULT '',
    opened_at         timestamptz      NOT NULL DEFAULT clock_timestamp(),
    started_at        timestamptz,
    ended_at          timestamptz,
    ending            text
        CHECK (ending IN ('succeeded', 'failed', 'raised', 'timed_out', 'crashed', 'out_of_memory', 'cancelled', 'forfeited',
                          'handed_back')),
    status            json,
    cause             json,
    wall_seconds      double precision NOT NULL DEFAULT 0,
    cpu_seconds       double precision NOT NULL DEFAULT 0,
    memory_peak_bytes bigint           NOT NULL DEFAULT 0,
    read_bytes        bigint           NOT NULL DEFAULT 0,
    written_bytes     bigint           NOT NULL DEFAULT 0,
    log_lines         bigint           NOT NULL DEFAULT 0,
    log_bytes         bigint           NOT NULL DEFAULT 0,
    log_dropped_lines bigint           NOT NULL DEFAULT 0,
    PRIMARY KEY (job, claim)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- What a session holds: its open invocations. Both columns are written once.
CREATE INDEX invocations_session ON heavyjobs.invocations (session, opened_at);

-- A row is a run of consecutive lines: a JSON array of [time, source, level, text], a fifth element 1 where the line goes on.
CREATE TABLE heavyjobs.logs (
    job   uuid    NOT NULL,
    claim bigint  NOT NULL,
    first bigint  NOT NULL,
    lines integer NOT NULL,
    data  text    NOT NULL,
    PRIMARY KEY (job, claim, first)
);

CREATE TABLE heavyjobs.coordinators (
    session            uuid PRIMARY KEY,
    name               text             NOT NULL,
    host               text             NOT NULL,
    boot_id            text             NOT NULL,
    pid                integer          NOT NULL,
    pid_started        double precision NOT NULL,
    release            text             NOT NULL,
    queues             json             NOT NULL,
    kinds              json             NOT NULL,
    problems           json             NOT NULL,
    tick               bigint           NOT NULL DEFAULT 0,
    started_at         timestamptz      NOT NULL DEFAULT clock_timestamp(),
    ticked_at          timestamptz      NOT NULL DEFAULT clock_timestamp(),
    drain_requested_at timestamptz,
    fenced_at          timestamptz,
    ended_at           timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50);

-- For people with a SQL prompt.
CREATE VIEW heavyjobs.log_lines AS
    SELECT logs.job, logs.claim, logs.first + line.number - 1 AS number, to_timestamp((line.item ->> 0)::double precision) AS time,
           line.item ->> 1 AS source, (line.item ->> 2)::integer AS level, line.item ->> 3 AS text
      FROM heavyjobs.logs
     CROSS JOIN LATERAL json_array_elements(logs.data::json) WITH ORDINALITY AS line (item, number);
