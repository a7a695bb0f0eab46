-- Where and with what a key was last used (last_used_at says when).
ALTER TABLE api_keys ADD COLUMN last_used_address text, ADD COLUMN last_used_agent text;
