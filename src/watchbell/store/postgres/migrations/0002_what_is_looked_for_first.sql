-- What a claim step looks for first: the rows of schedules whose start has been put off, and what was asked for by hand,
-- which waits for nothing that has come due by itself.
CREATE INDEX occurrence_starting ON occurrence (lane, priority, ready_at)
    WHERE state = 'waiting' AND schedule IS NOT NULL;
CREATE INDEX occurrence_asked ON occurrence (lane, priority, due_at) WHERE state = 'queued' AND origin = 'manual';

-- Which life of the server this is: what is not logged is gone after a crash, and on a stand-by that takes over. A
-- transaction's id proves nothing beyond that, as one whose record was never on the disk is given to another.
CREATE UNLOGGED TABLE incarnation (
    value TEXT COLLATE "C" NOT NULL
);
