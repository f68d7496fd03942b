-- What the SQLite store says to its database, in the order of the protocol's verbs; the same names as in PostgreSQL's file.
--
-- Ids are 16 bytes, times are microseconds since 1970 (:now is the caller's reading inside the transaction), lists of ids are
-- JSON arrays of hexadecimal text. Every write runs inside BEGIN IMMEDIATE, so what a transaction has read stays true until it
-- commits.

-- name: schema_exists
-- Whether any migration has run here.
SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'heavyjobs_schema_version';

-- name: schema_version
-- The schema's version, and the oldest release's that can still work on it.
SELECT version, min_compatible FROM heavyjobs_schema_version ORDER BY version DESC LIMIT 1;

-- name: set_schema_version
-- Note that a migration has run.
INSERT INTO heavyjobs_schema_version (version, min_compatible, migrated_at) VALUES (:version, :min_compatible, :now);

-- name: submit
-- Insert a job, unless its id, its unique key or its child key is taken.
INSERT INTO heavyjobs_jobs (
       id, kind, version, state, queue, priority, attempts, backoff_seconds, backoff_max_seconds, timeout_seconds,
       grace_seconds, cpus, memory_bytes, created_at, due_at, ready_at, unique_key, live_key, parent, child_key,
       parent_claim, depth, parameters)
VALUES (:id, :kind, :version, CASE WHEN :delay > 0 THEN 'scheduled' ELSE 'ready' END, :queue, :priority, :attempts,
       :backoff_seconds, :backoff_max_seconds, :timeout_seconds, :grace_seconds, :cpus, :memory_bytes, :now,
       CASE WHEN :delay > 0 THEN :now + :delay END, CASE WHEN :delay > 0 THEN NULL ELSE :now END,
       :unique_key, :unique_key, :parent, :child_key, :parent_claim, :depth, :parameters)
    ON CONFLICT DO NOTHING;

-- name: submitted
-- What an earlier try inserted.
SELECT id, kind, parameters FROM heavyjobs_jobs WHERE id = :id;

-- name: child_owner
-- The child that has this key.
SELECT id, kind, parameters FROM heavyjobs_jobs WHERE parent = :parent AND child_key = :child_key;

-- name: live_owner
-- The live job that has this unique key.
SELECT id, kind, parameters FROM heavyjobs_jobs WHERE kind = :kind AND live_key = :unique_key;

-- name: parent_held
-- Whether a job runs under this claim, and no cancel was requested.
SELECT 1
  FROM heavyjobs_jobs
 WHERE id = :parent AND claim = :claim AND state = 'running' AND session = :session AND cancel_requested_at IS NULL;

-- name: send_again
-- Send children again, in their next epoch, that are dead or cancelled since an earlier claim of their parent; of several with
-- one unique key the oldest.
UPDATE heavyjobs_jobs
   SET state = 'ready', epoch = epoch + 1, attempt = 0, unstarted = 0, ready_at = :now, finished_at = NULL,
       cancel_requested_at = NULL, cancel_grace_seconds = NULL, live_key = unique_key, result = NULL, error = NULL,
       cause = NULL, parent_claim = :claim
 WHERE parent = :parent AND child_key IN (SELECT value FROM json_each(:child_keys)) AND state IN ('dead', 'cancelled')
   AND coalesce(parent_claim, 0) < :claim
   AND NOT EXISTS (SELECT 1 FROM heavyjobs_jobs AS owners
                    WHERE owners.kind = heavyjobs_jobs.kind AND owners.live_key = heavyjobs_jobs.unique_key)
   AND NOT EXISTS (SELECT 1 FROM heavyjobs_jobs AS older
                    WHERE older.parent = :parent AND older.child_key IN (SELECT value FROM json_each(:child_keys))
                      AND older.id < heavyjobs_jobs.id AND older.kind = heavyjobs_jobs.kind
                      AND older.unique_key = heavyjobs_jobs.unique_key AND older.state IN ('dead', 'cancelled')
                      AND coalesce(older.parent_claim, 0) < :claim);

-- name: note_spawn
-- Note which claim of their parent children were last spawned in: should they die from now on, it is in that one.
UPDATE heavyjobs_jobs
   SET parent_claim = :claim
 WHERE parent = :parent AND child_key IN (SELECT value FROM json_each(:child_keys)) AND state <> 'succeeded'
   AND coalesce(parent_claim, 0) < :claim;

-- name: next_due
-- When the next scheduled job is due.
SELECT min(due_at) AS due_at FROM heavyjobs_jobs WHERE due_at IS NOT NULL;

-- name: promote
-- Make due jobs ready, longest due first; they line up as of the time they were due.
UPDATE heavyjobs_jobs
   SET state = 'ready', ready_at = due_at, due_at = NULL
 WHERE id IN (SELECT id FROM heavyjobs_jobs WHERE due_at IS NOT NULL AND due_at <= :now ORDER BY due_at LIMIT :limit);

-- name: claimable
-- Whether any job is ready at all; no row when the session is fenced.
SELECT EXISTS (SELECT 1 FROM heavyjobs_jobs WHERE ready_at IS NOT NULL) AS any_ready
  FROM heavyjobs_coordinators
 WHERE session = :session AND fenced_at IS NULL AND ended_at IS NULL;

-- name: claim_bands
-- The versions and priorities that have ready jobs, highest priority first: a few steps in the index, however long the line.
WITH RECURSIVE
     versions (version) AS (
         SELECT max(version) FROM heavyjobs_jobs
          WHERE queue = :queue AND kind = :kind AND version <= :version AND ready_at IS NOT NULL
          UNION ALL
         SELECT (SELECT max(version) FROM heavyjobs_jobs
                  WHERE queue = :queue AND kind = :kind AND version < versions.version AND ready_at IS NOT NULL)
           FROM versions WHERE versions.version IS NOT NULL
     ),
     bands (version, priority) AS (
         SELECT version, (SELECT max(priority) FROM heavyjobs_jobs
                           WHERE queue = :queue AND kind = :kind AND version = versions.version AND ready_at IS NOT NULL)
           FROM versions WHERE version IS NOT NULL
          UNION ALL
         SELECT version, (SELECT max(priority) FROM heavyjobs_jobs
                           WHERE queue = :queue AND kind = :kind AND version = bands.version AND priority < bands.priority
                             AND ready_at IS NOT NULL)
           FROM bands WHERE priority IS NOT NULL
          ORDER BY 2 DESC LIMIT :limit
     )
SELECT version, priority FROM bands WHERE priority IS NOT NULL;

-- name: claim_heads
-- Those of the head of one band that fit, in the order they start, the index being read entry by entry as they are asked for.
SELECT id, depth, ready_at, cpus, memory_bytes
  FROM (SELECT id, depth, ready_at, cpus, memory_bytes
          FROM heavyjobs_jobs
         WHERE queue = :queue AND kind = :kind AND version = :version AND priority = :priority AND depth >= :depth_min
           AND ready_at IS NOT NULL
         ORDER BY depth DESC, ready_at, id LIMIT :look)
 WHERE cpus <= :cpus AND coalesce(memory_bytes, 0) <= :memory_bytes
 LIMIT :limit;

-- name: claim_take
-- Take a ready job.
UPDATE heavyjobs_jobs
   SET state = 'running', claim = claim + 1, unstarted = unstarted + 1, session = :session, ready_at = NULL
 WHERE id = :job AND state = 'ready'
RETURNING id, claim, epoch, attempt + 1 AS attempt, unstarted, kind, version, parameters, queue, priority, attempts,
          backoff_seconds, backoff_max_seconds, timeout_seconds, grace_seconds, cpus, memory_bytes, depth, parent, checkpoint;

-- name: open_invocation
-- Open the invocation of a claim.
INSERT INTO heavyjobs_invocations (job, claim, epoch, attempt, session, host, opened_at)
VALUES (:job, :claim, :epoch, :attempt, :session, :host, :now);

-- name: held
-- All that a session holds, oldest first.
SELECT jobs.id, jobs.claim, jobs.epoch, invocations.attempt, jobs.unstarted, jobs.kind, jobs.version, jobs.parameters,
       jobs.queue, jobs.priority, jobs.attempts, jobs.backoff_seconds, jobs.backoff_max_seconds, jobs.timeout_seconds,
       jobs.grace_seconds, jobs.cpus, jobs.memory_bytes, jobs.depth, jobs.parent, jobs.checkpoint
  FROM heavyjobs_invocations AS invocations
 CROSS JOIN heavyjobs_jobs AS jobs ON jobs.id = invocations.job
 WHERE invocations.session = :session AND invocations.ended_at IS NULL
 ORDER BY invocations.opened_at, jobs.id;

-- name: checkpoint
-- Keep what the next invocation may resume from, while the claim is live.
UPDATE heavyjobs_jobs
   SET checkpoint = :data
 WHERE id = :job AND claim = :claim AND session = :session AND state = 'running';

-- name: holds
-- Whether a claim is live.
SELECT 1
  FROM heavyjobs_jobs
 WHERE id = :job AND claim = :claim AND session = :session AND state = 'running'
   AND EXISTS (SELECT 1 FROM heavyjobs_coordinators
                WHERE session = :session AND fenced_at IS NULL AND ended_at IS NULL);

-- name: session_unfenced
-- Whether a session may still write.
SELECT 1 FROM heavyjobs_coordinators WHERE session = :session AND fenced_at IS NULL AND ended_at IS NULL;

-- name: read_back
-- Of the claims named, those that this session holds or has ended itself.
SELECT invocations.job, invocations.claim, invocations.attempt, invocations.epoch, invocations.ended_at, jobs.state,
       jobs.claim AS newest_claim, jobs.epoch AS newest_epoch, jobs.cancel_requested_at
  FROM json_each(:claims) AS named
 CROSS JOIN heavyjobs_invocations AS invocations
         ON invocations.job = unhex(json_extract(named.value, '$[0]')) AND invocations.claim = json_extract(named.value, '$[1]')
 CROSS JOIN heavyjobs_jobs AS jobs ON jobs.id = invocations.job
 WHERE invocations.session = :session AND invocations.ending IS NOT 'forfeited';

-- name: progress
-- Write news of an invocation that is held.
UPDATE heavyjobs_invocations
   SET slot = :slot, started_at = coalesce(started_at, :started_at), status = coalesce(:status, status),
       wall_seconds = :wall_seconds, cpu_seconds = :cpu_seconds, memory_peak_bytes = :memory_peak_bytes,
       read_bytes = :read_bytes, written_bytes = :written_bytes
 WHERE job = :job AND claim = :claim AND session = :session AND ended_at IS NULL;

-- name: charge
-- Charge the attempt of a job that has started: once for each claim, which made `unstarted` at least 1.
UPDATE heavyjobs_jobs
   SET attempt = attempt + 1, unstarted = 0
 WHERE id = :job AND claim = :claim AND session = :session AND state = 'running' AND unstarted > 0;

-- name: append_logs
-- Add a chunk of lines, unless it is there already.
INSERT INTO heavyjobs_logs (job, claim, first, lines, data)
VALUES (:job, :claim, :first, :lines, :data)
    ON CONFLICT DO NOTHING;

-- name: count_logs
-- Count what was added.
UPDATE heavyjobs_invocations
   SET log_lines = max(log_lines, :lines), log_bytes = log_bytes + :bytes
 WHERE job = :job AND claim = :claim;

-- name: end_invocation
-- Close an invocation.
UPDATE heavyjobs_invocations
   SET ended_at = :now, ending = :ending, cause = :cause, log_dropped_lines = coalesce(:log_dropped_lines, log_dropped_lines)
 WHERE job = :job AND claim = :claim AND ended_at IS NULL;

-- name: end_job
-- Move a job whose invocation has ended.
UPDATE heavyjobs_jobs
   SET state = :state, session = NULL, attempt = :attempt, unstarted = CASE WHEN :charged THEN 0 ELSE unstarted END,
       due_at = CASE WHEN :state = 'scheduled' THEN :now + :delay END,
       ready_at = CASE WHEN :state = 'ready' THEN :now END,
       finished_at = CASE WHEN :state IN ('succeeded', 'dead', 'cancelled') THEN :now END,
       live_key = CASE WHEN :state IN ('scheduled', 'ready') THEN live_key END,
       cancel_requested_at = NULL, cancel_grace_seconds = NULL,
       result = CASE WHEN :state = 'succeeded' THEN :result END,
       error = CASE WHEN :state = 'dead' THEN :error END,
       cause = CASE WHEN :state IN ('dead', 'cancelled') THEN :cause END
 WHERE id = :job AND claim = :claim AND state = 'running';

-- name: states
-- Where jobs stand.
SELECT jobs.id, jobs.state
  FROM json_each(:jobs) AS named
 CROSS JOIN heavyjobs_jobs AS jobs ON jobs.id = unhex(named.value);

-- name: children_held
-- Of the jobs named, the children of a job that runs under this claim; one NULL when there are none, no row when it is lost.
SELECT children.id
  FROM heavyjobs_jobs AS parent
  LEFT JOIN heavyjobs_jobs AS children
         ON children.parent = parent.id AND children.id IN (SELECT unhex(value) FROM json_each(:jobs))
 WHERE parent.id = :parent AND parent.claim = :claim AND parent.state = 'running' AND parent.session = :session;

-- name: descendants
-- The named jobs and all below them that have not ended, whatever lies between.
WITH RECURSIVE
     family (id) AS (
         SELECT unhex(value) FROM json_each(:jobs)
          UNION
         SELECT children.id FROM family CROSS JOIN heavyjobs_jobs AS children ON children.parent = family.id
     )
SELECT jobs.id, jobs.state
  FROM family
 CROSS JOIN heavyjobs_jobs AS jobs ON jobs.id = family.id
 WHERE jobs.state IN ('scheduled', 'ready', 'running');

-- name: cancel_waiting
-- Cancel a job that waits.
UPDATE heavyjobs_jobs
   SET state = 'cancelled', due_at = NULL, ready_at = NULL, live_key = NULL, finished_at = :now,
       cause = coalesce(cause, :cause)
 WHERE id = :job AND state IN ('scheduled', 'ready');

-- name: request_cancel
-- Ask for a running job to be stopped; the first request counts, the newest grace holds.
UPDATE heavyjobs_jobs
   SET cancel_requested_at = coalesce(cancel_requested_at, :now),
       cancel_grace_seconds = coalesce(:grace_seconds, cancel_grace_seconds)
 WHERE id = :job AND state = 'running';

-- name: retry
-- Send a dead or cancelled job again, in its next epoch.
UPDATE heavyjobs_jobs
   SET state = 'ready', epoch = epoch + 1, attempt = 0, unstarted = 0, ready_at = :now, live_key = unique_key,
       finished_at = NULL, cancel_requested_at = NULL, cancel_grace_seconds = NULL, result = NULL, error = NULL, cause = NULL,
       checkpoint = CASE WHEN :fresh THEN NULL ELSE checkpoint END
 WHERE id = :job AND state IN ('dead', 'cancelled');

-- name: update_job
-- Change a job that has not ended, its time only while it does not run; ready now leaves a ready job where it stands.
UPDATE heavyjobs_jobs
   SET queue = coalesce(:queue, queue), priority = coalesce(:priority, priority), attempts = coalesce(:attempts, attempts),
       timeout_seconds = coalesce(:timeout_seconds, timeout_seconds), memory_bytes = coalesce(:memory_bytes, memory_bytes),
       cpus = coalesce(:cpus, cpus),
       state = CASE WHEN :delay > 0 THEN 'scheduled' WHEN :delay <= 0 THEN 'ready' ELSE state END,
       due_at = CASE WHEN :delay > 0 THEN :now + :delay WHEN :delay <= 0 THEN NULL ELSE due_at END,
       ready_at = CASE WHEN :delay > 0 THEN NULL WHEN :delay <= 0 THEN coalesce(ready_at, :now) ELSE ready_at END
 WHERE id = :job AND (state IN ('scheduled', 'ready') OR (state = 'running' AND :delay IS NULL));

-- name: register
-- Open a session, or say anew what it can do.
INSERT INTO heavyjobs_coordinators (
       session, name, host, boot_id, pid, pid_started, release, queues, kinds, problems, started_at, ticked_at)
VALUES (:session, :name, :host, :boot_id, :pid, :pid_started, :release, :queues, :kinds, :problems, :now, :now)
    ON CONFLICT (session) DO UPDATE SET queues = excluded.queues, kinds = excluded.kinds, problems = excluded.problems;

-- name: tick
-- Give the session's word; no row when it is fenced.
UPDATE heavyjobs_coordinators
   SET tick = tick + 1, ticked_at = :now
 WHERE session = :session AND fenced_at IS NULL AND ended_at IS NULL
RETURNING tick, drain_requested_at;

-- name: lost_claims
-- Which of the claims that a session names it no longer holds.
SELECT unhex(json_extract(named.value, '$[0]')) AS job, json_extract(named.value, '$[1]') AS claim
  FROM json_each(:claims) AS named
 WHERE NOT EXISTS (SELECT 1 FROM heavyjobs_invocations
                    WHERE job = unhex(json_extract(named.value, '$[0]')) AND claim = json_extract(named.value, '$[1]')
                      AND session = :session AND ended_at IS NULL);

-- name: cancels
-- Which of the claims that a session names are to be stopped.
SELECT jobs.id AS job, jobs.claim, jobs.cancel_grace_seconds
  FROM json_each(:claims) AS named
 CROSS JOIN heavyjobs_jobs AS jobs
         ON jobs.id = unhex(json_extract(named.value, '$[0]')) AND jobs.claim = json_extract(named.value, '$[1]')
 WHERE jobs.session = :session AND jobs.state = 'running' AND jobs.cancel_requested_at IS NOT NULL;

-- name: other_sessions
-- The other sessions that are neither ended nor fenced.
SELECT session, tick, name, host, boot_id, pid, pid_started
  FROM heavyjobs_coordinators
 WHERE session <> :session AND fenced_at IS NULL AND ended_at IS NULL
 ORDER BY session;

-- name: fence
-- Declare a session dead if it has not ticked since; no row when it lives or is gone already.
UPDATE heavyjobs_coordinators
   SET fenced_at = :now
 WHERE session = :session AND tick = :tick AND fenced_at IS NULL AND ended_at IS NULL
RETURNING name, host;

-- name: open_invocations
-- What a session held, with all that decides where the jobs go.
SELECT invocations.job, invocations.claim, invocations.attempt, invocations.started_at, jobs.unstarted,
       jobs.cancel_requested_at, jobs.queue, jobs.priority, jobs.attempts, jobs.backoff_seconds, jobs.backoff_max_seconds,
       jobs.timeout_seconds, jobs.grace_seconds, jobs.cpus, jobs.memory_bytes
  FROM heavyjobs_invocations AS invocations
 CROSS JOIN heavyjobs_jobs AS jobs ON jobs.id = invocations.job
 WHERE invocations.session = :session AND invocations.ended_at IS NULL
 ORDER BY invocations.opened_at, invocations.job;

-- name: end_session
-- Close a session that holds nothing.
UPDATE heavyjobs_coordinators
   SET ended_at = :now
 WHERE session = :session AND fenced_at IS NULL AND ended_at IS NULL
   AND NOT EXISTS (SELECT 1 FROM heavyjobs_invocations
                    WHERE heavyjobs_invocations.session = :session AND heavyjobs_invocations.ended_at IS NULL);

-- name: drain
-- Ask sessions to drain.
UPDATE heavyjobs_coordinators
   SET drain_requested_at = coalesce(drain_requested_at, :now)
 WHERE session IN (SELECT unhex(value) FROM json_each(:sessions)) AND ended_at IS NULL;

-- name: jobs
-- The whole of some jobs.
SELECT jobs.id, jobs.kind, jobs.version, jobs.state, jobs.queue, jobs.priority, jobs.attempts, jobs.backoff_seconds,
       jobs.backoff_max_seconds, jobs.timeout_seconds, jobs.grace_seconds, jobs.cpus, jobs.memory_bytes, jobs.epoch,
       jobs.attempt, jobs.claim, jobs.created_at, jobs.due_at, jobs.ready_at, jobs.finished_at, jobs.cancel_requested_at,
       jobs.unique_key, jobs.parent, jobs.child_key, jobs.depth, jobs.parameters, jobs.result, jobs.error, jobs.cause
  FROM json_each(:jobs) AS named
 CROSS JOIN heavyjobs_jobs AS jobs ON jobs.id = unhex(named.value);

-- name: find
-- Ids by the end of their digits, newest first.
SELECT id
  FROM heavyjobs_jobs
 WHERE substr(hex(id), -length(:tail)) = upper(:tail)
 ORDER BY id DESC LIMIT :limit;

-- name: list
-- Jobs by what they are and where they stand, newest first; an empty array means any.
SELECT id, kind, version, state, queue, priority, attempts, backoff_seconds, backoff_max_seconds, timeout_seconds,
       grace_seconds, cpus, memory_bytes, epoch, attempt, claim, created_at, due_at, ready_at, finished_at,
       cancel_requested_at, unique_key, parent, child_key, depth, parameters, result, error, cause
  FROM heavyjobs_jobs
 WHERE id < :before
   AND (:states = '[]' OR state IN (SELECT value FROM json_each(:states)))
   AND (:kinds = '[]' OR kind IN (SELECT value FROM json_each(:kinds)))
   AND (:queues = '[]' OR queue IN (SELECT value FROM json_each(:queues)))
 ORDER BY id DESC LIMIT :limit;

-- name: list_children
-- The same among the children of one job.
SELECT id, kind, version, state, queue, priority, attempts, backoff_seconds, backoff_max_seconds, timeout_seconds,
       grace_seconds, cpus, memory_bytes, epoch, attempt, claim, created_at, due_at, ready_at, finished_at,
       cancel_requested_at, unique_key, parent, child_key, depth, parameters, result, error, cause
  FROM heavyjobs_jobs
 WHERE parent = :parent AND id < :before
   AND (:states = '[]' OR state IN (SELECT value FROM json_each(:states)))
   AND (:kinds = '[]' OR kind IN (SELECT value FROM json_each(:kinds)))
   AND (:queues = '[]' OR queue IN (SELECT value FROM json_each(:queues)))
 ORDER BY id DESC LIMIT :limit;

-- name: briefs
-- Where jobs stand, with the status and log length of their newest claim.
SELECT jobs.id, jobs.state, jobs.epoch, jobs.claim, jobs.attempt, coalesce(invocations.log_lines, 0) AS log_lines,
       invocations.status
  FROM json_each(:jobs) AS named
 CROSS JOIN heavyjobs_jobs AS jobs ON jobs.id = unhex(named.value)
  LEFT JOIN heavyjobs_invocations AS invocations ON invocations.job = jobs.id AND invocations.claim = jobs.claim;

-- name: invocations
-- Every invocation of a job, oldest first.
SELECT job, claim, epoch, attempt, session, host, slot, opened_at, started_at, ended_at, ending, status, cause, wall_seconds,
       cpu_seconds, memory_peak_bytes, read_bytes, written_bytes, log_lines, log_bytes, log_dropped_lines
  FROM heavyjobs_invocations
 WHERE job = :job
 ORDER BY claim;

-- name: logs
-- Chunks of an invocation from the one that holds line `first` on.
SELECT job, claim, first, lines, data
  FROM heavyjobs_logs
 WHERE job = :job AND claim = :claim AND first + lines > :first
   AND first >= coalesce((SELECT max(earlier.first) FROM heavyjobs_logs AS earlier
                           WHERE earlier.job = :job AND earlier.claim = :claim AND earlier.first <= :first), 0)
 ORDER BY first LIMIT :limit;

-- name: log_rows
-- Where the chunks of an invocation lie, from line `first` on, without what they say.
SELECT first, lines
  FROM heavyjobs_logs
 WHERE job = :job AND claim = :claim AND first >= :first
 ORDER BY first LIMIT :limit;

-- name: coordinators
-- Live sessions, or all of them, newest first, with how many invocations each has open.
SELECT coordinators.session, coordinators.name, coordinators.host, coordinators.boot_id, coordinators.pid,
       coordinators.pid_started, coordinators.release, coordinators.queues, coordinators.kinds, coordinators.problems,
       coordinators.tick, coordinators.started_at, coordinators.ticked_at, coordinators.drain_requested_at,
       coordinators.fenced_at, coordinators.ended_at,
       (SELECT count(1) FROM heavyjobs_invocations AS invocations
         WHERE invocations.session = coordinators.session AND invocations.ended_at IS NULL) AS running
  FROM heavyjobs_coordinators AS coordinators
 WHERE :ended OR (coordinators.fenced_at IS NULL AND coordinators.ended_at IS NULL)
 ORDER BY coordinators.started_at DESC, coordinators.session DESC;

-- name: wake
-- Say that a topic has news, when the transaction commits.
UPDATE heavyjobs_wakeups SET number = number + 1 WHERE topic = :topic;

-- name: wakeups
-- What watchers compare with what they have seen.
SELECT topic, number FROM heavyjobs_wakeups;
