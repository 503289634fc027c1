-- What a run tells of itself while it goes.
CREATE TABLE checkpoints (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket_id  TEXT NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    session_id TEXT NOT NULL,
    hook       TEXT NOT NULL
               CHECK (hook IN ('on_start', 'on_turn', 'on_tool', 'on_error', 'on_complete')),
    turn       INTEGER,
    note       TEXT NOT NULL,
    tokens     INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX checkpoints_by_ticket ON checkpoints (ticket_id, seq);

-- Each follow-up that was ever proposed in a project: what a person deleted is not proposed again.
CREATE TABLE follow_ups (
    project_id    TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    -- SHA-256 of title and text, without what does not matter in them.
    digest        TEXT NOT NULL,
    ticket_id     TEXT REFERENCES tickets (id) ON DELETE SET NULL,
    -- Where it comes from: a ticket, and a run of it.
    origin_ticket TEXT NOT NULL,
    session_id    TEXT NOT NULL,
    PRIMARY KEY (project_id, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX follow_ups_by_run ON follow_ups (origin_ticket, session_id);
