-- The ledger and all that stands around it. Instants are microseconds UTC, spans end in _us, JSON is text.
-- A row of `occurrence` is one due instant with its run; states and arrows are in core/states.py.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE workspace (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE job (
    id         INTEGER PRIMARY KEY,
    workspace  INTEGER NOT NULL REFERENCES workspace (id),
    name       TEXT NOT NULL,
    lane       TEXT NOT NULL,                 -- async, thread, process, command
    target     TEXT,                          -- module:qualname of a function job
    command    TEXT,                          -- JSON of a command job
    options    TEXT NOT NULL DEFAULT '{}',    -- timeout, retry, limits … (core/policies.py)
    parameters TEXT,                          -- JSON schema of the arguments, for forms
    aliases    TEXT NOT NULL DEFAULT '[]',
    tags       TEXT NOT NULL DEFAULT '[]',
    about      TEXT NOT NULL DEFAULT '',
    app        TEXT,                          -- the app that declares it, NULL for one made by hand
    revision   INTEGER NOT NULL DEFAULT 0,    -- of the declaring process
    hash       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT;
CREATE UNIQUE INDEX job_name ON job (workspace, name);

CREATE TABLE schedule (
    id            INTEGER PRIMARY KEY,
    workspace     INTEGER NOT NULL REFERENCES workspace (id),
    name          TEXT NOT NULL,
    job           INTEGER NOT NULL REFERENCES job (id),
    version       INTEGER NOT NULL,
    tags          TEXT NOT NULL DEFAULT '[]',
    about         TEXT NOT NULL DEFAULT '',
    app           TEXT,
    revision      INTEGER NOT NULL DEFAULT 0,
    source        TEXT,                       -- the source that declares it, with its key there
    source_key    TEXT,
    standing      TEXT NOT NULL DEFAULT 'on', -- on, paused, disabled, set_aside
    set_aside     TEXT,                       -- why it is set aside, as a sentence
    undeclared_at INTEGER,
    closed_until  INTEGER NOT NULL DEFAULT 0, -- retention has rolled up everything at or below it
    created_at    INTEGER NOT NULL,
    ended_at      INTEGER
) STRICT;
CREATE UNIQUE INDEX schedule_name ON schedule (workspace, name) WHERE ended_at IS NULL;
CREATE INDEX schedule_job ON schedule (job);
CREATE INDEX schedule_source ON schedule (source, source_key) WHERE source IS NOT NULL AND ended_at IS NULL;

CREATE TABLE schedule_version (
    schedule       INTEGER NOT NULL REFERENCES schedule (id),
    version        INTEGER NOT NULL,
    effective_from INTEGER NOT NULL,          -- implies instants after this …
    effective_to   INTEGER,                   -- … up to and with this; NULL while in force
    job            INTEGER NOT NULL REFERENCES job (id),
    trigger        TEXT NOT NULL,             -- JSON
    policies       TEXT NOT NULL DEFAULT '{}',
    args           TEXT NOT NULL DEFAULT '{}',
    zones          TEXT NOT NULL DEFAULT '[]',-- [[zone, digest], …]: the rules it was planned with
    hash           TEXT NOT NULL,
    actor          TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (schedule, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE zone_rules (
    zone        TEXT NOT NULL,
    digest      TEXT NOT NULL,
    transitions TEXT NOT NULL,                -- JSON
    PRIMARY KEY (zone, digest)
) STRICT, WITHOUT ROWID;

-- Hot and narrow: one row per schedule that is not ended.
CREATE TABLE cursor (
    schedule      INTEGER PRIMARY KEY REFERENCES schedule (id),
    next_due      INTEGER,                    -- NULL: nothing to plan
    planned_until INTEGER NOT NULL,           -- everything up to here is in the ledger
    version       INTEGER NOT NULL
) STRICT;
CREATE INDEX cursor_due ON cursor (next_due) WHERE next_due IS NOT NULL;

-- A time in which a schedule stood still: paused, disabled or set aside.
CREATE TABLE pause (
    id       INTEGER PRIMARY KEY,
    schedule INTEGER NOT NULL REFERENCES schedule (id),
    kind     TEXT NOT NULL,
    from_at  INTEGER NOT NULL,
    until_at INTEGER,
    actor    TEXT NOT NULL,
    note     TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX pause_schedule ON pause (schedule, from_at);

CREATE TABLE node (
    id           INTEGER PRIMARY KEY,         -- one row per engine process: its incarnation
    name         TEXT NOT NULL,
    host         TEXT NOT NULL,
    pid          INTEGER NOT NULL,
    boot_id      TEXT NOT NULL,
    version      TEXT NOT NULL,
    state        TEXT NOT NULL,               -- up, draining, stopped, dead
    slots        TEXT NOT NULL DEFAULT '{}',
    handlers     TEXT NOT NULL DEFAULT '[]',
    labels       TEXT NOT NULL DEFAULT '[]',
    started_at   INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL,
    lease_until  INTEGER NOT NULL,
    stopped_at   INTEGER,
    engine_epoch INTEGER NOT NULL
) STRICT;
CREATE INDEX node_up ON node (state) WHERE state IN ('up', 'draining');

CREATE TABLE occurrence (
    id          INTEGER PRIMARY KEY,
    workspace   INTEGER NOT NULL DEFAULT 1,
    schedule    INTEGER,
    version     INTEGER,
    job         INTEGER NOT NULL,
    origin      TEXT NOT NULL,                -- scheduled, backfill, manual, dependency
    due_at      INTEGER NOT NULL,
    start_at    INTEGER NOT NULL,             -- due_at and spread: not before this
    state       TEXT NOT NULL,
    reason      TEXT,
    lane        TEXT NOT NULL,
    priority    INTEGER NOT NULL DEFAULT 0,   -- lower runs first
    ready_at    INTEGER,                      -- of waiting and retrying rows
    gates       TEXT,                         -- JSON list of the gates it passes
    held_by     TEXT,                         -- of held rows: a gate, or overlap
    catchup     INTEGER NOT NULL DEFAULT 0,   -- planned late, by the catch-up policy
    node        INTEGER,
    epoch       INTEGER NOT NULL DEFAULT 0,
    token_hash  BLOB,
    attempt     INTEGER NOT NULL DEFAULT 0,
    planned_at  INTEGER NOT NULL,
    claimed_at  INTEGER,
    began_at    INTEGER,
    ended_at    INTEGER,
    into_id     INTEGER,                      -- the occurrence that stands for it, or that was in its way
    cause_id    INTEGER,                      -- the run that it was made from
    key         TEXT,                         -- business key
    args        TEXT,                         -- JSON; NULL: the version's
    stands_for  TEXT,                         -- nominal wall times that fall on this instant
    revoke      TEXT,                         -- asked to end: by whom
    pid         INTEGER,
    pid_started INTEGER,
    result      TEXT,
    error       TEXT,
    traceback   TEXT,
    exit_code   INTEGER,
    peak_memory INTEGER,
    cpu_us      INTEGER,
    note        TEXT,
    resolved    TEXT                          -- the truth about a lost run that arrived later
) STRICT;
CREATE UNIQUE INDEX occurrence_identity ON occurrence (schedule, due_at) WHERE origin IN ('scheduled', 'backfill');
CREATE INDEX occurrence_by_hand ON occurrence (job, id) WHERE origin IN ('manual', 'dependency');
CREATE INDEX occurrence_waiting ON occurrence (lane, priority, ready_at) WHERE state IN ('waiting', 'retrying');
CREATE INDEX occurrence_queued ON occurrence (lane, catchup, priority, due_at) WHERE state = 'queued';
CREATE INDEX occurrence_held ON occurrence (held_by, priority, due_at) WHERE state = 'held';
CREATE INDEX occurrence_live ON occurrence (schedule)
    WHERE state IN ('waiting', 'queued', 'held', 'claimed', 'running', 'retrying');
CREATE INDEX occurrence_revoked ON occurrence (id)
    WHERE revoke IS NOT NULL AND state IN ('claimed', 'running');

CREATE TABLE span (
    id         INTEGER PRIMARY KEY,
    schedule   INTEGER NOT NULL REFERENCES schedule (id),
    version    INTEGER NOT NULL,
    from_at    INTEGER NOT NULL,              -- the occurrences after this …
    to_at      INTEGER NOT NULL,              -- … up to and with this
    count      INTEGER NOT NULL,
    ending     TEXT NOT NULL,
    reason     TEXT,
    into_id    INTEGER,
    planned_at INTEGER NOT NULL
) STRICT;
CREATE INDEX span_schedule ON span (schedule, to_at);

-- Attempts of runs that needed more than one; a single attempt lives in its ledger row.
CREATE TABLE attempt (
    run         INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    node        INTEGER,
    claimed_at  INTEGER,
    began_at    INTEGER,
    ended_at    INTEGER,
    ending      TEXT NOT NULL,
    reason      TEXT,
    error       TEXT,
    traceback   TEXT,
    exit_code   INTEGER,
    peak_memory INTEGER,
    cpu_us      INTEGER,
    note        TEXT,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_log (
    run    INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    stream TEXT NOT NULL,                     -- log, stdout, stderr, watchbell
    level  TEXT NOT NULL,
    text   TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_progress (
    run     INTEGER PRIMARY KEY,
    done    REAL NOT NULL,
    of      REAL,
    message TEXT,
    at      INTEGER NOT NULL
) STRICT;

-- What a run has done once and must not do again (run.once).
CREATE TABLE effect (
    run  INTEGER NOT NULL,
    name TEXT NOT NULL,
    at   INTEGER NOT NULL,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE business_key (
    job        INTEGER NOT NULL,
    key        TEXT NOT NULL,
    run        INTEGER NOT NULL,
    digest     TEXT NOT NULL,
    expires_at INTEGER,                       -- NULL while its run is live
    PRIMARY KEY (job, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX business_key_run ON business_key (run);

CREATE TABLE gate (
    key    TEXT PRIMARY KEY,
    lim    INTEGER NOT NULL,
    active INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- When nothing could be planned, and why: evidence for `missed` and for explain.
CREATE TABLE outage (
    id      INTEGER PRIMARY KEY,
    kind    TEXT NOT NULL,                    -- downtime, suspend, clock_jump, clock_back
    from_at INTEGER NOT NULL,
    to_at   INTEGER NOT NULL,
    node    INTEGER,
    note    TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX outage_time ON outage (to_at);

CREATE TABLE source (
    name        TEXT PRIMARY KEY,
    every_us    INTEGER NOT NULL,
    errors      INTEGER NOT NULL DEFAULT 0,   -- consecutive
    max_errors  INTEGER NOT NULL,
    last_error  TEXT,
    read_at     INTEGER,
    good_at     INTEGER,
    counts      TEXT NOT NULL DEFAULT '{}'
) STRICT, WITHOUT ROWID;

CREATE TABLE channel (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL,                 -- email, webhook
    options    TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE alert_rule (
    id         INTEGER PRIMARY KEY,
    workspace  INTEGER NOT NULL DEFAULT 1,
    scope      TEXT NOT NULL,                 -- workspace, tag, schedule
    target     TEXT NOT NULL DEFAULT '',      -- the tag or the schedule's name
    events     TEXT NOT NULL,                 -- JSON list
    streak     INTEGER NOT NULL DEFAULT 1,
    channel    INTEGER NOT NULL REFERENCES channel (id),
    created_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT;

-- Where a rule stands for one schedule (or one job run by hand): how long the streak is and whether it has told.
CREATE TABLE alert_state (
    rule    INTEGER NOT NULL,
    subject TEXT NOT NULL,
    streak  INTEGER NOT NULL DEFAULT 0,
    firing  INTEGER NOT NULL DEFAULT 0,
    since   INTEGER,
    PRIMARY KEY (rule, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE alert (
    id         INTEGER PRIMARY KEY,
    rule       INTEGER NOT NULL,
    channel    INTEGER NOT NULL,
    event      TEXT NOT NULL,
    subject    TEXT NOT NULL,
    run        INTEGER,
    text       TEXT NOT NULL,
    dedupe     TEXT NOT NULL UNIQUE,
    raised_at  INTEGER NOT NULL,
    state      TEXT NOT NULL,                 -- pending, delivered, given_up
    tries      INTEGER NOT NULL DEFAULT 0,
    next_at    INTEGER,
    ended_at   INTEGER
) STRICT;
CREATE INDEX alert_pending ON alert (next_at) WHERE state = 'pending';

CREATE TABLE delivery (
    alert  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    ok     INTEGER NOT NULL,
    detail TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (alert, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollup (
    schedule INTEGER NOT NULL,
    day      INTEGER NOT NULL,                -- days since 1970-01-01 UTC
    counts   TEXT NOT NULL,                   -- JSON: ending → count
    PRIMARY KEY (schedule, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_event (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL DEFAULT ''
) STRICT;

INSERT INTO workspace (id, name, created_at) VALUES (1, 'default', 0);
INSERT INTO meta (key, value) VALUES ('engine_epoch', '0'), ('catalog', '0');
