-- Every statement of the PostgreSQL store, in the order of a job's life. Batches come as arrays, one statement each.
--
-- `clock_timestamp()` and never `now()`: a transaction's start is not when something happened. Inside `(SELECT …)` it is taken
-- once, so that an index can be searched with it.
--
-- A queue's statistics are always out of date, so three things are said for the planner's sake alone: `num_nulls(…) = 0` makes
-- it expect few rows of a batch, and look each up by its key; `IS NOT DISTINCT FROM` is `=` without its index, for a claim is
-- found by its job, never by walking all that its session ever held, and a child that is named by its id, never by walking its
-- siblings; `settings` leave it no way but by an index.

-- name: schema_exists
-- Whether any migration has run here.
SELECT to_regclass('heavyjobs.schema_version') IS NOT NULL;

-- name: schema_version
-- The schema's version, and the oldest release's that can still work on it.
SELECT version, min_compatible
  FROM heavyjobs.schema_version
 ORDER BY version DESC
 LIMIT 1;

-- name: set_schema_version
-- Note that a migration has run.
INSERT INTO heavyjobs.schema_version (version, min_compatible)
VALUES (%(version)s, %(min_compatible)s);

-- name: lock_schema
-- Let one migrate at a time, until the end of the transaction; and let it take as long as it takes.
SELECT pg_advisory_xact_lock(7526763871), set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true);

-- name: backend
-- The server's process that answers. Another than the one we were told when we connected: a pooler is between.
SELECT pg_backend_pid();

-- name: bounds
-- Bound a transaction on the server's side too, where the session is not ours alone: a client that has vanished holds its locks.
SELECT set_config('statement_timeout', %(timeout)s::text, true),
       set_config('lock_timeout', %(timeout)s::text, true),
       set_config('idle_in_transaction_session_timeout', %(idle)s::text, true);

-- name: end_vanished
-- End those of our sessions that wait for their client amid a transaction: it has vanished, and they hold locks for ever.
SELECT pg_terminate_backend(pid)
  FROM pg_stat_activity
 WHERE datname = current_database() AND usename = current_user AND application_name ~ '^heavyjobs( |$)'
       AND xact_start IS NOT NULL AND wait_event = 'ClientRead' AND state_change < clock_timestamp() - %(idle_seconds)s * interval '1 second';

