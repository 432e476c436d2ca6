# shellcheck shell=bash disable=SC2034
# The platforms, and making their machines.

declare -A suites=([debian-12]=bookworm [debian-13]=trixie)

# systemd comes first: the postinst scripts of servers use it
system='systemd systemd-sysv dbus'
servers='dovecot-imapd dovecot-pop3d postfix postfix-sqlite rsyslog sqlite3 curl iproute2 procps libatomic1'

cache=${POPBSMTP_MACHINES:-/var/cache/popbsmtp-machines}

say() { printf 'test-platforms: %s\n' "$*" >&2; }

# The root directory of a platform as debootstrap and apt have made it.
root_of() { printf '%s/%s' "$cache" "$1"; }

# Makes it, unless it is there with the same packages.
make_machine() {
  local platform=$1 root wanted mirror
  root=$(root_of "$platform")
  wanted="${suites[$platform]} $system $servers"
  [[ ! -e $root.packages || $(<"$root.packages") != "$wanted" ]] || return 0
  # shellcheck disable=SC2016
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
  say "making $platform in $root: some minutes"
  rm -rf "$root" "$root.new" "$root.packages"
  mkdir -p "$cache"
  if ! debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
    "${suites[$platform]}" "$root.new" "${mirror%/}" >"$root.log" 2>&1 ||
    ! unshare --mount --propagation private bash -c "$install" bash "$root.new" "$system" "$servers" >>"$root.log" 2>&1; then
    tail -n 20 "$root.log" >&2
    say "$platform: the machine cannot be made; $root.log has the rest"
    return 1
  fi
  mv "$root.new" "$root"
  printf '%s\n' "$wanted" >"$root.packages"
}

# $1: the root directory; $2, $3: packages
# shellcheck disable=SC2016
install='
set -euo pipefail
policy=$1/usr/sbin/policy-rc.d
printf "#!/bin/sh\nexit 101\n" >"$policy"
chmod 755 "$policy"
mount -t proc proc "$1/proc"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
chroot "$1" apt-get update -q
chroot "$1" apt-get install -q -y --no-install-recommends $2
chroot "$1" apt-get install -q -y --no-install-recommends $3
rm "$policy"
'
