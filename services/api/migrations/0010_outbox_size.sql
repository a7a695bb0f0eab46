-- The outbox fills and empties all the time.  Vacuum gives its free end back to the file system, for which it takes the table's
-- exclusive lock, and the next writers extend the file again: a tenth of what a create costs went there.  It keeps the size of its
-- longest backlog instead; VACUUM (TRUNCATE) outbox gives that back.
ALTER TABLE outbox SET (vacuum_truncate = off, toast.vacuum_truncate = off);
