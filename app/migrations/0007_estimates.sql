-- Whether this is what the app makes of a claim that told no figures: a report of it takes its place.
ALTER TABLE job_usage ADD COLUMN is_estimate INTEGER NOT NULL DEFAULT 0 CHECK (is_estimate IN (0, 1));