-- name: settings
-- Bound every call on the server's side too, for a frozen client holds its locks; miss a host that has vanished; see what others have committed, whatever the
-- database's default is; plan each statement once, and by its index.
SELECT set_config('statement_timeout', %(timeout)s::text, false),
       set_config('lock_timeout', %(timeout)s::text, false),
       set_config('idle_in_transaction_session_timeout', %(idle)s::text, false),
       set_config('tcp_keepalives_idle', '10', false),
       set_config('tcp_keepalives_interval', '3', false),
       set_config('tcp_keepalives_count', '3', false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('enable_seqscan', 'off', false),
       set_config('enable_bitmapscan', 'off', false),
       set_config('jit', 'off', false),
       set_config('plan_cache_mode', 'force_generic_plan', false);

-- name: notify
-- Wake those who listen, when the transaction commits.
SELECT pg_notify('heavyjobs', %(payload)s);

-- name: submit
-- Insert jobs, but none whose id, unique key or child key is taken; NULLs where the one that has it cannot be seen yet.
WITH new AS MATERIALIZED (
    SELECT id, kind, version, queue, priority, attempts, backoff_seconds, backoff_max_seconds, timeout_seconds, grace_seconds,
           cpus, memory_bytes, delay_seconds, unique_key, parent, child_key, depth, parameters, place
      FROM unnest(%(ids)s::uuid[], %(kinds)s::text[], %(versions)s::integer[], %(queues)s::text[], %(priorities)s::integer[],
                  %(attempts)s::integer[], %(backoffs)s::double precision[], %(backoff_maxes)s::double precision[],
                  %(timeouts)s::double precision[], %(graces)s::double precision[], %(cpus)s::double precision[],
                  %(memories)s::bigint[], %(delays)s::double precision[], %(unique_keys)s::text[], %(parents)s::uuid[],
                  %(child_keys)s::text[], %(depths)s::integer[], %(parameters)s::text[])
           WITH ORDINALITY
        AS new (id, kind, version, queue, priority, attempts, backoff_seconds, backoff_max_seconds, timeout_seconds,
                grace_seconds, cpus, memory_bytes, delay_seconds, unique_key, parent, child_key, depth, parameters, place)
     WHERE num_nulls(id) = 0
), inserted AS (
    INSERT INTO heavyjobs.jobs (id, kind, version, state, queue, priority, attempts, backoff_seconds, backoff_max_seconds,
                                timeout_seconds, grace_seconds, cpus, memory_bytes, due_at, ready_at, unique_key, live_key,
                                parent, child_key, parent_claim, depth, parameters)
    SELECT id, kind, version, CASE WHEN delay_seconds > 0 THEN 'scheduled' ELSE 'ready' END, queue, priority, attempts,
           backoff_seconds, backoff_max_seconds, timeout_seconds, grace_seconds, cpus, memory_bytes,
           CASE WHEN delay_seconds > 0 THEN clock_timestamp() + delay_seconds * interval '1 second' END,
           CASE WHEN delay_seconds > 0 THEN NULL ELSE clock_timestamp() END,
           unique_key, unique_key, parent, child_key, %(parent_claim)s::bigint, depth, parameters::json
      FROM new
     ORDER BY place
        ON CONFLICT DO NOTHING
    RETURNING id
)
SELECT CASE WHEN done.created THEN done.id ELSE coalesce(same.id, child.id, live.id) END AS job,
       done.created,
       CASE WHEN done.created THEN done.kind ELSE coalesce(same.kind, child.kind, live.kind) END AS kind,
       CASE WHEN done.created THEN done.parameters
            ELSE coalesce(same.parameters, child.parameters, live.parameters)::text END AS parameters
  FROM (SELECT id, kind, parameters, unique_key, parent, child_key, place, id IN (SELECT id FROM inserted) AS created
          FROM new) AS done
  LEFT JOIN heavyjobs.jobs AS same ON same.id = done.id
  LEFT JOIN heavyjobs.jobs AS live ON live.kind = done.kind AND live.live_key = done.unique_key
  LEFT JOIN heavyjobs.jobs AS child ON child.parent = done.parent AND child.child_key = done.child_key
 ORDER BY done.place;

-- name: parent_held
-- Keep a running job from ending until the end of the transaction; no row when the claim is lost, or a cancel was requested.
SELECT id
  FROM heavyjobs.jobs
 WHERE id = %(parent)s AND claim = %(claim)s AND state = 'running' AND session = %(session)s AND cancel_requested_at IS NULL
   FOR NO KEY UPDATE;

-- name: send_again
-- Send children again, in their next epoch, that are dead or cancelled since an earlier claim of their parent; of several with
-- one unique key the oldest.
UPDATE heavyjobs.jobs AS job
   SET state = 'ready', epoch = epoch + 1, attempt = 0, unstarted = 0, ready_at = clock_timestamp(), finished_at = NULL,
       cancel_requested_at = NULL, cancel_grace_seconds = NULL, live_key = unique_key, result = NULL, error = NULL,
       cause = NULL, parent_claim = %(claim)s
 WHERE parent = %(parent)s AND child_key = ANY (%(child_keys)s::text[]) AND state IN ('dead', 'cancelled')
       AND coalesce(parent_claim, 0) < %(claim)s
       AND NOT EXISTS (
           SELECT 1
             FROM heavyjobs.jobs AS owner
            WHERE owner.kind = job.kind AND owner.live_key = job.unique_key)
       AND NOT EXISTS (
           SELECT 1
             FROM heavyjobs.jobs AS older
            WHERE older.parent = %(parent)s AND older.child_key = ANY (%(child_keys)s::text[]) AND older.id < job.id
                  AND older.kind = job.kind AND older.unique_key = job.unique_key AND older.state IN ('dead', 'cancelled')
                  AND coalesce(older.parent_claim, 0) < %(claim)s)
RETURNING id, queue;

-- name: note_spawn
-- Note which claim of their parent children were last spawned in: should they die from now on, it is in that one.
UPDATE heavyjobs.jobs
   SET parent_claim = %(claim)s
 WHERE parent = %(parent)s AND child_key = ANY (%(child_keys)s::text[]) AND state <> 'succeeded'
       AND coalesce(parent_claim, 0) < %(claim)s;

-- name: promote
-- Make due jobs ready, longest due first; they line up as of the time they were due.
WITH due AS MATERIALIZED (
    SELECT id
      FROM heavyjobs.jobs
     WHERE due_at <= (SELECT clock_timestamp())
     ORDER BY due_at
     LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
)
UPDATE heavyjobs.jobs AS job
   SET state = 'ready', ready_at = job.due_at, due_at = NULL
  FROM due
 WHERE job.id = due.id
RETURNING job.id, job.queue;

-- name: next_due
-- Seconds until the next scheduled job is due.
SELECT extract(epoch FROM due_at - clock_timestamp())::double precision
  FROM heavyjobs.jobs
 WHERE due_at IS NOT NULL
 ORDER BY due_at
 LIMIT 1;

-- name: claim
-- Take ready jobs that fit, open their invocations, and number them; one row of NULLs when nothing fits, no row when fenced.
--
-- Each version of a want that has ready jobs is a range of the index, already in order; of each, `look` entries are looked at
-- until as many fit as there is room. `chosen` goes down the merged line step by step, and takes what fits into what is left of
-- CPUs, memory and the lines' rooms. Only the chosen are locked: whoever claims at the same time must not find the others
-- locked. A chosen one that another has locked, or was faster with, comes back with NULLs: ask again, and name it as
-- `passed_over`. `num_nulls(ready_at)` keeps the planner from finding the chosen by a walk down the whole line, which it prefers
-- when the line was empty as it last looked.
WITH RECURSIVE mine AS MATERIALIZED (
    SELECT session
      FROM heavyjobs.coordinators
     WHERE session = %(session)s AND fenced_at IS NULL AND ended_at IS NULL
       FOR KEY SHARE
), wants AS MATERIALIZED (
    SELECT want.queue, want.kind, want.version, want.line, want.room, want.depth_min
      FROM mine
     CROSS JOIN unnest(%(queues)s::text[], %(kinds)s::text[], %(versions)s::integer[], %(lines)s::integer[],
                       %(rooms)s::integer[], %(depths)s::integer[]) AS want (queue, kind, version, line, room, depth_min)
), versions AS (
    SELECT wants.queue, wants.kind, newest.version, wants.line, wants.room, wants.depth_min
      FROM wants
     CROSS JOIN LATERAL (
           SELECT version
             FROM heavyjobs.jobs
            WHERE queue = wants.queue AND kind = wants.kind AND version <= wants.version AND ready_at IS NOT NULL
            ORDER BY version DESC
            LIMIT 1) AS newest
     UNION ALL
    SELECT versions.queue, versions.kind, older.version, versions.line, versions.room, versions.depth_min
      FROM versions
     CROSS JOIN LATERAL (
           SELECT version
             FROM heavyjobs.jobs
            WHERE queue = versions.queue AND kind = versions.kind AND version < versions.version AND ready_at IS NOT NULL
            ORDER BY version DESC
            LIMIT 1) AS older
), heads AS MATERIALIZED (
    SELECT row_number() OVER (ORDER BY priority DESC, depth DESC, ready_at, id, depth_min DESC) AS place,
           id, line, cpus, memory_bytes
      FROM versions
     CROSS JOIN LATERAL (
           SELECT looked.id, looked.priority, looked.depth, looked.ready_at, looked.cpus, looked.memory_bytes
             FROM (SELECT id, priority, depth, ready_at, cpus, coalesce(memory_bytes, 0) AS memory_bytes
                     FROM heavyjobs.jobs
                    WHERE queue = versions.queue AND kind = versions.kind AND version = versions.version
                          AND depth >= versions.depth_min AND ready_at IS NOT NULL
                    ORDER BY priority DESC, depth DESC, ready_at, id
                    LIMIT %(look)s) AS looked
            WHERE looked.cpus <= %(cpus)s + 1e-9 AND looked.memory_bytes <= %(memory)s
                  AND looked.id <> ALL (%(passed_over)s::uuid[])
            LIMIT versions.room) AS head
), chosen AS (
    SELECT 0::bigint AS place, 0 AS line, NULL::uuid AS id, NULL::double precision AS needs_cpus, NULL::bigint AS needs_bytes,
           %(cpus)s::double precision AS cpus, %(memory)s::bigint AS memory_bytes, %(line_rooms)s::integer[] AS rooms
     UNION ALL
    SELECT head.place, CASE WHEN fit.fits THEN head.line ELSE 0 END, CASE WHEN fit.fits THEN head.id ELSE chosen.id END,
           head.cpus, head.memory_bytes,
           CASE WHEN fit.fits THEN chosen.cpus - head.cpus ELSE chosen.cpus END,
           CASE WHEN fit.fits THEN chosen.memory_bytes - head.memory_bytes ELSE chosen.memory_bytes END,
           CASE WHEN fit.fits
                THEN chosen.rooms[:head.line - 1] || chosen.rooms[head.line] - 1 || chosen.rooms[head.line + 1:]
                ELSE chosen.rooms END
      FROM chosen
     CROSS JOIN LATERAL (
           SELECT place, id, line, cpus, memory_bytes
             FROM heads
            WHERE place = chosen.place + 1
            LIMIT 1) AS head
     CROSS JOIN LATERAL (
           SELECT head.cpus <= chosen.cpus + 1e-9 AND head.memory_bytes <= chosen.memory_bytes
                  AND chosen.rooms[head.line] > 0 AND head.id IS DISTINCT FROM chosen.id) AS fit (fits)
), locked AS MATERIALIZED (
    SELECT job.id
      FROM chosen
      JOIN heavyjobs.jobs AS job ON job.id = chosen.id
     WHERE chosen.line > 0 AND num_nulls(chosen.id) = 0 AND num_nulls(job.ready_at) = 0 AND job.queue = ANY (%(queues)s::text[])
           AND job.cpus = chosen.needs_cpus AND coalesce(job.memory_bytes, 0) = chosen.needs_bytes
       FOR UPDATE OF job SKIP LOCKED
), taken AS (
    UPDATE heavyjobs.jobs AS job
       SET state = 'running', claim = job.claim + 1, unstarted = job.unstarted + 1, session = %(session)s, ready_at = NULL
      FROM locked
     WHERE job.id = locked.id
    RETURNING job.id, job.claim, job.epoch, job.attempt + 1 AS attempt, job.unstarted, job.kind, job.version,
              job.parameters::text AS parameters, job.queue, job.priority, job.attempts, job.backoff_seconds,
              job.backoff_max_seconds, job.timeout_seconds, job.grace_seconds, job.cpus, job.memory_bytes, job.depth,
              job.parent, job.checkpoint::text AS checkpoint
), opened AS (
    INSERT INTO heavyjobs.invocations (job, claim, epoch, attempt, session, host)
    SELECT id, claim, epoch, attempt, %(session)s, %(host)s
      FROM taken
)
SELECT chosen.id AS chosen, chosen.line, taken.id AS job, claim, epoch, attempt, unstarted, kind, version, parameters, queue,
       priority, attempts, backoff_seconds, backoff_max_seconds, timeout_seconds, grace_seconds, taken.cpus, taken.memory_bytes,
       depth, parent, checkpoint
  FROM mine
  LEFT JOIN chosen ON chosen.line > 0
  LEFT JOIN taken ON taken.id = chosen.id
 ORDER BY chosen.place;

-- name: held
-- All that a session holds, oldest first.
SELECT job.id AS job, job.claim, job.epoch, invocation.attempt, job.unstarted, job.kind, job.version,
       job.parameters::text AS parameters, job.queue, job.priority, job.attempts, job.backoff_seconds, job.backoff_max_seconds,
       job.timeout_seconds, job.grace_seconds, job.cpus, job.memory_bytes, job.depth, job.parent,
       job.checkpoint::text AS checkpoint
  FROM heavyjobs.invocations AS invocation
  JOIN heavyjobs.jobs AS job ON job.id = invocation.job AND job.claim = invocation.claim
 WHERE invocation.session = %(session)s AND invocation.ended_at IS NULL
 ORDER BY invocation.opened_at, job.id;

-- name: checkpoint
-- Keep what the next invocation may resume from, while the claim is live.
UPDATE heavyjobs.jobs
   SET checkpoint = %(data)s::json
 WHERE id = %(job)s AND claim = %(claim)s AND state = 'running' AND session = %(session)s
RETURNING id;

-- name: holds
-- Whether a claim is live; fencing a session takes its claims in the same transaction.
SELECT EXISTS (
    SELECT 1
      FROM heavyjobs.jobs
     WHERE id = %(job)s AND claim = %(claim)s AND state = 'running' AND session = %(session)s);

-- name: session_unfenced
-- Keep a session from being fenced until the end of the transaction; no row when it is too late. A tick does not wait for this.
SELECT session
  FROM heavyjobs.coordinators
 WHERE session = %(session)s AND fenced_at IS NULL AND ended_at IS NULL
   FOR KEY SHARE;

-- name: progress
-- Write news of running invocations, and charge the attempt of those that have started.
WITH told AS (
    UPDATE heavyjobs.invocations AS invocation
       SET slot = news.slot,
           started_at = coalesce(invocation.started_at, clock_timestamp() - news.started_ago * interval '1 second'),
           status = coalesce(news.status::json, invocation.status),
           wall_seconds = news.wall_seconds, cpu_seconds = news.cpu_seconds, memory_peak_bytes = news.memory_peak_bytes,
           read_bytes = news.read_bytes, written_bytes = news.written_bytes
      FROM unnest(%(jobs)s::uuid[], %(claims)s::bigint[], %(slots)s::text[], %(started_agos)s::double precision[],
                  %(statuses)s::text[], %(walls)s::double precision[], %(cpus)s::double precision[], %(memories)s::bigint[],
                  %(reads)s::bigint[], %(writes)s::bigint[])
        AS news (job, claim, slot, started_ago, status, wall_seconds, cpu_seconds, memory_peak_bytes, read_bytes, written_bytes)
     WHERE num_nulls(news.job) = 0 AND invocation.job = news.job AND invocation.claim = news.claim
           AND invocation.session IS NOT DISTINCT FROM %(session)s AND invocation.ended_at IS NULL
    RETURNING invocation.job, invocation.claim, invocation.attempt, invocation.started_at
), charged AS (
    UPDATE heavyjobs.jobs AS job
       SET attempt = told.attempt, unstarted = 0
      FROM told
     WHERE job.id = told.job AND job.claim = told.claim AND told.started_at IS NOT NULL
           AND (job.attempt <> told.attempt OR job.unstarted <> 0)
    RETURNING job.id
)
SELECT job, claim, job IN (SELECT id FROM charged) AS charged
  FROM told;

-- name: append_logs
-- Add chunks of lines to running invocations, counting only what was not there yet; answer which of them are running.
WITH live AS MATERIALIZED (
    SELECT chunk.job, chunk.claim, chunk.first, chunk.lines, chunk.data
      FROM unnest(%(jobs)s::uuid[], %(claims)s::bigint[], %(firsts)s::bigint[], %(lines)s::integer[], %(datas)s::text[])
        AS chunk (job, claim, first, lines, data)
      JOIN heavyjobs.invocations AS invocation
        ON invocation.job = chunk.job AND invocation.claim = chunk.claim
           AND invocation.session IS NOT DISTINCT FROM %(session)s AND invocation.ended_at IS NULL
     WHERE num_nulls(chunk.job) = 0
), added AS (
    INSERT INTO heavyjobs.logs (job, claim, first, lines, data)
    SELECT job, claim, first, lines, data
      FROM live
        ON CONFLICT DO NOTHING
    RETURNING job, claim, first + lines AS lines, octet_length(data) AS bytes
), summed AS (
    SELECT job, claim, max(lines) AS lines, sum(bytes) AS bytes
      FROM added
     GROUP BY job, claim
), counted AS (
    UPDATE heavyjobs.invocations AS invocation
       SET log_lines = greatest(invocation.log_lines, summed.lines), log_bytes = invocation.log_bytes + summed.bytes
      FROM summed
     WHERE invocation.job = summed.job AND invocation.claim = summed.claim
)
SELECT DISTINCT job, claim
  FROM live;

-- name: end_invocation
-- Close invocations with their last news, and move their jobs; with a cancel request standing, to cancelled unless succeeded.
WITH ends AS MATERIALIZED (
    SELECT job, claim, slot, started_ago, status, wall_seconds, cpu_seconds, memory_peak_bytes, read_bytes, written_bytes,
           ending, cause, dropped_lines, state, delay_seconds, charged, result, error
      FROM unnest(%(jobs)s::uuid[], %(claims)s::bigint[], %(slots)s::text[], %(started_agos)s::double precision[],
                  %(statuses)s::text[], %(walls)s::double precision[], %(cpus)s::double precision[], %(memories)s::bigint[],
                  %(reads)s::bigint[], %(writes)s::bigint[], %(endings)s::text[], %(causes)s::text[], %(dropped)s::bigint[],
                  %(states)s::text[], %(delays)s::double precision[], %(charged)s::boolean[], %(results)s::text[],
                  %(errors)s::text[])
        AS ends (job, claim, slot, started_ago, status, wall_seconds, cpu_seconds, memory_peak_bytes, read_bytes, written_bytes,
                 ending, cause, dropped_lines, state, delay_seconds, charged, result, error)
     WHERE num_nulls(job) = 0
), closed AS (
    UPDATE heavyjobs.invocations AS invocation
       SET slot = ends.slot,
           started_at = coalesce(invocation.started_at, clock_timestamp() - ends.started_ago * interval '1 second'),
           ended_at = clock_timestamp(),
           ending = ends.ending,
           status = coalesce(ends.status::json, invocation.status),
           cause = ends.cause::json,
           wall_seconds = ends.wall_seconds, cpu_seconds = ends.cpu_seconds, memory_peak_bytes = ends.memory_peak_bytes,
           read_bytes = ends.read_bytes, written_bytes = ends.written_bytes, log_dropped_lines = ends.dropped_lines
      FROM ends
     WHERE invocation.job = ends.job AND invocation.claim = ends.claim
           AND invocation.session IS NOT DISTINCT FROM %(session)s AND invocation.ended_at IS NULL
    RETURNING ends.job, ends.claim, ends.cause, ends.state, ends.delay_seconds, ends.charged, ends.result, ends.error,
              invocation.attempt, invocation.started_at
)
UPDATE heavyjobs.jobs AS job
   SET state = CASE WHEN closed.state <> 'succeeded' AND job.cancel_requested_at IS NOT NULL THEN 'cancelled'
                    ELSE closed.state END,
       attempt = CASE WHEN closed.charged THEN closed.attempt ELSE closed.attempt - 1 END,
       unstarted = CASE WHEN closed.started_at IS NULL THEN job.unstarted ELSE 0 END,
       session = NULL,
       due_at = CASE WHEN closed.state = 'scheduled' AND job.cancel_requested_at IS NULL
                     THEN clock_timestamp() + closed.delay_seconds * interval '1 second' END,
       ready_at = CASE WHEN closed.state = 'ready' AND job.cancel_requested_at IS NULL THEN clock_timestamp() END,
       finished_at = CASE WHEN closed.state IN ('succeeded', 'dead', 'cancelled') OR job.cancel_requested_at IS NOT NULL
                          THEN clock_timestamp() END,
       live_key = CASE WHEN closed.state IN ('scheduled', 'ready') AND job.cancel_requested_at IS NULL THEN job.live_key END,
       result = CASE WHEN closed.state = 'succeeded' THEN closed.result::json END,
       error = CASE WHEN closed.state = 'dead' AND job.cancel_requested_at IS NULL THEN closed.error::json END,
       cause = CASE WHEN closed.state IN ('dead', 'cancelled')
                         OR (closed.state <> 'succeeded' AND job.cancel_requested_at IS NOT NULL)
                    THEN closed.cause::json END,
       cancel_requested_at = NULL,
       cancel_grace_seconds = NULL
  FROM closed
 WHERE job.id = closed.job AND job.claim = closed.claim AND job.state = 'running'
RETURNING job.id, job.claim, job.state, job.queue;

-- name: read_back
-- Which of these claims the session ended itself, and the states of their jobs; NULL where a job has run on since.
SELECT named.job, named.claim, CASE WHEN job.claim = named.claim AND job.epoch = invocation.epoch THEN job.state END AS state
  FROM unnest(%(jobs)s::uuid[], %(claims)s::bigint[]) AS named (job, claim)
  JOIN heavyjobs.invocations AS invocation ON invocation.job = named.job AND invocation.claim = named.claim
  JOIN heavyjobs.jobs AS job ON job.id = named.job
 WHERE num_nulls(named.job) = 0 AND invocation.session IS NOT DISTINCT FROM %(session)s AND invocation.ended_at IS NOT NULL
       AND invocation.ending <> 'forfeited';

-- name: cancel
-- Cancel jobs and all that lives below them: the waiting at once, the running by a request. NULL where a job had ended; what is
-- below such a one is left alone, except below those that fall just now.
WITH RECURSIVE family (id) AS (
    SELECT id
      FROM heavyjobs.jobs
     WHERE id = ANY (%(jobs)s::uuid[]) AND (state IN ('scheduled', 'ready', 'running') OR %(falling)s)
     UNION
    SELECT child.id
      FROM family
      JOIN heavyjobs.jobs AS child ON child.parent = family.id
     WHERE num_nulls(family.id) = 0
), live AS MATERIALIZED (
    SELECT job.id
      FROM family
      JOIN heavyjobs.jobs AS job ON job.id = family.id
     WHERE num_nulls(family.id) = 0 AND job.state IN ('scheduled', 'ready', 'running')
     ORDER BY job.depth, job.id
       FOR UPDATE OF job
), changed AS (
    UPDATE heavyjobs.jobs AS job
       SET state = CASE WHEN job.state = 'running' THEN 'running' ELSE 'cancelled' END,
           due_at = NULL,
           ready_at = NULL,
           finished_at = CASE WHEN job.state = 'running' THEN NULL ELSE clock_timestamp() END,
           live_key = CASE WHEN job.state = 'running' THEN job.live_key END,
           cause = CASE WHEN job.state = 'running' THEN job.cause ELSE coalesce(job.cause, %(waiting)s::json) END,
           cancel_requested_at = CASE WHEN job.state = 'running' THEN coalesce(job.cancel_requested_at, clock_timestamp()) END,
           cancel_grace_seconds = CASE WHEN job.state = 'running'
                                       THEN coalesce(%(grace)s::double precision, job.cancel_grace_seconds) END
      FROM live
     WHERE num_nulls(live.id) = 0 AND job.id = live.id AND job.state IN ('scheduled', 'ready', 'running')
    RETURNING job.id, job.state, job.session
)
SELECT coalesce(named.id, changed.id) AS job, changed.state, changed.session
  FROM (SELECT id FROM heavyjobs.jobs WHERE id = ANY (%(jobs)s::uuid[])) AS named
  FULL JOIN changed ON changed.id = named.id;

-- name: children_held
-- Of the jobs named, the children of a running job, which is kept from ending until the end of the transaction; one NULL when
-- there are none, no row when the claim is lost.
SELECT child.id
  FROM heavyjobs.jobs AS parent
  LEFT JOIN heavyjobs.jobs AS child ON child.parent IS NOT DISTINCT FROM parent.id AND child.id = ANY (%(jobs)s::uuid[])
 WHERE parent.id = %(parent)s AND parent.claim = %(claim)s AND parent.state = 'running' AND parent.session = %(session)s
   FOR NO KEY UPDATE OF parent;

-- name: retry
-- Send a dead or cancelled job again, in its next epoch.
UPDATE heavyjobs.jobs
   SET state = 'ready', epoch = epoch + 1, attempt = 0, unstarted = 0, ready_at = clock_timestamp(), finished_at = NULL,
       cancel_requested_at = NULL, cancel_grace_seconds = NULL, live_key = unique_key, result = NULL, error = NULL,
       cause = NULL,
       checkpoint = CASE WHEN %(fresh)s THEN NULL ELSE checkpoint END
 WHERE id = %(job)s AND state IN ('dead', 'cancelled')
RETURNING queue;

-- name: update_job
-- Change a job that has not ended; its time only while it does not run.
UPDATE heavyjobs.jobs
   SET queue = coalesce(%(queue)s::text, queue),
       priority = coalesce(%(priority)s::integer, priority),
       attempts = coalesce(%(attempts)s::integer, attempts),
       timeout_seconds = coalesce(%(timeout)s::double precision, timeout_seconds),
       memory_bytes = coalesce(%(memory)s::bigint, memory_bytes),
       cpus = coalesce(%(cpus)s::double precision, cpus),
       state = CASE WHEN %(delay)s::double precision IS NULL THEN state
                    WHEN %(delay)s::double precision > 0 THEN 'scheduled'
                    ELSE 'ready' END,
       due_at = CASE WHEN %(delay)s::double precision IS NULL THEN due_at
                     WHEN %(delay)s::double precision > 0
                     THEN clock_timestamp() + %(delay)s::double precision * interval '1 second' END,
       ready_at = CASE WHEN %(delay)s::double precision IS NULL THEN ready_at
                       WHEN %(delay)s::double precision > 0 THEN NULL
                       ELSE coalesce(ready_at, clock_timestamp()) END
 WHERE id = %(job)s AND state IN ('scheduled', 'ready', 'running')
       AND (%(delay)s::double precision IS NULL OR state <> 'running')
RETURNING queue;

-- name: register
-- Open a session, or say anew what it can do.
INSERT INTO heavyjobs.coordinators (session, name, host, boot_id, pid, pid_started, release, queues, kinds, problems)
VALUES (%(session)s, %(name)s, %(host)s, %(boot_id)s, %(pid)s, %(pid_started)s, %(release)s, %(queues)s::json, %(kinds)s::json,
        %(problems)s::json)
    ON CONFLICT (session) DO UPDATE
   SET queues = excluded.queues, kinds = excluded.kinds, problems = excluded.problems;

-- name: tick
-- Give the session's word; no row when it is fenced.
UPDATE heavyjobs.coordinators
   SET tick = tick + 1, ticked_at = clock_timestamp()
 WHERE session = %(session)s AND fenced_at IS NULL AND ended_at IS NULL
RETURNING tick, drain_requested_at IS NOT NULL;

-- name: lost_claims
-- Which of the claims that a session names it no longer holds.
SELECT named.job, named.claim
  FROM unnest(%(jobs)s::uuid[], %(claims)s::bigint[]) AS named (job, claim)
 WHERE num_nulls(named.job) = 0 AND NOT EXISTS (
    SELECT 1
      FROM heavyjobs.jobs AS job
     WHERE job.id = named.job AND job.claim = named.claim AND job.state = 'running' AND job.session = %(session)s);

-- name: cancels
-- Which of the claims that a session names are to be stopped.
SELECT named.job, named.claim, job.cancel_grace_seconds
  FROM unnest(%(jobs)s::uuid[], %(claims)s::bigint[]) AS named (job, claim)
  JOIN heavyjobs.jobs AS job ON job.id = named.job AND job.claim = named.claim
 WHERE num_nulls(named.job) = 0 AND job.state = 'running' AND job.session = %(session)s
       AND job.cancel_requested_at IS NOT NULL;

-- name: other_sessions
-- The other sessions that are neither ended nor fenced.
SELECT session, tick, name, host, boot_id, pid, pid_started
  FROM heavyjobs.coordinators
 WHERE session <> %(session)s AND fenced_at IS NULL AND ended_at IS NULL;

-- name: fence
-- Declare a session dead if it has not ticked since; waits for what it is writing. No row when it lives or is gone already.
WITH silent AS MATERIALIZED (
    SELECT session
      FROM heavyjobs.coordinators
     WHERE session = %(session)s AND tick = %(tick)s AND fenced_at IS NULL AND ended_at IS NULL
       FOR UPDATE
)
UPDATE heavyjobs.coordinators AS coordinator
   SET fenced_at = clock_timestamp()
  FROM silent
 WHERE coordinator.session = silent.session
RETURNING coordinator.name, coordinator.host;

-- name: open_invocations
-- What a fenced session held, locked, with all that decides where the jobs go.
SELECT job.id AS job, job.claim, invocation.attempt, job.unstarted, invocation.started_at IS NOT NULL AS started,
       invocation.slot, invocation.wall_seconds, invocation.cpu_seconds, invocation.memory_peak_bytes, invocation.read_bytes,
       invocation.written_bytes, invocation.log_dropped_lines, job.queue, job.priority, job.attempts, job.backoff_seconds,
       job.backoff_max_seconds, job.timeout_seconds, job.grace_seconds, job.cpus, job.memory_bytes
  FROM heavyjobs.invocations AS invocation
  JOIN heavyjobs.jobs AS job ON job.id = invocation.job AND job.claim = invocation.claim
 WHERE invocation.session = %(session)s AND invocation.ended_at IS NULL
 ORDER BY job.depth, job.id
   FOR UPDATE OF job;

-- name: settle_session
-- Wait for what a session is writing, so that the next statement sees it.
SELECT session
  FROM heavyjobs.coordinators
 WHERE session = %(session)s
   FOR UPDATE;

-- name: end_session
-- Close a session that holds nothing.
UPDATE heavyjobs.coordinators
   SET ended_at = clock_timestamp()
 WHERE session = %(session)s AND fenced_at IS NULL AND ended_at IS NULL
       AND NOT EXISTS (
           SELECT 1
             FROM heavyjobs.invocations AS invocation
            WHERE invocation.session = %(session)s AND invocation.ended_at IS NULL);

-- name: drain
-- Ask sessions to drain.
UPDATE heavyjobs.coordinators
   SET drain_requested_at = coalesce(drain_requested_at, clock_timestamp())
 WHERE session = ANY (%(sessions)s::uuid[]) AND ended_at IS NULL;

-- name: jobs
-- The whole of some jobs.
SELECT id AS job, kind, version, state, parameters::text AS parameters, queue, priority, attempts, backoff_seconds,
       backoff_max_seconds, timeout_seconds, grace_seconds, cpus, memory_bytes, epoch, attempt, claim, created_at, due_at,
       ready_at, finished_at, cancel_requested_at, unique_key, parent, child_key, depth, result::text AS result,
       error::text AS error, cause::text AS cause
  FROM heavyjobs.jobs
 WHERE id = ANY (%(jobs)s::uuid[]);

-- name: find
-- Ids by the end of their digits, newest first.
SELECT id
  FROM heavyjobs.jobs
 WHERE right(replace(id::text, '-', ''), length(%(tail)s)) = %(tail)s
 ORDER BY id DESC
 LIMIT %(limit)s;

-- name: list
-- Jobs by what they are and where they stand, newest first; an empty array means any.
SELECT id AS job, kind, version, state, parameters::text AS parameters, queue, priority, attempts, backoff_seconds,
       backoff_max_seconds, timeout_seconds, grace_seconds, cpus, memory_bytes, epoch, attempt, claim, created_at, due_at,
       ready_at, finished_at, cancel_requested_at, unique_key, parent, child_key, depth, result::text AS result,
       error::text AS error, cause::text AS cause
  FROM heavyjobs.jobs
 WHERE (cardinality(%(states)s::text[]) = 0 OR state = ANY (%(states)s::text[]))
   AND (cardinality(%(kinds)s::text[]) = 0 OR kind = ANY (%(kinds)s::text[]))
   AND (cardinality(%(queues)s::text[]) = 0 OR queue = ANY (%(queues)s::text[]))
   AND id < %(before)s
 ORDER BY id DESC
 LIMIT %(limit)s;

-- name: list_children
-- The same among the children of one job.
SELECT id AS job, kind, version, state, parameters::text AS parameters, queue, priority, attempts, backoff_seconds,
       backoff_max_seconds, timeout_seconds, grace_seconds, cpus, memory_bytes, epoch, attempt, claim, created_at, due_at,
       ready_at, finished_at, cancel_requested_at, unique_key, parent, child_key, depth, result::text AS result,
       error::text AS error, cause::text AS cause
  FROM heavyjobs.jobs
 WHERE parent = %(parent)s
   AND (cardinality(%(states)s::text[]) = 0 OR state = ANY (%(states)s::text[]))
   AND (cardinality(%(kinds)s::text[]) = 0 OR kind = ANY (%(kinds)s::text[]))
   AND (cardinality(%(queues)s::text[]) = 0 OR queue = ANY (%(queues)s::text[]))
   AND id < %(before)s
 ORDER BY id DESC
 LIMIT %(limit)s;

-- name: briefs
-- Where jobs stand, with the status and log length of their newest claim.
SELECT job.id AS job, job.state, job.epoch, job.claim, job.attempt, coalesce(invocation.log_lines, 0) AS log_lines,
       invocation.status::text AS status
  FROM heavyjobs.jobs AS job
  LEFT JOIN heavyjobs.invocations AS invocation ON invocation.job = job.id AND invocation.claim = job.claim
 WHERE job.id = ANY (%(jobs)s::uuid[]);

-- name: invocations
-- Every invocation of a job, oldest first.
SELECT job, claim, epoch, attempt, session, host, slot, opened_at, started_at, ended_at, ending, status::text AS status,
       cause::text AS cause, wall_seconds, cpu_seconds, memory_peak_bytes, read_bytes, written_bytes, log_lines, log_bytes,
       log_dropped_lines
  FROM heavyjobs.invocations
 WHERE job = %(job)s
 ORDER BY claim;

-- name: logs
-- Chunks of an invocation from the one that holds line `first` on.
SELECT first, lines, data
  FROM heavyjobs.logs
 WHERE job = %(job)s AND claim = %(claim)s
   AND first >= coalesce((SELECT max(first)
                            FROM heavyjobs.logs
                           WHERE job = %(job)s AND claim = %(claim)s AND first <= %(first)s), 0)
   AND first + lines > %(first)s
 ORDER BY first
 LIMIT %(limit)s;

-- name: log_rows
-- Where the chunks of an invocation lie, from line `first` on, without what they say.
SELECT first, lines
  FROM heavyjobs.logs
 WHERE job = %(job)s AND claim = %(claim)s AND first >= %(first)s
 ORDER BY first
 LIMIT %(limit)s;

-- name: health
-- What decides whether this server keeps what it was given, and whether anyone stands between it and us.
SELECT pg_backend_pid() AS backend, current_setting('server_version') AS version, pg_is_in_recovery() AS recovering,
       current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit, current_setting('transaction_read_only') AS read_only,
       current_setting('transaction_isolation') AS isolation,
       coalesce((SELECT setting::bigint FROM pg_settings WHERE name = 'idle_session_timeout'), 0) AS idle_ms,
       current_setting('max_connections')::integer AS connections_max,
       (SELECT count(1) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       extract(epoch FROM clock_timestamp())::double precision AS clock;

-- name: coordinators
-- Live sessions, or all of them, newest first, with how many invocations each has open.
SELECT session, name, host, boot_id, pid, pid_started, release, queues::text AS queues, kinds::text AS kinds,
       problems::text AS problems, tick, started_at, ticked_at, drain_requested_at, ended_at, fenced_at,
       (SELECT count(*)
          FROM heavyjobs.invocations AS invocation
         WHERE invocation.session = coordinator.session AND invocation.ended_at IS NULL) AS running
  FROM heavyjobs.coordinators AS coordinator
 WHERE %(ended)s OR (ended_at IS NULL AND fenced_at IS NULL)
 ORDER BY started_at DESC;
