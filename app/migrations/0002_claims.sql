-- The claim that holds the job while it runs. A job whose lease expired keeps it until someone else
-- claims the job. NULL: claimed without a claim id, which no lease bounds.
ALTER TABLE jobs ADD COLUMN claim_id TEXT;

-- The kind of cause in one word, as the coordinator put it.
ALTER TABLE jobs ADD COLUMN fail_cause TEXT;

CREATE INDEX jobs_held ON jobs (claim_id) WHERE status = 'running' AND claim_id IS NOT NULL;

-- Every claim that brought a job, for good: an old claim id must not bring another one.
CREATE TABLE claims (
    id     TEXT PRIMARY KEY,
    job_id TEXT REFERENCES jobs (id) ON DELETE SET NULL
) STRICT;

CREATE INDEX claims_by_job ON claims (job_id);
