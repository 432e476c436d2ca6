#!/bin/bash
# shellcheck disable=SC2016,SC2317
# Dovecot's master runs the daemon, and its last_login plugin reports logins: docs/dovecot.md, docs/postfix.md.
# shellcheck source=test/platforms/guest/lib.bash
source /root/guest/lib.bash
on_2_4() { [[ $(release) != 2.3 ]]; }

check 'serve --check' popbsmtp serve --check
check 'dict: Dovecot reloads' reporting
check 'dict: the daemon starts' within 15 test -S /var/spool/postfix/popbsmtp/policy
check 'dict: Postfix asks it' eval "postconf -e \"\$(popbsmtp print postfix policy | grep -v '^#' | tr -s ' \\n' ' ')\" && postfix reload"
logins dict 10
relays 'dict, policy service' 15
doctor_is_content dict 'imap: each login is reported to popbsmtp serve, which listens' 'pop3: each login is reported to' "policy gives the right answer"

if on_2_4; then user='%\{user\}'; else user='%u'; fi
mistake 'the plugin is missing for pop3' '/^protocol pop3 /,/^\}/d' 78 'pop3: no login is recorded: the effective mail_plugins'
mistake 'the key is another one' "s|^( *last_login_key) = .*|\1 = last/$user|" 78 'last_login_key is last/.*: no login is recorded'
mistake 'the socket has the default mode' '/mode = 0660/d' 78 "mail processes cannot connect to popbsmtp-dict: no login"
mistake 'the socket is open to all' 's/mode = 0660/mode = 0666/' 78 'any process that can connect to popbsmtp-dict can authorize'
mistake 'the daemon has another user' 's/^  user = root/  user = mail/' 78 'becomes mail, who may not drain' 'user = root'
mistake 'the daemon may not have enough memory' '/vsz_limit/d' 78 'does not start: vsz_limit is 256 MB'
mistake 'several daemons' '/process_limit/d' 78 'more than one process may be started'
mistake 'no listener' 's/unix_listener popbsmtp-dict/unix_listener popbsmtp-x-dict/' 78 'nothing listens on the socket popbsmtp-dict: no login'
mistake 'Dovecot has not read its configuration' 's/popbsmtp-dict/popbsmtp-x-dict/' 78 'nothing listens at .*popbsmtp-x-dict \(ENOENT\): logins proceed' 'doveadm reload'
mistake 'no protocols' '1s/^/protocols =\n/' 0 'serves neither imap nor pop3'
mistake 'a configuration that Dovecot cannot read' '1s/^/nosuch = 1\n/' 78 "doveconf cannot read Dovecot's configuration"
mistake 'nothing reports logins' 'd' 0 'warning +does not run popbsmtp after a login'

# the proof that a finding is true: users read mail, and nothing is recorded
cp $dovecot_conf right.conf
sed -i -E '/^protocol imap /,/^\}/d' $dovecot_conf
doveadm reload
sleep 1
check 'without the plugin, users read mail' within 10 read_mail imap 192.0.2.19
check 'without the plugin, nothing is recorded' eval '! is_listed 192.0.2.19'
cp right.conf $dovecot_conf
doveadm reload

check 'dict: the daemon is back' within 15 doctor_says 0 "$good"
for signal in -9 -9 -HUP; do
  before=$(daemon)
  check "dict: kill $signal" kill "$signal" "$before"
  [[ $signal = -HUP ]] || check 'dict: Dovecot starts another daemon' within 15 another_daemon "$before"
  check "dict: a login after kill $signal" read_mail imap 192.0.2.20
  check "dict: is recorded" within 10 is_listed 192.0.2.20
  popbsmtp revoke 192.0.2.20 >/dev/null
  sleep 1
done

reloads() {
  local n
  for n in 21 22 23 24; do
    doveadm reload
    read_mail imap "192.0.2.$n" || return
    read_mail pop3 "192.0.2.$n" || return
    sleep 1
  done
}
check 'dict: logins during reloads' reloads
for n in 21 22 23 24; do check "dict: 192.0.2.$n is recorded" within 15 is_listed "192.0.2.$n" pop3; done

check 'Dovecot stops' systemctl stop dovecot
check 'doctor: Dovecot is stopped' doctor_says 78 'is not running: nobody can read mail' 'systemctl start dovecot'
check 'Dovecot starts' systemctl start dovecot
doctor_is_content 'dict, after a restart'
finish
