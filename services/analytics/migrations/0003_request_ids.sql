-- A btree over random request ids cost as much as all the rest of a record; hashes find an id as fast and cost a third.
DROP INDEX requests_request_id_idx;
CREATE INDEX requests_request_id_idx ON requests USING hash (request_id);
