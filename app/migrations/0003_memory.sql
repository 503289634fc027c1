-- The id by which people name a passage. Those from before get one here, and have no time.
ALTER TABLE memory_docs ADD COLUMN id TEXT;
ALTER TABLE memory_docs ADD COLUMN created_at INTEGER;

UPDATE memory_docs SET id = lower(
    hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2)
    || '-8' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))
);

CREATE UNIQUE INDEX memory_docs_by_id ON memory_docs (id);
CREATE INDEX memory_docs_by_project ON memory_docs (project_id, seq);

-- Words are found in their other forms too (porter), and what is deleted leaves no words behind.
DROP TABLE memory_index;
CREATE VIRTUAL TABLE memory_index USING fts5 (
    content, content = 'memory_docs', content_rowid = 'seq',
    tokenize = 'porter unicode61 remove_diacritics 2'
);
INSERT INTO memory_index (memory_index) VALUES ('rebuild');
INSERT INTO memory_index (memory_index, rank) VALUES ('secure-delete', 1);

-- What a passage means to a model: numbers of 32 bits, the lowest byte first, of length one in all.
CREATE TABLE memory_vectors (
    doc_seq INTEGER PRIMARY KEY REFERENCES memory_docs (seq) ON DELETE CASCADE,
    model   TEXT NOT NULL,
    vector  BLOB NOT NULL
) STRICT;
