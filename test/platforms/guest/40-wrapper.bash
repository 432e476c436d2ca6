#!/bin/bash
# shellcheck disable=SC2016,SC2317
# Without a daemon: Dovecot runs popbsmtp at each login, and Postfix reads the database. docs/without-a-daemon.md,
# docs/postfix.md.
# shellcheck source=test/platforms/guest/lib.bash
source /root/guest/lib.bash

check 'wrapper: Dovecot reloads' reporting wrapper
check 'wrapper: the daemon ends' within 15 eval '! kill -0 "$(daemon)"'
(umask 077; popbsmtp print postfix map >/etc/postfix/popbsmtp.cf)
chgrp postfix /etc/postfix/popbsmtp.cf
chmod 640 /etc/postfix/popbsmtp.cf
check 'map: Postfix asks the database' eval "postconf -e \"\$(popbsmtp print postfix main | grep -v '^#' | tr -s ' \\n' ' ')\" && postfix reload"
check 'a timer purges' systemctl enable --now popbsmtp-purge.timer
logins wrapper 50
relays 'wrapper, map' 55
doctor_is_content wrapper 'imap: each login runs /usr/lib/popbsmtp/popbsmtp' 'pop3: each login runs'

mistake 'wrapper, another user' 's/user = popbsmtp/user = mail/' 78 'imap: popbsmtp runs as mail' 'user = popbsmtp'
if [[ $(release) = 2.3 ]]; then user='$default_internal_user'; else user='$SET:default_internal_user'; fi
mistake "wrapper, the user of Dovecot" "s/user = popbsmtp/user = $user/" 78 'imap: popbsmtp runs as dovecot'
mistake 'wrapper, not enough memory' '/vsz_limit/d' 78 'logins cannot start a drain: vsz_limit is 256 MB'
mistake 'wrapper, another program' 's|login /usr/lib/popbsmtp/popbsmtp .*|login /bin/other|' 78 'no login is recorded: after it runs /bin/other'
mistake 'wrapper, no socket' 's/imap imap-postlogin/imap nosuch/' 78 'nothing listens on the socket nosuch: every login is refused'

postconf -X smtpd_relay_restrictions
rm /etc/postfix/popbsmtp.cf
systemctl disable --now popbsmtp-purge.timer 2>/dev/null
finish
