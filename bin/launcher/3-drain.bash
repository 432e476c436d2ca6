# A login in a spool without a running drain.

# Sets p_node to the Node to run: the one that an installation may name here, one next to this file,
# or one on PATH.
find_node() {
  p_node=
  [[ -z $p_node ]] || return 0
  [[ $0 == "/"* ]] && p_self=$0 || p_self=$PWD/$0
  p_directory=$p_self
  [[ ! -L $p_directory ]] || p_directory=$(readlink -f -- "$p_directory")
  p_directory=${p_directory%"/"*}
  for p_node in "$p_directory/node" "$p_directory/../node_modules/node/bin/node"; do
    [[ -f $p_node && -x $p_node ]] && return
  done
  p_node=$(type -P node)
}

# Raises the memory limits as far as permitted. Fails if Node cannot start within them, and sets
# p_limit to the limit.
make_room() {
  local p_resource p_least
  for p_resource in v:1500000 d:700000; do
    p_least=${p_resource#*:} p_resource=${p_resource%:*}
    ulimit "-$p_resource" unlimited 2>/dev/null || ulimit "-S$p_resource" "$(ulimit "-H$p_resource")"
    p_limit=$(ulimit "-$p_resource")
    [[ $p_limit == unlimited ]] || ((p_limit >= p_least)) || return
  done
}

# Whether the drain is alive, according to the process table: a user may not be able to read another
# user's descriptors. The process id may have been reused, so .pid also contains the start time
# (proc(5), stat, field 22).
is_alive() {
  local p_line= p_pid p_start p_stat
  read_line p_line "$p_spool/.pid"
  p_pid=${p_line%% *} p_start=${p_line#* }
  [[ -n $p_pid && $p_pid != *[!0-9]* ]] && IFS= read -r p_stat <"/proc/$p_pid/stat" || return
  # shellcheck disable=SC2086 # into words
  set -- ${p_stat##*') '}
  [[ $1 != Z && ${20} == "$p_start" ]]
}

# Records why no drain is running, in the file in which a drain reports that the store is away:
# wrappers report it instead of waiting. With `set -C` and a name that cannot be guessed, even root
# in another user's spool writes to a new file.
leave_word() {
  local p_new=$p_spool/.away.$$${SRANDOM-}
  printf '%s\n' "$1" >"$p_new" && /bin/mv -fT -- "$p_new" "$p_spool/.away"
} 2>/dev/null

# What to do if the mail server's limits do not let Node start.
advice_on_room() {
  case $p_program:${IP+dovecot} in
    *"/script-login:"*) printf -v "$1" '%s' 'set vsz_limit = 1T for this service, or run popbsmtp serve' ;;
    *:dovecot) printf -v "$1" '%s' 'run popbsmtp serve beside Dovecot, or set mail_process_size = 0; see popbsmtp print dovecot 1' ;;
    *) printf -v "$1" '%s' 'raise the limit, or run popbsmtp serve' ;;
  esac
}

# Becomes a drain that inherits nothing from this process: no descriptor, no variable, no terminal,
# and as much memory as permitted. Runs in a process of its own that has no parent here.
become_drain() {
  local p_advice p_other
  PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}
  umask 022
  if ! find_node; then
    leave_word "no Node beside $p_self and none on PATH"
    return
  fi
  if ! make_room; then
    advice_on_room p_advice
    leave_word "Node does not start in $((p_limit / 1024)) MiB of memory: $p_advice"
    return
  fi
  for p_other in "$p_spool"/.start-*; do
    [[ $p_other == "$p_claim" ]] || /bin/rm -f -- "$p_other"
  done
  [[ $p_config == "/"* ]] || p_config=$PWD/$p_config
  set -- "$p_node" "$p_self"
  [[ ! -e $p_config ]] || set -- "$@" --config "$p_config"
  set -- "$@" drain --linger "$p_spool"
  [[ ! -x /usr/bin/setsid ]] || set -- /usr/bin/setsid "$@"
  cd /
  exec </dev/null >/dev/null 2>&1
  for p_other in /proc/self/fd/*; do
    p_other=${p_other##*[/]}
    ((p_other < 3)) || eval "exec $p_other>&-"
  done
  exec -c "$@"
}

# Starts a drain, at most one every second or two, however many users log in at once: the login that
# creates the file of this second starts it.
start_drain() {
  local p_second=${p_file##*[/]}
  p_second=${p_second%??????.*}
  p_claim=$p_spool/.start-$p_second
  [[ ! -e $p_spool/.start-$((p_second - 1)) ]] || return
  if [[ -O $p_spool ]]; then
    # printf, not ":", which ends a bash in POSIX mode if the file cannot be opened
    printf '' >"$p_claim" || return
  else
    # ln creates a link only where nothing exists, and does not follow links
    /bin/ln -sT . "$p_claim" || return
  fi
  (become_drain &)
}

if [[ -n $p_program && -z $p_relay ]]; then
  {
    if is_alive; then
      await_drain
      explain
    elif [[ -z $p_starts_drain ]]; then
      explain
    # not by EUID, which may come from the environment
    elif [[ ! -O $p_spool && ! -O / ]]; then
      p_trouble="nobody drains $p_spool, and this user does not own it: run popbsmtp drain as its owner"
    else
      # if starting drains has not helped so far, this login does not wait for another attempt
      explain
      start_drain
      if [[ -z $p_trouble ]]; then
        await_drain
        explain
      fi
    fi
  } 2>/dev/null
  become "$@"
fi
