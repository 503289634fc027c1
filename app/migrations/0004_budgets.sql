-- What the jobs of a project may use in one day (UTC): tokens in and out together, and millionths of a US
-- dollar. NULL: no limit.
ALTER TABLE projects ADD COLUMN token_budget_per_day INTEGER CHECK (token_budget_per_day > 0);
ALTER TABLE projects ADD COLUMN money_budget_per_day INTEGER CHECK (money_budget_per_day > 0);

-- A job that waits is not handed out before this. NULL: at once.
ALTER TABLE jobs ADD COLUMN not_before INTEGER;
-- What it waits for, in words.
ALTER TABLE jobs ADD COLUMN parked_for TEXT;
-- What was left for the job while it runs, where its project has a budget.
ALTER TABLE jobs ADD COLUMN token_allowance INTEGER;
ALTER TABLE jobs ADD COLUMN money_allowance INTEGER;

-- A claim whose job was parked by it: when, and until when.
ALTER TABLE claims ADD COLUMN parked_at INTEGER;
ALTER TABLE claims ADD COLUMN parked_until INTEGER;

-- What jobs used, as reported. One claim is counted once, however often its report comes.
CREATE TABLE job_usage (
    seq        INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    job_id     TEXT NOT NULL,
    claim_id   TEXT UNIQUE,
    input      INTEGER NOT NULL,
    cached     INTEGER NOT NULL,
    output     INTEGER NOT NULL,
    money      INTEGER,
    used_at    INTEGER NOT NULL
) STRICT;

CREATE INDEX job_usage_by_project ON job_usage (project_id, used_at);
