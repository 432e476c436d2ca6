#!/bin/bash
# Boots a machine and runs the tests in it: run.bash PLATFORM WORK. WORK/packages has the packages. In a mount namespace
# of its own: the machine is an overlay on what debootstrap has made, and gone afterwards.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=test/platforms/machine.bash
source ./machine.bash
platform=$1
work=$2/$platform
root=$work/root
nspawn=''

# What root runs in the machine.
inside() {
  nsenter --target "$machine" --mount --pid --net --uts --ipc --cgroup --root --wd \
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
}

# Boots it, and waits for systemd.
boot() {
  local tries state
  # without --register and a unit of its own, there need be no systemd here
  systemd-nspawn --quiet --directory="$root" --machine="$platform" --private-network --register=no --keep-unit \
    --resolv-conf=off --boot >"$work/console" 2>&1 </dev/null &
  nspawn=$!
  machine=''
  for ((tries = 0; tries < 480; tries++)); do
    kill -0 "$nspawn" 2>/dev/null || break
    machine=$(pgrep --parent "$nspawn" | head -n 1) || machine=''
    if [[ -n $machine ]]; then
      case $(inside timeout 5 systemctl is-system-running 2>/dev/null) in
        running | degraded) break ;;
      esac
    fi
    sleep 0.25
  done
  state=$(inside timeout 5 systemctl is-system-running 2>&1) || true
  if [[ $state != running ]]; then
    say "$platform: the machine does not boot: ${state:-systemd-nspawn has ended}"
    inside timeout 5 systemctl --failed --no-legend --plain || tail -n 20 "$work/console"
    return 1
  fi
  inside ip -batch - < <(
    printf 'address add 192.0.2.%s/32 dev lo\n' 1 {10..99}
    printf 'address add 2001:db8::%s/128 dev lo nodad\n' 1 {10..99}
  )
}

# shellcheck disable=SC2317
stop() {
  [[ -n $nspawn ]] || return 0
  # it powers the machine off
  kill "$nspawn" 2>/dev/null || true
  for ((tries = 0; tries < 80; tries++)); do
    kill -0 "$nspawn" 2>/dev/null || return 0
    sleep 0.25
  done
  kill -9 "$machine" "$nspawn" 2>/dev/null || true
}
trap stop EXIT

mkdir -p "$work" && mount -t tmpfs -o mode=755 tmpfs "$work"
mkdir "$work"/{root,upper,work}
mount -t overlay -o "lowerdir=$(root_of "$platform"),upperdir=$work/upper,workdir=$work/work" overlay "$root"
cp "$2"/packages/*.deb "$root/root"
cp -r guest "$root/root/guest"
printf 'mail\n' >"$root/etc/hostname"
printf '192.0.2.1 mail.example.org mail\n127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"

# systemd-nspawn refuses to empty its directory there on a disk
mkdir -p /run/systemd
mount -t tmpfs -o mode=755 tmpfs /run/systemd

say "$platform: booting"
boot

failed=0
for part in guest/[0-9]*.bash; do
  part=${part##*/}
  printf '== %s: %s\n' "$platform" "${part%.bash}"
  if [[ $part = *reboot* ]]; then
    inside systemctl reboot
    # with --keep-unit, it leaves the restart to whoever has started it: status 133
    reason=0
    wait "$nspawn" || reason=$?
    if ((reason != 133)); then
      say "$platform: the machine does not reboot: systemd-nspawn ended with $reason"
      exit 1
    fi
    boot
  fi
  # a part that hangs fails, even on a busy host
  inside timeout --kill-after=10 900 bash "/root/guest/$part" || {
    failed=1
    [[ $part != 1* ]] || break
  }
done
exit "$failed"
