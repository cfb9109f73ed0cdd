-- One file is one hub. Times are milliseconds of the Unix epoch. Wire forms (messages, events, tasks) are opaque blobs.
-- `fields` are what any SQLite client may write: a JSON object, {"event": "Approval", "data": "true"}.

BEGIN IMMEDIATE;

CREATE TABLE IF NOT EXISTS hub (
    name        TEXT PRIMARY KEY,
    partitions  INTEGER NOT NULL,
    unknown     TEXT NOT NULL DEFAULT '{}'      -- the rule for events of unknown instances, JSON
) STRICT;

CREATE TABLE IF NOT EXISTS instances (
    instance      TEXT PRIMARY KEY,
    partition     INTEGER NOT NULL,
    name          TEXT NOT NULL,
    status        TEXT NOT NULL,
    execution     TEXT NOT NULL,
    number        INTEGER NOT NULL,
    head          TEXT NOT NULL,                -- unique; a commit replaces the one that it started from
    announced     INTEGER,                      -- the ready entry that rings for it
    parked_until  INTEGER,
    parks         INTEGER NOT NULL DEFAULT 0,
    held          INTEGER NOT NULL DEFAULT 0,   -- 1: parked until somebody redrives it
    quarantined   TEXT,                         -- why it is parked, as JSON
    start         BLOB,                         -- the start message, until the first turn has read it
    custom_status BLOB,
    control       TEXT NOT NULL DEFAULT '',     -- the mail of the newest control message that no commit has read
    unread        TEXT NOT NULL DEFAULT '{}',   -- events that user code has not taken: name -> count, JSON
    created       INTEGER NOT NULL,
    updated       INTEGER NOT NULL,
    ended         INTEGER,                      -- when it finished
    parent        TEXT,                         -- whose sub-orchestration it is
    awaited       INTEGER                       -- the mail by which a parent that was rewound asks it to go on, the newest
) STRICT;
CREATE INDEX IF NOT EXISTS instances_by_age ON instances (created, instance);
CREATE INDEX IF NOT EXISTS instances_by_status ON instances (status, created, instance);
CREATE INDEX IF NOT EXISTS instances_by_name ON instances (name, status, created, instance);
CREATE INDEX IF NOT EXISTS instances_by_end ON instances (partition, status, ended)
    WHERE ended IS NOT NULL AND parent IS NULL;
CREATE INDEX IF NOT EXISTS children ON instances (parent) WHERE parent IS NOT NULL;
CREATE INDEX IF NOT EXISTS open_instances ON instances (partition, instance)
    WHERE status IN ('Pending', 'Running', 'Suspended');

CREATE TABLE IF NOT EXISTS tags (
    instance TEXT NOT NULL,
    key      TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (instance, key)
) STRICT;
CREATE INDEX IF NOT EXISTS tagged ON tags (key, value, instance);

