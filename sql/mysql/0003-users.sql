-- popbsmtp, schema version 3: users are compared byte by byte, and revocations are recorded. utf8mb4_bin ignores trailing spaces; the collation that
-- does not is called utf8mb4_nopad_bin in MariaDB and utf8mb4_0900_bin in MySQL. MySQL before 8.0.17 has neither, and
-- gets varbinary columns.
--
-- The table is rebuilt, in seconds for a million rows: meanwhile Postfix's lookups go on and logins wait in the spool.
-- Older versions of popbsmtp can write to it afterwards. Where another transaction holds the table for more than two
-- seconds, this fails, so that lookups do not queue behind it: run it again.
SET SESSION lock_wait_timeout = 2;
SET @popbsmtp_collation = (
  SELECT max(collation_name) FROM information_schema.collations
  WHERE collation_name IN ('utf8mb4_nopad_bin', 'utf8mb4_0900_bin')
);
SET @popbsmtp_address = IF(
  @popbsmtp_collation IS NULL,
  'varbinary(45)',
  CONCAT('varchar(45) CHARACTER SET utf8mb4 COLLATE ', @popbsmtp_collation)
);
SET @popbsmtp_user = IF(
  @popbsmtp_collation IS NULL,
  'varbinary(1020)',
  CONCAT('varchar(255) CHARACTER SET utf8mb4 COLLATE ', @popbsmtp_collation)
);
SET @popbsmtp_step = IF(
  EXISTS (
    SELECT 1 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'popbsmtp' AND column_name = 'user'
    AND collation_name = 'utf8mb4_bin'
  ),
  CONCAT(
    'ALTER TABLE `popbsmtp` MODIFY `address` ', @popbsmtp_address, ' NOT NULL, ',
    'MODIFY `user` ', @popbsmtp_user, ' NOT NULL'
  ),
  'DO 0'
);
PREPARE popbsmtp_step FROM @popbsmtp_step;
EXECUTE popbsmtp_step;
DEALLOCATE PREPARE popbsmtp_step;

-- A login made before revoked_at no longer counts, wherever it was waiting: writers skip it. NULL stands for any address,
-- or any user. After an upgrade, roles.sql gives the accounts their part of it. Bytes compare the same in every version.
CREATE TABLE IF NOT EXISTS `popbsmtp_revocations` (
  `id` varchar(36) CHARACTER SET ascii NOT NULL PRIMARY KEY,
  `address` varbinary(45),
  `user` varbinary(1020),
  `revoked_at` datetime(6) NOT NULL,
  INDEX `address` (`address`),
  INDEX `user` (`user`)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

INSERT INTO `popbsmtp_schema` (version, installed)
SELECT 3, UTC_TIMESTAMP() FROM (SELECT 1) AS one
WHERE NOT EXISTS (SELECT 1 FROM `popbsmtp_schema` WHERE version = 3);
