-- Each fold of `counts` leaves the shards it joined behind, up to a thousand of them so far: a total has to step over them, and opens an
-- index once they fill several pages.
ALTER TABLE counts SET (autovacuum_vacuum_threshold = 20);
