
-- Changes of a schedule that wait for their instant: an edit (content: JSON of what it will say), and a pause that the
-- engine owes after failures (content: why). At most one of each kind for a schedule.
CREATE TABLE pending_change (
    schedule INTEGER NOT NULL REFERENCES schedule (id),
    kind     TEXT NOT NULL,                   -- edit, pause
    at       INTEGER NOT NULL,                -- takes effect then
    content  TEXT NOT NULL,
    actor    TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    PRIMARY KEY (schedule, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX pending_change_at ON pending_change (at);

-- What was imported from elsewhere at once, and can be undone at once.
CREATE TABLE import_batch (
    id        INTEGER PRIMARY KEY,
    kind      TEXT NOT NULL,                  -- crontab
    origin    TEXT NOT NULL,                  -- the file or account it came from
    at        INTEGER NOT NULL,
    actor     TEXT NOT NULL,
    undone_at INTEGER
) STRICT;

-- `key` says what the imported line was, so that the same line is not imported twice.
CREATE TABLE import_item (
    batch    INTEGER NOT NULL REFERENCES import_batch (id),
    schedule INTEGER NOT NULL,
    key      TEXT NOT NULL,
    PRIMARY KEY (batch, schedule)
) STRICT, WITHOUT ROWID;
CREATE INDEX import_item_key ON import_item (key);

-- At most so many starts in any span of time: by job, by a key that jobs share, or of one schedule's backlog.
CREATE TABLE rate (
    key    TEXT PRIMARY KEY,
    starts INTEGER NOT NULL,
    per_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The starts that still count; `at` is the last instant at which the claim may begin.
CREATE TABLE rate_start (
    key   TEXT NOT NULL,
    at    INTEGER NOT NULL,
    run   INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (key, at, run, epoch)
) STRICT, WITHOUT ROWID;

-- Whether the clock is believed; no row: it is. `from_at` is the last instant beyond doubt, `ahead_us` how far the clock
-- stands from where it would be, `upto_at` the end of a backlog that is held until somebody confirms the clock.
CREATE TABLE clock_trust (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    standing  TEXT NOT NULL,                  -- trusted, suspect, holding
    why       TEXT NOT NULL,
    since_at  INTEGER NOT NULL,
    from_at   INTEGER NOT NULL,
    ahead_us  INTEGER NOT NULL,
    upto_at   INTEGER,
    boot_id   TEXT NOT NULL,
    steady_us INTEGER NOT NULL                -- by the boot-time clock: since when nobody has set the clock
) STRICT;

-- What its boot-time clock showed at its last heartbeat, so that a step while no engine runs is seen within one boot.
ALTER TABLE node ADD COLUMN boot_us INTEGER;
CREATE INDEX span_held ON span (to_at) WHERE ending = 'held';

-- Which rules each time zone has in this database, and of which version of the time zone data they are.
CREATE TABLE zone_in_force (
    zone    TEXT PRIMARY KEY,
    digest  TEXT NOT NULL,
    version TEXT NOT NULL                     -- 2026a; '' where a machine does not say
) STRICT, WITHOUT ROWID;

-- What retention has removed of the runs that no schedule made due: totals by job and UTC day.
CREATE TABLE rollup_by_hand (
    job    INTEGER NOT NULL,
    day    INTEGER NOT NULL,                  -- days since 1970-01-01 UTC
    counts TEXT NOT NULL,                     -- JSON: ending → count
    PRIMARY KEY (job, day)
) STRICT, WITHOUT ROWID;

-- How much log each ended run has, measured by the housekeeper after its end; 0 bytes: it has been removed.
CREATE TABLE log_size (
    run   INTEGER PRIMARY KEY,
    job   INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    lines INTEGER NOT NULL
) STRICT;
CREATE INDEX log_size_job ON log_size (job, run) WHERE bytes > 0;
CREATE INDEX log_size_kept ON log_size (run) WHERE bytes > 0;

CREATE TABLE log_total (
    job   INTEGER PRIMARY KEY,
    bytes INTEGER NOT NULL
) STRICT;

-- What became of a row before it was reopened, in words, oldest first.
ALTER TABLE occurrence ADD COLUMN history TEXT;

-- Its process, in a way that others on its machine can look for it; and by how much its own wall clock is ahead of the
-- store's, which on SQLite is the same one.
ALTER TABLE node ADD COLUMN process TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN skew_us INTEGER NOT NULL DEFAULT 0;
