#!/bin/bash
# systemctl of a machine without systemd: checks units as systemd does, and starts those of popbsmtp with their own sockets and user.
set -euo pipefail
units=/etc/systemd/system

setting() { sed -n "s/^$1=//p" "$2"; }

# The words of ExecStart, as the unit's user, with the sockets of the unit open.
start() {
  local unit=$units/$1 user names=() listen=() socket
  user=$(setting User "$unit")
  for socket in $(setting Sockets "$unit"); do
    [[ -e $units/$socket ]] || continue
    names+=("$(setting FileDescriptorName "$units/$socket")")
    listen+=(--listen "$(setting ListenStream "$units/$socket")")
    mkdir -p "$(dirname "${listen[-1]}")"
  done
  set -- setpriv --reuid "$user" --regid "$user" --init-groups
  if ((${#names[@]})); then
    set -- systemd-socket-activate "${listen[@]}" --fdname "$(IFS=: && echo "${names[*]}")" "$@"
  fi
  # shellcheck disable=SC2046
  setsid "$@" $(setting ExecStart "$unit") </dev/null >"/var/log/${unit##*/}.log" 2>&1 &
  echo $! >"/run/${unit##*/}.pid"
  for socket in $(setting Sockets "$unit"); do
    [[ -e $units/$socket ]] || continue
    until [[ -S $(setting ListenStream "$units/$socket") ]]; do sleep 0.02; done
    chmod "$(setting SocketMode "$units/$socket")" "$(setting ListenStream "$units/$socket")"
    user=$(setting SocketGroup "$units/$socket")
    [[ -z $user ]] || chgrp "$user" "$(setting ListenStream "$units/$socket")"
  done
  # systemd-socket-activate waits for the first connection
  if ((${#names[@]})); then
    curl -s -m 1 --unix-socket "${listen[-1]}" http://localhost/ >/dev/null || true
    until [[ -e /var/spool/popbsmtp/.pid ]]; do sleep 0.02; done
  fi
}

stop() {
  local pid
  [[ -e /run/$1.pid ]] || return 0
  pid=$(<"/run/$1.pid")
  kill "$pid"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
  rm "/run/$1.pid"
}

case $1 in
  daemon-reload)
    shopt -s nullglob
    files=("$units"/popbsmtp*)
    ((${#files[@]} == 0)) || systemd-analyze verify "${files[@]}"
    ;;
  enable | disable)
    [[ $2 == --now ]]
    for unit in "${@:3}"; do
      [[ -e $units/$unit || -e $units/$unit.service ]]
      case $1:$unit in
        enable:*.service) start "$unit" ;;
        disable:*.service) stop "$unit" ;;
      esac
    done
    ;;
  *) exit 64 ;;
esac
