-- Where a person's mail went before it was changed, and when that was.
ALTER TABLE people ADD COLUMN former_email text, ADD COLUMN email_changed_at timestamptz;
