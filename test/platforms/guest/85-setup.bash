#!/bin/bash
# shellcheck disable=SC2016,SC2317
# The quick start of README.md: the packages, popbsmtp setup, a message. Then everything is taken back.
# shellcheck source=test/platforms/guest/lib.bash
source /root/guest/lib.bash
export DEBIAN_FRONTEND=noninteractive
checksums() { find /etc/dovecot /etc/postfix -type f -exec sha256sum {} + | sort; }

before=$(checksums)
n=92
for daemon in dovecot systemd; do
  check "setup, $daemon: the packages are installed" apt-get install -q -y ./popbsmtp_*_all.deb ./popbsmtp-node_*.deb
  started=$SECONDS
  check "setup, $daemon: succeeds" popbsmtp setup --store sqlite --daemon "$daemon" --yes
  printf '      in %d s\n' $((SECONDS - started))
  relays "setup, $daemon" $n
  doctor_is_content "setup, $daemon"
  check "setup, $daemon: another run changes nothing" eval 'popbsmtp setup --yes | grep "set up already"'
  check "setup, $daemon: removal is refused, and says what to do" eval '! said=$(apt-get remove -q -y popbsmtp 2>&1) && grep "popbsmtp setup --undo" <<<"$said"'
  check "setup, $daemon: is undone" popbsmtp setup --undo
  check "setup, $daemon: Dovecot and Postfix are as before" is "$(checksums)" "$before"
  check "setup, $daemon: users read mail" within 10 read_mail imap 192.0.2.90
  check "setup, $daemon: nobody relays" sending_is 454 192.0.2.90
  check "setup, $daemon: the packages are purged" apt-get purge -q -y popbsmtp popbsmtp-node
  check "setup, $daemon: nothing is left" is "$(find /etc /var /usr /run -xdev -name '*popbsmtp*' -not -path '/var/cache/*' -not -path '*/backups/*' 2>/dev/null)" ''
  n=$((n + 2))
done
check 'systemd has nothing to complain about' is "$(systemctl --failed --no-legend --plain)" ''
finish
