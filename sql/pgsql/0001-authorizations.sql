-- popbsmtp, schema version 1, for PostgreSQL 9.5 or newer.
--
--   cat 000*.sql | psql -v ON_ERROR_STOP=1 -1 -d mail
--
-- The same as `popbsmtp schema install`; doing it again changes nothing. Then roles.sql.

-- Which versions are installed.
CREATE TABLE IF NOT EXISTS "popbsmtp_schema" (
  version integer PRIMARY KEY,
  installed timestamptz NOT NULL DEFAULT now()
);

-- One relay authorization for each address and user. The address is text in Postfix's spelling, because Postfix
-- asks for host names too: compared with an inet they would be an error, and a 451 for everybody.
CREATE TABLE IF NOT EXISTS "popbsmtp" (
  address text NOT NULL,
  "user" text NOT NULL,
  service text NOT NULL,
  first_seen timestamptz NOT NULL,
  last_seen timestamptz NOT NULL,
  logins bigint NOT NULL,
  PRIMARY KEY (address, "user")
);

-- Fails where a table of this name has other columns (the Dovecot wiki's): `popbsmtp schema install` converts it.
INSERT INTO "popbsmtp_schema" (version)
SELECT 1 FROM (SELECT max(logins) FROM "popbsmtp") AS ours
WHERE NOT EXISTS (SELECT 1 FROM "popbsmtp_schema" WHERE version = 1);
