-- popbsmtp, schema version 3: users are compared byte by byte. PostgreSQL has always done so.
INSERT INTO "popbsmtp_schema" (version)
SELECT 3 WHERE NOT EXISTS (SELECT 1 FROM "popbsmtp_schema" WHERE version = 3);
