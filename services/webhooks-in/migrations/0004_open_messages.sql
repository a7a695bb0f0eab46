-- What a source has that is still to be done: looked for when it is paused, resumed or deleted, among all that it ever had.
CREATE INDEX messages_open_idx ON messages (source_id, seq) WHERE status IN ('accepted', 'held', 'working', 'failed');
DROP INDEX messages_held_idx;
