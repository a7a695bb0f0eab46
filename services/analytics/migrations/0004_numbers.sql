-- A session takes its numbers five hundred at a time: to ask the sequence for each was a tenth of what a record costs.
ALTER SEQUENCE requests_number CACHE 500;
