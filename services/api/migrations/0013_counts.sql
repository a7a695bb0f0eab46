-- Each fold of `counts` leaves the shards it joined behind. At a thousand of them the table had a dozen pages, and a total cost twice what it
-- does while there is one: no index is opened for it then.
ALTER TABLE counts SET (autovacuum_vacuum_threshold = 20);
