-- popbsmtp, schema version 1, for MariaDB 10.2 or MySQL 5.7 or newer.
--
--   cat 000*.sql | mariadb mail
--
-- The same as `popbsmtp schema install`; doing it again changes nothing. Then roles.sql.

-- Which versions are installed.
CREATE TABLE IF NOT EXISTS `popbsmtp_schema` (
  version int NOT NULL PRIMARY KEY,
  installed datetime NOT NULL
) ENGINE=InnoDB;

-- One relay authorization for each address and user. The address is text in Postfix's spelling, because Postfix
-- asks for host names too. Times are UTC: local time would grant an hour extra when summer time ends.
CREATE TABLE IF NOT EXISTS `popbsmtp` (
  `address` varchar(45) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `user` varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `service` varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `first_seen` datetime(6) NOT NULL,
  `last_seen` datetime(6) NOT NULL,
  `logins` bigint NOT NULL,
  PRIMARY KEY (`address`, `user`)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

-- Fails where a table of this name has other columns (the Dovecot wiki's): `popbsmtp schema install` converts it.
INSERT INTO `popbsmtp_schema` (version, installed)
SELECT 1, UTC_TIMESTAMP() FROM (SELECT max(logins) FROM `popbsmtp`) AS ours
WHERE NOT EXISTS (SELECT 1 FROM `popbsmtp_schema` WHERE version = 1);
