-- popbsmtp, schema version 3: users are compared byte by byte, which PostgreSQL has always done, and revocations are
-- recorded. A login made before revoked_at no longer counts, wherever it was waiting: writers skip it. NULL stands for any
-- address, or any user.
CREATE TABLE IF NOT EXISTS "popbsmtp_revocations" (
  id text PRIMARY KEY,
  address text,
  "user" text,
  revoked_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS "popbsmtp_revocations_key" ON "popbsmtp_revocations" (address, "user");

-- Accounts that may write or delete authorizations already are given their part of it, as in roles.sql.
DO $$
DECLARE
  account record;
BEGIN
  FOR account IN
    SELECT pg_get_userbyid(acl.grantee) AS name,
      bool_or(acl.privilege_type = 'INSERT') AS writes, bool_or(acl.privilege_type = 'DELETE') AS deletes
    FROM pg_class, aclexplode(relacl) AS acl
    WHERE pg_class.oid = '"popbsmtp"'::regclass AND acl.grantee NOT IN (0, relowner)
    GROUP BY acl.grantee
  LOOP
    IF account.writes THEN
      EXECUTE format('GRANT SELECT ON "popbsmtp_revocations" TO %I', account.name);
    END IF;
    IF account.deletes THEN
      EXECUTE format('GRANT SELECT, INSERT, DELETE ON "popbsmtp_revocations" TO %I', account.name);
    END IF;
  END LOOP;
END
$$;

INSERT INTO "popbsmtp_schema" (version)
SELECT 3 WHERE NOT EXISTS (SELECT 1 FROM "popbsmtp_schema" WHERE version = 3);
