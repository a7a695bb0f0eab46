-- name: fold_counts write
-- The shards of a count, which writers add to without meeting each other, become one row again, so
-- that a total reads one row and not 32. What a writer holds waits for the next time: nobody is kept
-- waiting, and the sum of the rows is the same in every snapshot.
WITH held AS (
  SELECT entity, status, owner, shard FROM counts WHERE shard >= 0 ORDER BY entity, status, owner, shard FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM counts c USING held h
   WHERE c.entity = h.entity AND c.status = h.status AND c.owner = h.owner AND c.shard = h.shard
  RETURNING c.entity, c.status, c.owner, c.n
)
INSERT INTO counts AS c (entity, status, owner, shard, n)
SELECT entity, status, owner, -1, sum(n) FROM gone GROUP BY entity, status, owner ORDER BY entity, status, owner
ON CONFLICT (entity, status, owner, shard) DO UPDATE SET n = c.n + excluded.n
