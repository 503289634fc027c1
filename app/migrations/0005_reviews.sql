-- What was seen last of the pull request of a ticket that is, or was, in review.
CREATE TABLE reviews (
    ticket_id TEXT PRIMARY KEY REFERENCES tickets (id) ON DELETE CASCADE,
    pr_number INTEGER NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('open', 'given_up', 'approved', 'merged', 'closed')),
    looked_at INTEGER NOT NULL
) STRICT;

-- What each review job is to deal with. What became of it is the job's state: a comment is dealt with
-- where a job that covers it was completed.
CREATE TABLE review_items (
    job_id     TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL CHECK (kind IN ('conversation', 'inline', 'review', 'check')),
    -- The number of a comment, which is one of its kind; the name of a check.
    name       TEXT NOT NULL,
    -- The commit of a check.
    commit_sha TEXT NOT NULL,
    PRIMARY KEY (job_id, kind, name, commit_sha)
) STRICT, WITHOUT ROWID;
