-- popbsmtp, schema version 2: purge deletes the oldest first, and finds them by this index. MySQL has no
-- CREATE INDEX IF NOT EXISTS, so what is done is chosen by what is there.
SET @popbsmtp_step = IF(
  EXISTS (
    SELECT 1 FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'popbsmtp' AND index_name = 'last_seen'
  ),
  'DO 0',
  'ALTER TABLE `popbsmtp` ADD INDEX `last_seen` (`last_seen`)'
);
PREPARE popbsmtp_step FROM @popbsmtp_step;
EXECUTE popbsmtp_step;
DEALLOCATE PREPARE popbsmtp_step;

INSERT INTO `popbsmtp_schema` (version, installed)
SELECT 2, UTC_TIMESTAMP() FROM (SELECT 1) AS one
WHERE NOT EXISTS (SELECT 1 FROM `popbsmtp_schema` WHERE version = 2);
