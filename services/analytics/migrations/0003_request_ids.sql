-- A btree over random request ids cost as much as all the rest of a record.  Blooms over ranges of pages find an id among millions of
-- rows nearly as fast, and ranges that have none yet are looked through.
DROP INDEX requests_request_id_idx;
CREATE INDEX requests_request_id_idx ON requests USING brin (request_id text_bloom_ops (n_distinct_per_range = 3500))
    WITH (pages_per_range = 64, autosummarize = on);
