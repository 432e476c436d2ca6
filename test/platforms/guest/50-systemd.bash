#!/bin/bash
# shellcheck disable=SC2016,SC2317
# systemd runs the daemon and holds its sockets: docs/daemon.md, with the units of the package.
# shellcheck source=test/platforms/guest/lib.bash
source /root/guest/lib.bash

printf 'imap = false\npop3 = false\n' >>$config
check 'systemd: the units start' systemctl enable --now popbsmtp-{dict,policy,socketmap}.socket popbsmtp.service
check 'systemd: Dovecot reloads' reporting --systemd
postconf -e "$(popbsmtp print postfix policy | grep -v '^#' | tr -s ' \n' ' ')"
postfix reload 2>/dev/null
logins systemd 60
relays 'systemd, policy service' 65
doctor_is_content systemd 'imap: each login is reported to popbsmtp serve, which listens \(/run/popbsmtp/dict\)'

chmod 600 /run/popbsmtp/dict
check 'doctor: a socket that imap cannot connect to' doctor_says 78 "mail processes cannot connect to /run/popbsmtp/dict \(mode 0600\)" 'SocketGroup=dovecot'
chmod 666 /run/popbsmtp/dict
check 'doctor: a socket open to all' doctor_says 78 'any process that can connect to /run/popbsmtp/dict'
chmod 660 /run/popbsmtp/dict
check 'the daemon and its sockets stop' systemctl stop popbsmtp.service popbsmtp-{dict,policy,socketmap}.socket
check 'doctor: a daemon that is stopped' doctor_says 78 'nothing listens at /run/popbsmtp/dict \(ENOENT|ECONNREFUSED\): logins proceed' 'systemctl start popbsmtp'
check 'a login while the daemon is stopped' read_mail imap 192.0.2.69
check 'the daemon and its sockets start' systemctl start popbsmtp-{dict,policy,socketmap}.socket popbsmtp.service
doctor_is_content 'systemd, after a stop'

check 'systemd: reload' systemctl reload popbsmtp.service
check 'systemd: the daemon has reloaded' within 10 eval 'journalctl -u popbsmtp.service | grep -q reloaded'
before=$(daemon)
check 'systemd: kill -9' kill -9 "$before"
check 'systemd: a login meanwhile' read_mail imap 192.0.2.70
check 'systemd: another daemon' within 15 another_daemon "$before"
check 'systemd: the login is recorded' within 15 is_listed 192.0.2.70
check 'systemd: the daemon is not root' is "$(stat -c %U "/proc/$(daemon)")" popbsmtp
finish
