#!/bin/bash
# shellcheck disable=SC2016,SC2317
# The mail server as it is before, and the packages, as docs/install.md and docs/sqlite.md say.
# shellcheck source=test/platforms/guest/lib.bash
source /root/guest/lib.bash

printf 'versions: %s, Dovecot %s, Postfix %s, systemd %s\n' \
  "Debian $(</etc/debian_version)" \
  "$(dovecot --version | cut -d ' ' -f 1)" "$(postconf -dh mail_version)" "$(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')"

if [[ $(release) = 2.3 ]]; then
  cat >/etc/dovecot/conf.d/95-site.conf <<'END'
disable_plaintext_auth = no
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=/srv/mail/%n
}
mail_location = maildir:~/Maildir
END
else
  cat >/etc/dovecot/conf.d/95-site.conf <<'END'
auth_allow_cleartext = yes
passdb static {
  password = secret
}
userdb static {
  fields {
    uid = nobody
    gid = nogroup
    home = /srv/mail/%{user | username}
  }
}
mail_driver = maildir
mail_path = ~/Maildir
mail_inbox_path =
END
fi
cat >>/etc/dovecot/conf.d/95-site.conf <<'END'
ssl = no
first_valid_uid = 1
first_valid_gid = 1
END
# system users would be asked first
sed -i 's/^!include auth-system/#&/' /etc/dovecot/conf.d/10-auth.conf
install -d -o nobody /srv/mail
postconf -e 'myhostname = mail.example.org' 'mydestination = example.org' 'inet_protocols = all' \
  'mynetworks = 198.51.100.0/24' 'local_recipient_maps =' 'alias_maps =' 'alias_database =' \
  'local_transport = discard:' 'default_transport = discard:' 'smtpd_peername_lookup = no'
check 'Dovecot reloads' doveadm reload
check 'Postfix starts' systemctl restart postfix
check 'users read mail before popbsmtp comes' within 10 read_mail imap 192.0.2.10
check 'nobody relays before popbsmtp comes' sending_is 454 192.0.2.10

checksums() { find /etc/dovecot /etc/postfix -type f -exec sha256sum {} + | sort; }
before=$(checksums)
check 'apt installs the packages' env DEBIAN_FRONTEND=noninteractive apt-get install -q -y ./popbsmtp_*_all.deb ./popbsmtp-node_*.deb
check 'that changes nothing in Dovecot and Postfix' is "$(checksums)" "$before"
check 'the program starts' popbsmtp --version
check 'systemd has nothing to complain about' is "$(systemctl --failed --no-legend --plain)" ''

# docs/sqlite.md
cat >$config <<'END'
lifetime = "30m"

[store]
driver = "sqlite"
path = "/var/lib/popbsmtp/popbsmtp.db"

[serve]
policy = "/var/spool/postfix/popbsmtp/policy"
END
chgrp popbsmtp $config
chmod 640 $config
check 'the schema is installed' popbsmtp schema install
check 'an address is allowed, checked and revoked' eval 'popbsmtp allow 192.0.2.98 && popbsmtp check 192.0.2.98 && popbsmtp revoke 192.0.2.98'
check 'doctor: nothing reports logins' doctor_says 0 'warning +does not run popbsmtp after a login' 'warning +does not ask whether a client may relay'
finish
