-- A record costs less to store: the log is in the order of its time, so one index finds by time and pages, and a number is found by the
-- range of pages that it lies in.  New cells are taken by where they lie.
ALTER TABLE requests DROP CONSTRAINT requests_pkey;
DROP INDEX requests_at_idx;
ALTER TABLE requests ADD PRIMARY KEY (at, id);
CREATE INDEX requests_id_idx ON requests USING brin (id) WITH (pages_per_range = 16, autosummarize = on);
ALTER TABLE fresh DROP CONSTRAINT fresh_pkey;
ALTER TABLE fresh DROP COLUMN id;
DROP SEQUENCE fresh_number;