CREATE TABLE IF NOT EXISTS executions (         -- of an instance, the current one last
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    instance  TEXT NOT NULL,
    execution TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS executions_of ON executions (instance, id);

CREATE TABLE IF NOT EXISTS events (             -- the histories of all executions
    instance  TEXT NOT NULL,
    execution TEXT NOT NULL,
    position  INTEGER NOT NULL,
    head      TEXT NOT NULL,                    -- on the last event of a commit: that commit's head, else ''
    body      BLOB NOT NULL,
    PRIMARY KEY (instance, execution, position)
) STRICT;

CREATE TABLE IF NOT EXISTS mailbox (
    instance TEXT NOT NULL,
    id       INTEGER NOT NULL,
    fields   TEXT NOT NULL CHECK (json_valid(fields) AND json_type(fields) = 'object'),
    expires  INTEGER,                           -- set while it waits for an instance that does not exist yet
    event_id TEXT,                              -- of such an event: its id, if it has one
    PRIMARY KEY (instance, id)
) STRICT;
CREATE INDEX IF NOT EXISTS mailbox_expires ON mailbox (expires) WHERE expires IS NOT NULL;

CREATE TABLE IF NOT EXISTS ready (              -- peek-lock of instances that have mail
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    partition INTEGER NOT NULL,
    instance  TEXT,
    queued    INTEGER NOT NULL,
    holder    TEXT,                             -- the consumer that has received it
    leased    INTEGER,                          -- when its lease began
    deliveries INTEGER NOT NULL DEFAULT 0       -- how often it was received or taken over
) STRICT;
CREATE INDEX IF NOT EXISTS ready_waiting ON ready (partition, id) WHERE holder IS NULL;

CREATE TABLE IF NOT EXISTS tasks (              -- peek-lock of activity work
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    partition INTEGER NOT NULL,
    queue     TEXT NOT NULL,
    fields    TEXT NOT NULL CHECK (json_valid(fields) AND json_type(fields) = 'object'),
    queued    INTEGER NOT NULL,
    holder    TEXT,
    leased    INTEGER,
    deliveries INTEGER NOT NULL DEFAULT 0,
    heartbeat BLOB                              -- the newest details that its holder left
) STRICT;
CREATE INDEX IF NOT EXISTS tasks_waiting ON tasks (queue, partition, id) WHERE holder IS NULL;

CREATE TABLE IF NOT EXISTS timers (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    partition INTEGER NOT NULL,
    due       INTEGER NOT NULL,
    kind      TEXT NOT NULL CHECK (kind IN ('timer', 'close', 'start', 'wait', 'retry')),
    instance  TEXT NOT NULL,
    execution TEXT,                             -- all but wait: which call of which execution
    seq       INTEGER,
    entry     INTEGER,                          -- start: the task that has to be received until then
    task      BLOB                              -- retry: what goes back into its queue; an attempt that is held
) STRICT;
CREATE INDEX IF NOT EXISTS timers_due ON timers (partition, due);
CREATE UNIQUE INDEX IF NOT EXISTS timers_of_calls ON timers (instance, execution, seq, kind);

CREATE TABLE IF NOT EXISTS outbox (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    partition INTEGER NOT NULL,
    dead      INTEGER NOT NULL,                 -- 1: a dead letter, 0: a message for another instance
    body      BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS outbox_of ON outbox (partition, id);

CREATE TABLE IF NOT EXISTS feed (               -- executions that ended
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    partition INTEGER NOT NULL,
    instance  TEXT NOT NULL,
    execution TEXT NOT NULL,
    status    TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS feed_of ON feed (partition, id);

CREATE TABLE IF NOT EXISTS canceled (           -- calls of activities that were cancelled
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    partition INTEGER NOT NULL,
    instance  TEXT NOT NULL,
    execution TEXT NOT NULL,
    seq       INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS canceled_of ON canceled (partition, id);
CREATE INDEX IF NOT EXISTS canceled_calls ON canceled (instance, execution, seq);

CREATE TABLE IF NOT EXISTS intake (             -- what other programs say
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    fields TEXT NOT NULL CHECK (json_valid(fields) AND json_type(fields) = 'object')
) STRICT;

CREATE TABLE IF NOT EXISTS answers (            -- what other programs say of tasks that they hold
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    partition INTEGER NOT NULL,
    fields    TEXT NOT NULL CHECK (json_valid(fields) AND json_type(fields) = 'object')
) STRICT;
CREATE INDEX IF NOT EXISTS answers_of ON answers (partition, id);

CREATE TABLE IF NOT EXISTS served (             -- task queues that other programs serve
    queue TEXT PRIMARY KEY
) STRICT;

CREATE TABLE IF NOT EXISTS dead_letters (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    fields TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS workers (
    consumer TEXT PRIMARY KEY,
    seen     INTEGER NOT NULL,
    skills   TEXT NOT NULL                      -- what it can do, as JSON
) STRICT;

CREATE TABLE IF NOT EXISTS handed (             -- ready entries that were handed over, and not noticed yet
    entry    INTEGER PRIMARY KEY,
    consumer TEXT NOT NULL
) STRICT;

PRAGMA user_version = 4;                        -- the format of this file
COMMIT;
