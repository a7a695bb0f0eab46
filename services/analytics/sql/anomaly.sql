-- Looking at a window of five minutes.  One replica at a time.

-- name: detector_lock
SELECT extract(epoch FROM done_until)::bigint FROM detector WHERE id = 1 FOR UPDATE SKIP LOCKED

-- name: detector_done write
UPDATE detector SET done_until = to_timestamp($1::bigint) WHERE id = 1

-- By all, by route and by consumer; ordered by what it is about.
-- name: detector_cells
SELECT dim, ref, class, n, sketch FROM (
    SELECT s.dim, s.route + s.consumer AS ref, s.class, s.n, s.sketch FROM sums s
    WHERE s.level = 0 AND s.dim IN (0, 1, 2) AND s.bucket >= to_timestamp($1::bigint) AND s.bucket < to_timestamp($2::bigint)
    UNION ALL SELECT d.dim, CASE d.dim WHEN 1 THEN f.route WHEN 2 THEN f.consumer ELSE 0 END, f.class, f.n, f.sketch
    FROM fresh f CROSS JOIN (VALUES (0), (1), (2)) d(dim) WHERE f.bucket >= to_timestamp($1::bigint) AND f.bucket < to_timestamp($2::bigint)) c
ORDER BY dim, ref

-- From how many networks a key was used in the last hour.
-- name: detector_networks
SELECT f.consumer, count(DISTINCT f.value) FROM facets f JOIN consumers c ON c.id = f.consumer AND c.kind = 'key'
WHERE f.kind = 'network' AND f.bucket > to_timestamp($1::bigint) - interval '1 hour' AND f.bucket <= to_timestamp($1::bigint)
GROUP BY 1

-- name: detector_baselines
SELECT dim, ref, signal, slot, mean, dev, weight FROM baselines WHERE slot = $1::smallint OR slot = $2::smallint

-- name: detector_watched
SELECT dim, ref, signal, hot, calm, anomaly_id, factor, extract(epoch FROM muted_until)::bigint FROM watched

-- name: baselines_store write
INSERT INTO baselines AS b (dim, ref, signal, slot, mean, dev, weight)
SELECT dim, ref, signal, slot, mean::double precision, dev::double precision, weight
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::bigint[]) k(dim, ref, signal, slot, mean, dev, weight)
ON CONFLICT (dim, ref, signal, slot) DO UPDATE SET mean = excluded.mean, dev = excluded.dev, weight = excluded.weight, updated_at = now()

-- What people said of it meanwhile (factor, muted_until) stays.
-- name: watched_store write
INSERT INTO watched AS w (dim, ref, signal, hot, calm, anomaly_id)
SELECT dim, ref, signal, hot, calm, nullif(anomaly_id, 0)
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[]) k(dim, ref, signal, hot, calm, anomaly_id)
ON CONFLICT (dim, ref, signal) DO UPDATE SET hot = excluded.hot, calm = excluded.calm, anomaly_id = excluded.anomaly_id

-- Countries and clients of the window that a credential was not used with before.  `known`: for how long and how much it has been used.
-- name: detector_unseen
SELECT f.consumer, f.kind, f.value, sum(f.n)::bigint,
    c.first_at < to_timestamp($1::bigint) - interval '7 days' AND EXISTS (SELECT 1 FROM seen s WHERE s.consumer = f.consumer AND s.kind = f.kind)
FROM facets f JOIN consumers c ON c.id = f.consumer
WHERE f.bucket = to_timestamp($1::bigint) AND f.kind IN ('country', 'agent')
    AND NOT EXISTS (SELECT 1 FROM seen s WHERE s.consumer = f.consumer AND s.kind = f.kind AND s.value = f.value)
GROUP BY 1, 2, 3, 5

-- name: seen_store write
INSERT INTO seen (consumer, kind, value, first_at) SELECT consumer, kind, value, to_timestamp($4::bigint)
FROM unnest($1::bigint[], $2::text[], $3::text[]) k(consumer, kind, value) ON CONFLICT DO NOTHING

-- name: anomaly_make write
INSERT INTO anomalies (signal, subject, dim, ref, key_id, client_id, user_id, program, method, route, explanation, observed, usual, unit,
    factor_percent, slot, started_at, muted_until)
VALUES ($1, $2, $3::bigint, $4::bigint, nullif($5::bigint, 0), nullif($6::bigint, 0), nullif($7::bigint, 0), $8, $9, $10, $11, $12::bigint,
    $13::bigint, $14, $15::bigint, $16, to_timestamp($17::bigint), to_timestamp(nullif($18::bigint, 0))) RETURNING id

-- name: anomaly_higher write
UPDATE anomalies SET observed = $2::bigint, factor_percent = $3::bigint, explanation = $4, version = version + 1, updated_at = now()
WHERE id = $1::bigint AND CASE WHEN signal = 'rate_low' THEN observed > $2::bigint ELSE observed < $2::bigint END

-- name: anomaly_end write
UPDATE anomalies SET status = 'resolved', ended_at = to_timestamp($2::bigint), version = version + 1, updated_at = now()
WHERE id = $1::bigint AND status = 'open' RETURNING id, muted_until > now()

-- What is new once is no longer news after an hour.
-- name: anomaly_end_news write
UPDATE anomalies SET status = 'resolved', ended_at = to_timestamp($1::bigint), version = version + 1, updated_at = now()
WHERE status = 'open' AND signal IN ('new_country', 'new_agent') AND started_at < to_timestamp($1::bigint) - interval '1 hour'
RETURNING id, muted_until > now()

-- Columns in the order of proto/anomaly.c.
-- name: anomaly_row
SELECT id, signal, subject, key_id, client_id, user_id, program, method, route, explanation, observed, usual, unit, factor_percent, slot,
    status, started_at, ended_at, muted_until, feedback, version, created_at, updated_at FROM anomalies WHERE id = $1::bigint

-- name: anomaly_find
SELECT dim, ref, signal, version FROM anomalies WHERE id = $1::bigint AND ($2::boolean OR user_id = $3::bigint) FOR UPDATE

-- Of this signal of this subject, those that go on, and this one.
-- name: anomaly_mute write
UPDATE anomalies SET muted_until = $5::timestamptz, version = version + 1, updated_at = now()
WHERE dim = $1::bigint AND ref = $2::bigint AND signal = $3 AND (id = $4::bigint OR status = 'open')

-- name: watched_mute write
INSERT INTO watched AS w (dim, ref, signal, muted_until) VALUES ($1::bigint, $2::bigint, $3, $4::timestamptz)
ON CONFLICT (dim, ref, signal) DO UPDATE SET muted_until = excluded.muted_until

-- name: anomaly_feedback write
UPDATE anomalies SET feedback = $2, version = version + 1, updated_at = now() WHERE id = $1::bigint AND feedback IS DISTINCT FROM $2

-- A false alarm widens the bounds by half, up to eightfold; a useful one takes that back.  Said twice it counts once.
-- name: watched_tune write
INSERT INTO watched AS w (dim, ref, signal, factor) VALUES ($1::bigint, $2::bigint, $3, CASE WHEN $4::boolean THEN 1.5 ELSE 1 END)
ON CONFLICT (dim, ref, signal) DO UPDATE SET factor = CASE WHEN $4::boolean THEN least(w.factor * 1.5, 8) ELSE greatest(w.factor / 1.5, 1) END
