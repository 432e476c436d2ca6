-- popbsmtp, schema version 2: purge deletes the oldest first, and finds them by this index.
CREATE INDEX IF NOT EXISTS "popbsmtp_last_seen" ON "popbsmtp" (last_seen);

INSERT INTO "popbsmtp_schema" (version)
SELECT 2 WHERE NOT EXISTS (SELECT 1 FROM "popbsmtp_schema" WHERE version = 2);
