-- popbsmtp, schema version 3: users are compared byte by byte, which SQLite has always done, and revocations are recorded.
-- A login made before revoked_at no longer counts, wherever it was waiting: writers skip it. NULL stands for any address,
-- or any user.
CREATE TABLE IF NOT EXISTS "popbsmtp_revocations" (
  id TEXT PRIMARY KEY,
  address TEXT,
  "user" TEXT,
  revoked_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS "popbsmtp_revocations_key" ON "popbsmtp_revocations" (address, "user");

INSERT INTO "popbsmtp_schema" (version, installed)
SELECT 3, datetime('now') WHERE NOT EXISTS (SELECT 1 FROM "popbsmtp_schema" WHERE version = 3);
