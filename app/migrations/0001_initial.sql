-- Times are milliseconds since 1970-01-01 UTC. Ids are UUIDs in their hyphenated text form.

CREATE TABLE projects (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL,
    description    TEXT NOT NULL,
    repo_url       TEXT,
    execution_mode TEXT NOT NULL CHECK (execution_mode IN ('docker', 'local')),
    project_path   TEXT,
    created_at     INTEGER NOT NULL,
    CHECK ((execution_mode = 'local') = (project_path IS NOT NULL))
) STRICT;

CREATE TABLE tickets (
    id          TEXT PRIMARY KEY,
    project_id  TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    title       TEXT NOT NULL,
    description TEXT NOT NULL,
    priority    TEXT NOT NULL CHECK (priority IN ('low', 'medium', 'high')),
    column_id   TEXT NOT NULL CHECK (column_id IN ('backlog', 'in_progress', 'in_review', 'done')),
    status      TEXT NOT NULL CHECK (status IN ('todo', 'completed')),
    summary     TEXT,
    pr_url      TEXT,
    pr_number   INTEGER,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX tickets_by_project ON tickets (project_id, column_id);

-- `seq` is the order of creation, which is the order of the queue.
CREATE TABLE jobs (
    seq               INTEGER PRIMARY KEY AUTOINCREMENT,
    id                TEXT NOT NULL UNIQUE,
    project_id        TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    ticket_id         TEXT NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    kind              TEXT NOT NULL CHECK (kind IN ('ticket', 'review')),
    status            TEXT NOT NULL
                      CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    pr_number         INTEGER,
    comment_body      TEXT,
    github_comment_id INTEGER,
    attempt           INTEGER NOT NULL DEFAULT 0,
    cancel_requested  INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    fail_reason       TEXT,
    created_at        INTEGER NOT NULL,
    claimed_at        INTEGER,
    finished_at       INTEGER,
    CHECK (kind = 'ticket' OR (pr_number IS NOT NULL AND comment_body IS NOT NULL))
) STRICT;

CREATE INDEX jobs_pending ON jobs (seq) WHERE status = 'pending';
CREATE INDEX jobs_by_project ON jobs (project_id, status, seq);
CREATE INDEX jobs_by_ticket ON jobs (ticket_id, seq);

-- A ticket has one branch, so it has at most one job at work or waiting.
CREATE UNIQUE INDEX jobs_one_active ON jobs (ticket_id) WHERE status IN ('pending', 'running');

CREATE TABLE ticket_logs (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    ticket_id  TEXT NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    session_id TEXT NOT NULL,
    step       TEXT NOT NULL,
    summary    TEXT NOT NULL,
    raw_output TEXT,
    success    INTEGER CHECK (success IN (0, 1)),
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX ticket_logs_by_ticket ON ticket_logs (ticket_id, seq);

CREATE TABLE settings (
    name       TEXT PRIMARY KEY,
    value      TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE memory_docs (
    seq        INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    content    TEXT NOT NULL,
    UNIQUE (project_id, content)
) STRICT;

CREATE VIRTUAL TABLE memory_index USING fts5 (content, content = 'memory_docs', content_rowid = 'seq');

CREATE TRIGGER memory_docs_added AFTER INSERT ON memory_docs BEGIN
    INSERT INTO memory_index (rowid, content) VALUES (new.seq, new.content);
END;

CREATE TRIGGER memory_docs_removed AFTER DELETE ON memory_docs BEGIN
    INSERT INTO memory_index (memory_index, rowid, content) VALUES ('delete', old.seq, old.content);
END;
