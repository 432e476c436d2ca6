# An unusual login, or one that 1-login.bash could not finish.

# Finds the user and the address of the login. Fails if there is no login to record.
identify() {
  # Dovecot 1 starts imap once to ask for its capabilities. Courier's AUTHENTICATED is empty until a
  # user has logged in; its old versions, which set the other two variables, do not set it at all
  [[ -z ${DUMP_CAPABILITY+set} && -n ${AUTHENTICATED-somebody} ]] || return
  [[ ${AUTHUSER+${AUTHARGV0+.${AUTHENTICATED-}}} != . ]] || return
  p_user=${AUTHENTICATED-${USER-}}
  # set by checkpassword programs; in Dovecot's environment, DOMAIN could be any field of the userdb
  [[ -z ${DOMAIN-} || -n ${IP-} || -z $p_user || $p_user == *@* ]] || p_user+=@$DOMAIN
  looks_like_address && return
  p_address=
  p_trouble="neither IP nor TCPREMOTEIP holds an IP address: no login is recorded"
  return 1
}

# Whether p_address may be an address. Removes the zone of an IPv6 address.
looks_like_address() {
  [[ $p_address != *:*%?* ]] || p_address=${p_address%%[%]*}
  [[ $p_address == *[.:]* && -z ${p_address//[0-9A-Fa-f.:]/}${p_address:45} ]]
}

# Reports invalid options, and uses their defaults.
check_options() {
  case $p_wait in
    [0-9] | [0-9][0-9] | [0-9][0-9][0-9] | [0-9][0-9][0-9][0-9]) p_wait=$((10#$p_wait)) ;;
    *) p_complaint="--wait $p_wait: expected milliseconds, 0 to 9999; waiting 200" p_wait=200 ;;
  esac
  if [[ -n $p_export ]] && [[ $p_export != [A-Za-z_]* || $p_export == *[!A-Za-z0-9_]* || $p_export == p_* || ${!p_export@a} == *r* ]]; then
    p_complaint="--export $p_export: not the name of a variable that can be set" p_export=
  fi
}

# In a spool of another user, its owner (or any user, with mode 1733) can put links and FIFOs in the
# way of this process: bash follows links, and waits for FIFOs. So there the login's file has a name
# that cannot be guessed, dd reads other files, and an idle socket replaces the FIFO. For the other
# precautions see src/system/privileges.ts.

# Sets the variable $1 to the first line of the file $2.
read_line() {
  local p_bytes
  if [[ -O $p_spool ]]; then
    IFS= read -rn 500 "$1" <"$2"
  else
    p_bytes=$(/bin/dd if="$2" iflag=nofollow,nonblock bs=512 count=1)
    printf -v "$1" %s "${p_bytes%%$'\n'*}"
  fi
}

# Writes the login into the spool. Sets p_written, or p_trouble.
record() {
  local p_umask= p_number=$$
  if [[ -z $p_file ]]; then
    if [[ ! -O $p_spool ]]; then
      [[ ${SRANDOM:-x} == *[!0-9]* ]] || p_number=$SRANDOM
      # the drain must be able to read root's file; the mode of the spool's directory protects it
      # from other users
      { read -r && IFS=$' \t' read -r p_umask p_umask; } </proc/self/status
      umask 022
    fi
    p_file=$p_spool/${EPOCHREALTIME/[!0-9]/}.$p_number
    printf '1\0%s\0%s\0%s\0\n' "$p_address" "${p_service:0:32}" "${p_user:0:1024}" >"$p_file" && p_written=1
    [[ -z $p_umask ]] || umask "$p_umask"
  fi
  [[ -z $p_written ]] || return 0
  p_trouble="$p_spool: cannot write there: the login from $p_address is not recorded"
  # a full file system accepts empty files
  [[ ! -e $p_file ]] || /bin/rm -f -- "$p_file"
  return 1
}

# Waits, as 1-login.bash does, until the login has been drained, the store is away, or the time is
# up.
await_drain() {
  local p_fifo=$p_spool/.ack/$(($$ % 64)) p_pause=0.01 p_ms=10
  if [[ ! -O $p_spool ]]; then
    # this socket never receives anything, so this looks at the file more often
    p_pause=0.002 p_ms=2
    await 9<>/dev/udp/127.0.0.1/9 || await /bin/sleep $p_pause
  # the first drain creates the FIFOs
  elif [[ -p $p_fifo ]]; then
    await 9<>"$p_fifo"
  else
    await /bin/sleep $p_pause
  fi
}

await() {
  while [[ -e $p_file && ! -s $p_spool/.away ]] && ((p_waited < p_wait)); do
    if (($#)); then "$@"; ((p_waited += p_ms)); else
      read -rt "$p_pause" -u 9
      ((p_waited += $? ? p_ms : 1))
    fi
  done
  return 0
}

# Sets p_trouble to the report of a drain, or to where the login waits, unless the machine is merely
# busy or a drain has just been started.
explain() {
  local p_since
  if [[ -e $p_file && -s $p_spool/.away ]]; then
    read_line p_trouble "$p_spool/.away"
    p_trouble="the login from $p_address waits in $p_spool: ${p_trouble//[^[:print:]]/?}"
  elif [[ -e $p_file && $p_wait != 0 ]] && waiting_for_long; then
    p_trouble="the login from $p_address waits in $p_spool, where the oldest has waited for $p_since s: run popbsmtp drain as root to see why"
  elif [[ -s $p_spool/.notice ]]; then
    read_line p_trouble "$p_spool/.notice"
    p_trouble=${p_trouble//[^[:print:]]/?}
  fi
}

# Whether a login in the spool is so old that a drain should have written it; cron may start one a
# minute. Sets p_since.
waiting_for_long() {
  local p_entries=("$p_spool"/[0-9]*.*) p_oldest
  p_oldest=${p_entries[0]##*[/]}
  [[ $p_oldest == ??????????[0-9][0-9][0-9][0-9][0-9][0-9].* && $p_oldest != *[!0-9.]* ]] || return
  p_since=$((EPOCHSECONDS - ${p_oldest:0:10}))
  ((p_since >= (${#p_starts_drain} ? 10 : 150)))
}

# Executes PROGRAM, with the variables in p_set added. bash has variables of its own that hide,
# drop, change or add to those of the environment: if one of them is set, env(1) restores the
# environment at the price of one more exec.
become() {
  local p_entry p_exact= p_pwd= p_shlvl=
  [[ -z $p_complaint$p_trouble ]] || printf 'popbsmtp: %s\n' "$p_complaint${p_complaint:+${p_trouble:+; }}$p_trouble" >&2
  [[ -z $p_address || -z $p_export ]] || p_set+=("$p_export=$p_address")
  case $p_joined in
    ^) [[ -r /proc/self/environ ]] || p_pwd=1 p_shlvl=1 ;;
    *^BASH* | *^COMP_* | *^DIRSTACK=* | *^EPOCH* | *^FUNCNAME=* | *^GROUPS=* | *^HISTCMD=* | *^IFS=* | *^LINENO=* | *^OPT* | \
      *^PIPESTATUS=* | *^PPID=* | *^PS4=* | *^RANDOM=* | *^REPLY=* | *^SECONDS=* | *^SHELLOPTS=* | *^SRANDOM=* | *^p_*) p_exact=1 ;;
    *^PWD=* | *^OLDPWD=* | *^SHLVL=*)
      for p_entry in "${p_environ[@]}"; do
        case $p_entry in
          PWD=*) [[ ${p_entry:4} == "$PWD" ]] && p_pwd=1 || p_exact=1 ;;
          SHLVL=*) [[ ${p_entry:6} == $((SHLVL - 1)) ]] && p_shlvl=1 || p_exact=1 ;;
          OLDPWD=*) [[ ${p_entry:7} == "${OLDPWD-}" ]] || p_exact=1 ;;
        esac
      done
      ;;
  esac
  trap - PIPE XFSZ
  if [[ -n $p_exact && $1 != *=* && -x /usr/bin/env ]]; then
    for p_entry in "${!p_environ[@]}"; do
      [[ ${p_environ[p_entry]} == [!=]*=* ]] || unset 'p_environ[p_entry]'
    done
    # with the variables as arguments only (-c), env accepts nearly as many of them as PROGRAM; if
    # that fails, PROGRAM had better start with a few changed variables than not at all
    shopt -s execfail
    # shellcheck disable=SC2093 # goes on where that fails
    exec -c /usr/bin/env -i -- "${p_environ[@]}" "${p_set[@]}" "$@"
    shopt -u execfail
  fi
  [[ -n $p_pwd ]] || export -n PWD
  # exec decrements SHLVL and exports it, but not an element of an array
  [[ -n $p_shlvl ]] || unset SHLVL
  [[ -n $p_shlvl ]] || declare -gn SHLVL='p_environ[0]'
  ((${#p_set[@]} == 0)) || export "${p_set[@]}"
  exec "$@"
}

p_set=()
if [[ -n $p_program && -z $p_relay ]]; then
  trap '' PIPE XFSZ
  set -C
  check_options
  {
    if identify && record; then
      [[ ! $p_spool/.drain -ef $p_spool/.lock ]] || p_alive=1
      [[ -z $p_alive ]] || await_drain
      [[ -z $p_alive ]] || explain
    fi
  } 2>/dev/null
  [[ -n $p_written && -z $p_alive ]] || become "$@"
fi
