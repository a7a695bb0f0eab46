-- An index over request ids with a place for each is written at random, and on a busy day no cache holds it: at nine million records it
-- cost as much as the rest of a record.  What lies in a range of pages is told by a filter of ten bits an id instead, made when the range
-- is full; finding one id reads the filters, the hundredth of the ranges that seem to have it, and those that are not full yet.
DROP INDEX requests_request_id_idx;
CREATE INDEX requests_request_id_idx ON requests USING brin (request_id text_bloom_ops (n_distinct_per_range = 6000))
    WITH (pages_per_range = 128, autosummarize = on);
-- Ranges of the same size: a background worker makes at most a few hundred a minute.
DROP INDEX requests_id_idx;
CREATE INDEX requests_id_idx ON requests USING brin (id) WITH (pages_per_range = 128, autosummarize = on);
