-- popbsmtp's three accounts in PostgreSQL and what each may do. Run it in the database after the tables are there, as
-- a superuser or as their owner with CREATEROLE; doing it again changes nothing. None has a password, so none can log
-- in with one until you give it one:
--
--   psql -d mail -c '\password popbsmtp'
--
-- Only the tables' owner can run `popbsmtp schema install`, which creates and alters tables.
DO $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'popbsmtp') THEN
    CREATE ROLE popbsmtp LOGIN;
  END IF;
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'popbsmtp_purger') THEN
    CREATE ROLE popbsmtp_purger LOGIN;
  END IF;
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'popbsmtp_reader') THEN
    CREATE ROLE popbsmtp_reader LOGIN;
  END IF;
END
$$;

-- The writer records logins, and cannot delete.
GRANT SELECT, INSERT, UPDATE ON "popbsmtp" TO popbsmtp;
GRANT SELECT ON "popbsmtp_schema" TO popbsmtp;
GRANT SELECT ON "popbsmtp_revocations" TO popbsmtp;

-- The purger deletes what expired or was revoked, and cannot authorize anybody.
GRANT SELECT, DELETE ON "popbsmtp" TO popbsmtp_purger;
GRANT SELECT ON "popbsmtp_schema" TO popbsmtp_purger;
GRANT SELECT, INSERT, DELETE ON "popbsmtp_revocations" TO popbsmtp_purger;

-- Postfix asks whether an address is live, and does not learn who was there.
GRANT SELECT (address, last_seen) ON "popbsmtp" TO popbsmtp_reader;
