#!/bin/bash
# shellcheck disable=SC2016,SC2317
# The package is removed: docs/operations.md.
# shellcheck source=test/platforms/guest/lib.bash
source /root/guest/lib.bash
export DEBIAN_FRONTEND=noninteractive

check 'removal is refused while Postfix uses popbsmtp' eval '! apt-get remove -q -y popbsmtp && popbsmtp --version'
postconf -X smtpd_relay_restrictions
postfix reload 2>/dev/null
check 'Dovecot reports again' reporting --systemd
check 'removal is refused while Dovecot uses popbsmtp' eval '! apt-get remove -q -y popbsmtp && popbsmtp --version'
rm $dovecot_conf
doveadm reload
check 'the package is removed' apt-get remove -q -y popbsmtp
check 'users read mail' within 10 read_mail imap 192.0.2.90
check 'nobody relays' sending_is 454 192.0.2.90
check 'mail for this host comes in' incoming
check 'the package is purged' apt-get purge -q -y popbsmtp popbsmtp-node
check 'nothing is left' is "$(find /etc /var /usr /run -xdev -name '*popbsmtp*' -not -path '/var/cache/*' -not -path '*/backups/*' 2>/dev/null)" ''
check 'systemd has nothing to complain about' is "$(systemctl --failed --no-legend --plain)" ''
finish
