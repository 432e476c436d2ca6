#!/bin/bash
# Sets up Debian's Dovecot, Postfix and rsyslog as on a mail server of example.org, and starts them.
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022
install -m 755 /root/popbsmtp/test/support/machine/systemctl.bash /usr/local/bin/systemctl
printf '127.0.0.1 mail.example.org localhost\n' >/etc/hosts

rsyslogd

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=mail.example.org -addext subjectAltName=DNS:mail.example.org \
  -keyout /etc/dovecot/private/dovecot.key -out /etc/dovecot/private/dovecot.pem 2>/dev/null
mkdir -p /srv/mail
chown nobody /srv/mail
cat >/etc/dovecot/conf.d/10-auth.conf <<'END'
disable_plaintext_auth = no
auth_mechanisms = plain login
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=/srv/mail/%n
}
END
cat >/etc/dovecot/conf.d/95-site.conf <<'END'
mail_location = maildir:~/Maildir
first_valid_uid = 1
first_valid_gid = 1
login_trusted_networks =
END
dovecot

# what is sent elsewhere goes to a server of this machine
mkdir -m 777 /srv/elsewhere
setsid smtp-sink -u nobody -d '/srv/elsewhere/%M.' 127.0.0.1:2525 10 </dev/null >/dev/null 2>&1 &
postconf -e 'myhostname = mail.example.org' 'mydestination = example.org' 'mynetworks = 198.51.100.0/24' \
  'relayhost = [127.0.0.1]:2525' 'local_recipient_maps =' 'alias_maps =' 'alias_database =' 'smtpd_peername_lookup = no'
# postfix(1) would look through the whole installation first
"$(postconf -dh daemon_directory)/master" -w
