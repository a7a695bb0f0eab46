-- A page is not below itself, however many pages lie between: who follows parents comes to an end.  New rows are below nothing that is
-- below them; only a change of parent can close a ring, and one at a time is looked at.
CREATE FUNCTION pages_no_ring() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('pages_no_ring'));
    IF EXISTS (
        WITH RECURSIVE up (id) AS (
            SELECT NEW.parent_id
            UNION
            SELECT p.parent_id FROM pages p JOIN up ON p.id = up.id WHERE p.parent_id IS NOT NULL
        )
        SELECT 1 FROM up WHERE id = NEW.id
    ) THEN
        RAISE EXCEPTION 'a page would be below itself'
            USING ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = 'pages', CONSTRAINT = 'pages_parent_id_ring';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER pages_no_ring BEFORE UPDATE OF parent_id ON pages
    FOR EACH ROW WHEN (NEW.parent_id IS NOT NULL AND NEW.parent_id IS DISTINCT FROM OLD.parent_id) EXECUTE FUNCTION pages_no_ring();
