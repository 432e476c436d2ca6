#!/bin/bash
# shellcheck disable=SC2016,SC2317
# imap and pop3 ask the daemon after each login: docs/dovecot.md.
# shellcheck source=test/platforms/guest/lib.bash
source /root/guest/lib.bash

check 'post-login: Dovecot reloads' reporting post-login
check 'post-login: the daemon starts' within 15 doctor_says 0 "$good"
logins post-login 30
relays 'post-login, policy service' 35
doctor_is_content post-login 'imap: each login asks popbsmtp serve, which answers' 'pop3: each login asks'

mistake 'post-login without a listener' 's/unix_listener popbsmtp-imap/unix_listener popbsmtp-x-imap/' 78 'imap: nothing listens on the socket popbsmtp-imap: every login is refused'
mistake 'post-login at the socket of another protocol' 's/imap popbsmtp-imap/imap popbsmtp-pop3/' 78 'which is for pop3'
mistake 'post-login, one client only' 's/client_limit = 1000/client_limit = 1/' 78 'client_limit is 1'
mistake 'post-login, started as another user' 's/^  user = root/  drop_priv_before_exec = yes/' 78 'must be started as root'
mistake 'post-login for imap only' '/executable = pop3/d' 78 'pop3: no login is recorded'
mistake 'post-login, a program that is missing' 's|/usr/lib/popbsmtp/popbsmtp |/usr/nosuch/popbsmtp |' 78 'is not a program: every login is refused'
mistake 'post-login, not reloaded' 's/popbsmtp-imap/popbsmtp-x-imap/' 78 'imap: nothing answers at .*popbsmtp-x-imap \(ENOENT\)'

before=$(daemon)
check 'post-login: kill -9' kill -9 "$before"
check 'post-login: a login meanwhile' read_mail imap 192.0.2.39
check 'post-login: it is recorded' within 15 is_listed 192.0.2.39
finish
