-- Actions that bring their own retries; messages that are worked on in order; sources that verify nothing say so twice.
ALTER TABLE sources
    ADD COLUMN verification text NOT NULL DEFAULT 'provider' CHECK (verification IN ('provider', 'none')),
    ADD COLUMN order_by text;
UPDATE sources SET verification = 'none' WHERE provider = 'none';
ALTER TABLE sources ADD CONSTRAINT sources_unverified_check CHECK ((verification = 'none') = (provider = 'none'));
COMMENT ON COLUMN sources.order_by IS 'Where the key stands of which messages follow one another; source: all; NULL: none waits.';

ALTER TABLE messages
    ADD COLUMN order_key text,
    ADD COLUMN resume boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN messages.resume IS 'Replayed after it failed: what the run before it did is not done again.';
CREATE INDEX messages_order_idx ON messages (source_id, order_key, seq)
    WHERE order_key IS NOT NULL AND status IN ('accepted', 'held', 'working', 'failed');

ALTER TABLE actions
    ADD COLUMN retry_max int,
    ADD COLUMN retry_base_ms int;
