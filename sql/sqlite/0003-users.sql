-- popbsmtp, schema version 3: users are compared byte by byte. SQLite has always done so.
INSERT INTO "popbsmtp_schema" (version, installed)
SELECT 3, datetime('now') WHERE NOT EXISTS (SELECT 1 FROM "popbsmtp_schema" WHERE version = 3);
