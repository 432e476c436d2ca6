#!/bin/bash
# Makes the machine of machine.ts in a directory, in namespaces of its own: start.bash DIRECTORY CHECKOUT. The file DIRECTORY/ready
# says that it is there; all its processes end with this one.
set -euo pipefail
cd "$1"
mount -t tmpfs -o mode=755 tmpfs layers
mkdir layers/{upper,work,root,checkout-upper,checkout-work}
mount -t overlay -o lowerdir=/,upperdir=layers/upper,workdir=layers/work overlay layers/root
root=$1/layers/root
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
# a /dev without /dev/log, which is for rsyslog to make
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom; do
  touch "$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done
ln -s /proc/self/fd "$root/dev/fd"
mkdir "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mkdir -m 1777 "$root/dev/shm" "$root/run/lock"

# where nobody but root may look, as is usual
mkdir -p "$root/root/popbsmtp"
mount -t overlay -o "lowerdir=$2,upperdir=layers/checkout-upper,workdir=layers/checkout-work" overlay "$root/root/popbsmtp"
# npm has nothing to fetch, and could not
touch "$root/root/popbsmtp/node_modules/.package-lock.json"

hostname mail.example.org
ip link set lo up
for address in 192.0.2.10 192.0.2.11 192.0.2.12; do
  ip address add "$address/32" dev lo
done
chroot "$root" /bin/bash -c 'cd / && bash /root/popbsmtp/test/support/machine/servers.bash'
touch ready
exec chroot "$root" /bin/bash -c 'sleep infinity & wait'
