-- popbsmtp's three accounts in MariaDB (10.4 or newer) or MySQL, and what each may do. Run it in the database after the tables are
-- there, as an administrator; doing it again changes nothing. Nobody can log in to any of them until you say how, and
-- with which password:
--
--   ALTER USER popbsmtp@'%' IDENTIFIED BY '...' ACCOUNT UNLOCK;
--
-- `popbsmtp schema install` creates and alters tables: run it as an administrator too.
CREATE USER IF NOT EXISTS popbsmtp@'%' ACCOUNT LOCK;
CREATE USER IF NOT EXISTS popbsmtp_purger@'%' ACCOUNT LOCK;
CREATE USER IF NOT EXISTS popbsmtp_reader@'%' ACCOUNT LOCK;

-- The writer records logins, and cannot delete.
GRANT SELECT, INSERT, UPDATE ON `popbsmtp` TO popbsmtp@'%';
GRANT SELECT ON `popbsmtp_schema` TO popbsmtp@'%';
GRANT SELECT ON `popbsmtp_revocations` TO popbsmtp@'%';

-- The purger deletes what expired or was revoked, and cannot authorize anybody.
GRANT SELECT, DELETE ON `popbsmtp` TO popbsmtp_purger@'%';
GRANT SELECT ON `popbsmtp_schema` TO popbsmtp_purger@'%';
GRANT SELECT, INSERT, DELETE ON `popbsmtp_revocations` TO popbsmtp_purger@'%';

-- Postfix asks whether an address is live, and does not learn who was there.
GRANT SELECT (`address`, `last_seen`) ON `popbsmtp` TO popbsmtp_reader@'%';
