-- Administrators read the log of everybody, the newest first.
CREATE INDEX deliveries_time_idx ON deliveries (created_at, id);
-- What is in a batch that is still to go, when its endpoint is deleted.
CREATE INDEX deliveries_batched_idx ON deliveries (endpoint_id) WHERE status = 'batched';
