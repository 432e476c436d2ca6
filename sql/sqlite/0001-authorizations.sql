-- popbsmtp, schema version 1, for SQLite 3.24 or newer.
--
--   cat 000*.sql | sqlite3 /var/lib/popbsmtp/popbsmtp.db
--
-- The same as `popbsmtp schema install`, which also gives the file its owner; doing it again changes nothing.
-- File modes play the part of accounts: 0640 and Postfix's group, in a directory 2750 of the same group. Use the
-- sqlite3 client as the file's owner, and with -readonly for looking: the last writer to leave deletes the files
-- -wal and -shm, which Postfix may not create, and every answer is a 451 until the next login has.

-- Kept in the file: readers never wait for a writer. Postfix takes a lock that it meets for a fatal error.
PRAGMA journal_mode = WAL;

-- Which versions are installed.
CREATE TABLE IF NOT EXISTS "popbsmtp_schema" (
  version INTEGER PRIMARY KEY,
  installed TEXT NOT NULL
);

-- One relay authorization for each address and user. Times are UTC, "2026-03-03 10:00:01.123456".
CREATE TABLE IF NOT EXISTS "popbsmtp" (
  address TEXT NOT NULL,
  "user" TEXT NOT NULL,
  service TEXT NOT NULL,
  first_seen TEXT NOT NULL,
  last_seen TEXT NOT NULL,
  logins INTEGER NOT NULL,
  PRIMARY KEY (address, "user")
);

-- Fails where a table of this name has other columns (the Dovecot wiki's): `popbsmtp schema install` converts it.
INSERT INTO "popbsmtp_schema" (version, installed)
SELECT 1, datetime('now') FROM (SELECT max(logins) FROM "popbsmtp") AS ours
WHERE NOT EXISTS (SELECT 1 FROM "popbsmtp_schema" WHERE version = 1);
