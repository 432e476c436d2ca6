#!/bin/bash
# shellcheck disable=SC2016,SC2317
# The log of Dovecot, as rsyslog writes it: docs/mail-log.md.
# shellcheck source=test/platforms/guest/lib.bash
source /root/guest/lib.bash

rm $dovecot_conf
doveadm reload
printf '\n[watch]\nfile = "/var/log/mail.log"\n' >>$config
usermod -aG adm popbsmtp
check 'watch: the daemon restarts' systemctl restart popbsmtp.service
logins watch 80
doctor_is_content watch 'does not run popbsmtp after a login; its log is watched' 'popbsmtp may read it'
relays 'watch, policy service' 85
check 'watch: the daemon stops' systemctl stop popbsmtp.service
check 'watch: a login meanwhile' read_mail imap 192.0.2.89
check 'watch --once reads the log' popbsmtp watch --once --since 2h /var/log/mail.log
check 'watch --once: the login is recorded' within 5 is_listed 192.0.2.89
check 'watch: the daemon starts' systemctl start popbsmtp.service

if [[ $(release) != 2.3 ]]; then
  printf 'login_log_format_elements = user=<%%u> method=%%m rip=%%r\n' >$dovecot_conf
  check 'doctor: the log has neither user nor address' doctor_says 78 'login_log_format_elements contains %u, a variable of older'
  rm $dovecot_conf
fi
finish
