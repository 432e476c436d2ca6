# shellcheck shell=bash disable=SC2034
# What every part of the tests uses, in the machine. Clients have the addresses 192.0.2.N and 2001:db8::N.
set -uo pipefail
cd /root || exit

dovecot_conf=/etc/dovecot/conf.d/99-popbsmtp.conf
config=/etc/popbsmtp/popbsmtp.toml
failures=0

# check NAME COMMAND...: the command must succeed. Prints its output only if it fails.
check() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    printf 'ok    %s\n' "$name"
  else
    printf 'FAIL  %s\n' "$name"
    printf '%s\n' "$output" | tail -n 40 | sed 's/^/      /'
    failures=$((failures + 1))
  fi
}

# The last line of each part.
finish() { exit "$((failures > 0))"; }

# within SECONDS COMMAND...: the command must succeed by then.
within() {
  local end=$((SECONDS + $1)) output
  shift
  until output=$("$@" 2>&1); do
    if ((SECONDS >= end)); then
      printf '%s\n' "$output"
      return 1
    fi
    sleep 0.2
  done
}

is() { [[ $1 = "$2" ]] || { printf 'got: %s\nexpected: %s\n' "$1" "$2"; return 1; }; }

release() { dovecot --version | cut -d . -f 1-2; }

# The address of a client: client 4|6 N
client() {
  case $1 in
    4) printf '192.0.2.%s' "$2" ;;
    6) printf '2001:db8::%s' "$2" ;;
  esac
}

server() {
  case $1 in
    *:*) printf '[2001:db8::1]' ;;
    *) printf '192.0.2.1' ;;
  esac
}

# read_mail imap|pop3 ADDRESS [USER]
read_mail() {
  local path=/
  [[ $1 = pop3 ]] || path=/INBOX
  curl -gsS --max-time 20 --interface "$2" --user "${3-bob@example.org}:secret" "$1://$(server "$2")$path"
}

# What Postfix says to a message to another domain: 250, or "454".
sending_is() {
  local said
  said=$(printf 'Subject: popbsmtp\n\nHello.\n' |
    curl -gsS --max-time 20 --interface "$2" --mail-from bob@example.org --mail-rcpt alice@example.net --upload-file - "smtp://$(server "$2")" 2>&1) && said=250
  [[ $said = *"$1" || $said = *"failed: $1"* ]] || { printf '%s: %s\n' "$2" "$said"; return 1; }
}

# is_listed ADDRESS [SERVICE]
is_listed() {
  popbsmtp list --json | tr -d ' \n' | grep -F "\"address\":\"$1\",\"user\":\"bob@example.org\",\"service\":\"${2-imap}\"" ||
    { popbsmtp list; return 1; }
}

# Real logins with both protocols from IPv4 and IPv6, each from its own address: logins NAME N
logins() {
  local family protocol n=$2 address
  for family in 4 6; do
    for protocol in imap pop3; do
      address=$(client "$family" "$n")
      check "$1: $protocol login from $address" read_mail "$protocol" "$address"
      check "$1: $address is in the list" within 10 is_listed "$address" "$protocol"
      n=$((n + 1))
    done
  done
}

# The relay opens for whoever reads mail, and closes again: relays NAME N
relays() {
  local family address
  for family in 4 6; do
    address=$(client "$family" "$2")
    check "$1: $address may not relay" sending_is 454 "$address"
    check "$1: $address reads mail" read_mail imap "$address"
    check "$1: $address may relay" within 10 sending_is 250 "$address"
    check "$1: $address is revoked" popbsmtp revoke "$address"
    check "$1: $address may not relay any more" within 15 sending_is 454 "$address"
  done
  check "$1: mail for this host comes in" incoming
}

incoming() {
  printf 'Subject: popbsmtp\n\nHello.\n' |
    curl -gsS --max-time 20 --interface 192.0.2.99 --mail-from alice@example.net --mail-rcpt bob@example.org --upload-file - smtp://192.0.2.1
}

# doctor_says STATUS TEXT...: each text, an extended regular expression, is in the report.
doctor_says() {
  local status=0 report text
  report=$(popbsmtp doctor 2>&1) || status=$?
  for text in "${@:2}"; do
    grep -qE -- "$text" <<<"$report" || { printf 'no %s in:\n%s\n' "$text" "$report"; return 1; }
  done
  ((status == $1)) || { printf 'exit status %s:\n%s\n' "$status" "$report"; return 1; }
}

good='^no problems, no warnings$'

doctor_is_content() { check "$1: doctor is content" within 15 doctor_says 0 "$good" "${@:2}"; }

# A mistake in Dovecot's configuration, without a reload: mistake NAME SED-SCRIPT STATUS TEXT...
mistake() {
  local name=$1 script=$2
  shift 2
  cp "$dovecot_conf" /root/right.conf
  sed -E -i "$script" "$dovecot_conf"
  if cmp -s "$dovecot_conf" /root/right.conf; then
    check "doctor: $name" false
  else
    check "doctor: $name" doctor_says "$@"
  fi
  cp /root/right.conf "$dovecot_conf"
}

# Has Dovecot report logins in this form: reporting print-dovecot-arguments...
reporting() {
  popbsmtp print dovecot "$@" >$dovecot_conf && doveconf -n >/dev/null && doveadm reload
}

# The process id of the daemon.
daemon() { head -n 1 /var/spool/popbsmtp/.pid | cut -d ' ' -f 1; }

# Waits for a daemon other than this one.
another_daemon() { [[ $(daemon) != "$1" ]] && kill -0 "$(daemon)"; }
