#!/bin/bash -p
':' /*
# popbsmtp: this half is bash, the half behind is JavaScript. bash never reads past its exit; Node sees these lines as a comment,
# which is why no pattern here may hold an asterisk and a slash side by side.
#
#   popbsmtp [--config FILE] [--wait MS | --no-wait] [--service S] [--export NAME] PROGRAM [ARG]...
#
# records the login that the environment describes and becomes PROGRAM. This half does that alone and forks nothing while a
# drain is alive: only a shell's exec keeps descriptors and process id, bash (unlike dash) keeps variables whose names are no
# identifiers, and bash starts under Dovecot's 256 MiB of address space, where Node cannot. For the same reasons
# `popbsmtp relay`, at the end, is here. All else is Node's.
#
# Somebody waits behind this program to read their mail. Whatever fails is said in one line on stderr; then comes the exec.
#
# bash parses as it goes, and parsing is most of what this costs: so what nearly every login needs stands first, up to the first
# `become`, and what is needed now and then stands behind it. Variables of this program begin with p_.
# -p: neither BASH_ENV nor functions in the environment are obeyed.

# Writes the login into the spool and waits until the drain has taken it away. Sets p_trouble to what went wrong; fails where
# nobody seems to be there to drain.
record() {
  case $p_service in *[!0-9A-Za-z._-]* | ????????????????????????????????*) p_service= ;; esac
  p_now=${EPOCHREALTIME-}
  p_now=${p_now//[!0-9]/}
  ((${#p_now} == 16)) || printf -v p_now '%(%s)T000000' -1
  p_file=$p_spool/$p_now.$$
  if [[ ! -O $p_spool ]]; then
    # the drain must be able to read what root writes; who may look into the spool is for its directory's mode to say
    { read -r && IFS=$' \t' read -r p_umask p_umask; } </proc/self/status
    umask 022
  fi
  set -C
  printf '1\0%s\0%s\0%s\0\n' "$p_address" "$p_service" "${p_user:0:1024}" >"$p_file" || {
    p_trouble="$p_spool: cannot write there: the login from $p_address is not recorded"
    # a full disk takes files as long as there is nothing in them
    [[ ! -e $p_file || -s $p_file ]] || /bin/rm -f -- "$p_file"
  }
  set +C
  [[ -z $p_umask ]] || umask "$p_umask"
  [[ -z $p_trouble ]] || return 0
  # .drain is a link to /proc/PID/fd/N of the drain, where it has .lock open while it is alive
  [[ $p_spool/.drain -ef $p_spool/.lock ]] || return
  away || ((p_wait == 0)) || await 9<>"$p_spool/.ack/$(($$ % 64))"
}

# Did a drain leave word that the store is away? Then there is nothing to wait for.
away() {
  [[ -s $p_spool/.away ]] || return
  IFS= read -r p_trouble <"$p_spool/.away"
  p_trouble="the login from $p_address waits in $p_spool: ${p_trouble//[^[:print:]]/?}"
}

# The file's disappearance says that the login is committed. The drain then writes a byte into one of the FIFOs in .ack, chosen
# by process id, so that nobody need look more often than every 10 ms; and a read from a FIFO that one holds open for writing,
# too (descriptor 9), is a sleep that costs no process. Fails after p_wait milliseconds.
await() {
  ((p_deadline = p_now + p_wait * 1000))
  while [[ -e $p_file ]]; do
    p_now=${EPOCHREALTIME-}
    p_now=${p_now//[!0-9]/}
    ((${#p_now} == 16)) || printf -v p_now '%(%s)T000000' -1
    if ((p_now >= p_deadline)); then
      p_trouble="the login from $p_address waits in $p_spool: not in the store within $p_wait ms"
      return 1
    fi
    away && return
    ${p_sleep:-read -rt 0.01 -u 9}
  done
}

# Becomes PROGRAM, with the variables in p_set as well. bash has variables of its own that hide, drop, change or add to those of the environment: where one of them
# is in it, env(1) restores everything at the price of one more exec.
become() {
  [[ -z $p_complaint$p_trouble ]] || printf 'popbsmtp: %s\n' "$p_complaint${p_complaint:+${p_trouble:+; }}$p_trouble" >&2
  [[ -z $p_address || -z $p_export ]] || p_set+=("$p_export=$p_address")
  { mapfile -d '' -t p_environ </proc/self/environ; } 2>/dev/null || p_pwd=1 p_shlvl=1
  local IFS=$'\n'
  case $'\n'${p_environ[*]} in
    *$'\n'BASH* | *$'\n'COMP_* | *$'\n'DIRSTACK=* | *$'\n'EPOCH* | *$'\n'FUNCNAME=* | *$'\n'GROUPS=* | *$'\n'HISTCMD=* | \
      *$'\n'IFS=* | *$'\n'LINENO=* | *$'\n'OPT* | *$'\n'PIPESTATUS=* | *$'\n'PPID=* | *$'\n'PS4=* | *$'\n'RANDOM=* | \
      *$'\n'REPLY=* | *$'\n'SECONDS=* | *$'\n'SHELLOPTS=* | *$'\n'SRANDOM=* | *$'\n'p_*)
      p_exact=1
      ;;
    *$'\n'PWD=* | *$'\n'OLDPWD=* | *$'\n'SHLVL=*)
      for p_entry in "${p_environ[@]}"; do
        case $p_entry in
          PWD=*) [[ ${p_entry:4} == "$PWD" ]] && p_pwd=1 || p_exact=1 ;;
          SHLVL=*) [[ ${p_entry:6} == $((SHLVL - 1)) ]] && p_shlvl=1 || p_exact=1 ;;
          OLDPWD=*) [[ ${p_entry:7} == "${OLDPWD-}" ]] || p_exact=1 ;;
        esac
      done
      ;;
  esac
  if [[ -n $p_exact && $1 != *=* && -x /usr/bin/env ]]; then
    for p_entry in "${!p_environ[@]}"; do
      [[ ${p_environ[p_entry]} == [!=]*=* ]] || unset 'p_environ[p_entry]'
    done
    trap - PIPE XFSZ
    exec /usr/bin/env -i -- "${p_environ[@]}" "${p_set[@]}" "$@"
  fi
  [[ -n $p_pwd ]] || export -n PWD
  # exec counts SHLVL down and exports it; what ends up in an array is not exported
  [[ -n $p_shlvl ]] || unset SHLVL
  [[ -n $p_shlvl ]] || declare -gn SHLVL='p_environ[0]'
  ((${#p_set[@]} == 0)) || export "${p_set[@]}"
  trap - PIPE XFSZ
  exec "$@"
}

# Is $1 four octets in decimal, without leading zeros?
ipv4() {
  local IFS=. p_octet
  case $1 in *[!0-9.]* | *.) return 1 ;; esac
  set -- $1
  (($# == 4)) || return
  for p_octet; do
    case $p_octet in
      [0-9] | [1-9][0-9] | 1[0-9][0-9] | 2[0-4][0-9] | 25[0-5]) ;;
      *) return 1 ;;
    esac
  done
}

p_config=/etc/popbsmtp/popbsmtp.toml p_spool=/var/spool/popbsmtp p_wait=200
p_service= p_export= p_trouble= p_umask= p_exact= p_pwd= p_shlvl= p_sleep= p_program= p_complaint= p_address= p_set=()
p_arguments=("$@")
while (($#)); do
  case $1 in
    --config | --wait | --service | --export)
      (($# > 1)) || break
      printf -v "p_${1:2}" %s "$2"
      shift
      ;;
    --config=* | --wait=* | --service=* | --export=*)
      p_option=${1%%=*}
      printf -v "p_${p_option:2}" %s "${1#*=}"
      ;;
    --no-wait) p_wait=0 ;;
    --)
      shift
      p_program=${1-}
      break
      ;;
    -*) p_complaint="$1: no such option, passed over; see popbsmtp --help" ;;
    *"/"*)
      p_program=$1
      break
      ;;
    *) break ;;
  esac
  shift
done

if [[ -n $p_program ]]; then
  trap '' PIPE XFSZ
  p_text=${IP:-${TCPREMOTEIP-}}
  # Dovecot 1.x asks imap for its capabilities once, at its start. While nobody is logged in, Courier sets AUTHENTICATED to nothing;
  # old versions, to be told by the other two, do not set it
  [[ -z ${DUMP_CAPABILITY+set} && ${AUTHENTICATED-somebody} != '' && ${AUTHUSER+${AUTHARGV0+.${AUTHENTICATED-}}} != . ]] || p_text=
  p_user=${AUTHENTICATED-${USER-}}
  # checkpassword and its like; in Dovecot's environment it would be any field of the userdb
  [[ -z ${DOMAIN-} || -n ${IP-} || -z $p_user || $p_user == *@* ]] || p_user+=@$DOMAIN
  [[ -n $p_service || ${p_program##*[/]} == script-login ]] || p_service=${p_program##*[/]}
  case $p_wait in
    [0-9] | [0-9][0-9] | [0-9][0-9][0-9] | [0-9][0-9][0-9][0-9]) p_wait=$((10#$p_wait)) ;;
    *) p_complaint="--wait $p_wait: expected milliseconds, 0 to 9999; waiting 200" p_wait=200 ;;
  esac
  if [[ -n $p_export ]] && [[ $p_export != [A-Za-z_]* || $p_export == *[!A-Za-z0-9_]* || $p_export == p_* || ${!p_export@a} == *r* ]]; then
    p_complaint="--export $p_export: not the name of a variable that can be set" p_export=
  fi

  # the spool's line has to stand at the top of the configuration, in front of any section
  if [[ -f $p_config && -r $p_config ]]; then
    while read -r p_line || [[ -n $p_line ]]; do
      case $p_line in
        '['*) break ;;
        spool[\ \	=]*[\"\'][!\"\']*)
          p_line=${p_line#*[\"\']}
          p_spool=${p_line%%[\"\']*}
          break
          ;;
      esac
    done <"$p_config"
  elif [[ $p_config != /etc/popbsmtp/popbsmtp.toml || -e $p_config ]]; then
    p_complaint="$p_config: cannot be read by this user; taking $p_spool for the spool"
  fi

  p_quad=${p_text#::ffff:}
  if [[ -z $p_text ]] || { ipv4 "$p_quad" && p_address=$p_quad && record 2>/dev/null; }; then
    become "$@"
  fi
fi

# Up to here for a login over IPv4 with a drain alive. From here on: IPv6, ...

# Appends the numbers of the colon-separated hexadecimal groups in $1 to p_groups.
groups() {
  local IFS=: p_group
  case $1 in
    '') return ;;
    :* | *:) return 1 ;;
  esac
  set -- $1
  for p_group; do
    ((${#p_group} >= 1 && ${#p_group} <= 4)) || return 1
    p_groups+=($((16#$p_group)))
  done
}

# Sets p_address to the canonical form of the IPv6 address $1: RFC 5952 as inet_ntop(3) writes it, IPv4-mapped as IPv4.
ipv6() {
  local p_text=${1,,} p_tail p_left p_i p_run p_best=0 p_at=8 IFS=' '
  local -a p_groups=()
  case $p_text in
    *:*%?*) p_text=${p_text%%%*} ;;
  esac
  ((${#p_text} <= 45)) || return
  case $p_text in
    *[!0-9a-f:.]* | *::*::* | *:::*) return ;;
    *:*.*)
      p_tail=${p_text##*:}
      p_text=${p_text%"$p_tail"}
      [[ $p_text != *.* ]] && ipv4 "$p_tail" || return
      set -- ${p_tail//./ }
      printf -v p_tail %x:%x $(($1 << 8 | $2)) $(($3 << 8 | $4))
      p_text+=$p_tail
      ;;
    *.*) return ;;
  esac
  case $p_text in
    *::*)
      groups "${p_text%%::*}" || return
      p_left=${#p_groups[@]}
      groups "${p_text#*::}" || return
      ((${#p_groups[@]} < 8)) || return
      while ((${#p_groups[@]} < 8)); do
        p_groups=("${p_groups[@]:0:p_left}" 0 "${p_groups[@]:p_left}")
      done
      ;;
    *:*)
      groups "$p_text" || return
      ((${#p_groups[@]} == 8)) || return
      ;;
    *) return ;;
  esac
  set -- "${p_groups[@]}"
  if (($1 + $2 + $3 + $4 + $5 == 0 && ($6 == 0xffff || $6 == 0 && $7 > 0))); then
    printf -v p_address %d.%d.%d.%d $(($7 >> 8)) $(($7 & 255)) $(($8 >> 8)) $(($8 & 255))
    (($6)) || p_address=::$p_address
    return
  fi
  # the longest run of at least two zeros, the first of equals, becomes "::"
  for ((p_i = 0; p_i < 8; p_i += p_run + 1)); do
    p_run=0
    while ((p_i + p_run < 8 && p_groups[p_i + p_run] == 0)); do ((p_run += 1)); done
    ((p_run > 1 && p_run > p_best)) && p_best=$p_run p_at=$p_i
  done
  p_left= p_tail=
  ((p_at == 0)) || printf -v p_left :%x "${p_groups[@]:0:p_at}"
  ((p_at + p_best == 8)) || printf -v p_tail :%x "${p_groups[@]:p_at+p_best}"
  p_address=${p_left#:}
  ((p_best == 0)) || p_address+=:${p_tail:-:}
}

if [[ -n $p_program && -z $p_address ]]; then
  ipv6 "$p_text"
  [[ -n $p_address ]] || p_trouble="neither IP nor TCPREMOTEIP holds an IP address: no login is recorded"
  if [[ -z $p_address ]] || record 2>/dev/null; then
    become "$@"
  fi
fi

# ... a spool that nobody drains, and the commands that are Node's.

# Is the drain alive? Asked of the process table, for those who may not look at another user's descriptors. Its process id may
# have gone to somebody else: the file .pid tells the start time, too (proc(5), stat, field 22).
alive() {
  p_pid=
  read -r p_pid p_start <"$p_spool/.pid"
  [[ -n $p_pid ]] && IFS= read -r p_stat <"/proc/$p_pid/stat" || return
  set -- ${p_stat##*') '}
  [[ $1 != Z && ${20} == "$p_start" ]]
}

# Sets p_node to the Node to run: the one that the installation may name here, one beside this file, or one on PATH.
node() {
  p_node=
  [[ -z $p_node ]] || return 0
  [[ $0 == "/"* ]] && p_self=$0 || p_self=$PWD/$0
  p_file=$p_self
  [[ ! -L $p_file ]] || p_file=$(readlink -f -- "$p_file")
  p_file=${p_file%"/"*}
  for p_node in "$p_file/node" "$p_file/../node_modules/node/bin/node"; do
    [[ -f $p_node && -x $p_node ]] && return
  done
  p_node=$(type -P node)
}

# Leaves word why nobody drains, as a drain does when the store is away: whoever is about to wait reads it, and says it.
# Under `set -C`, as drain is: what is written is a new file, also for a root whose spool is another user's.
leave_word() {
  /bin/rm -f -- "$p_spool/.away"
  printf '%s\n' "$1" >"$p_spool/.away"
} 2>/dev/null

# Takes as much address space as it may have. Sets p_limit to that; fails where Node does not start in it.
room() {
  ulimit -v unlimited 2>/dev/null || ulimit -Sv "$(ulimit -Hv)"
  p_limit=$(ulimit -v)
  [[ $p_limit == unlimited ]] || ((p_limit >= 1500000))
}

# Becomes a drain that has nothing of this process: no descriptor, no variable, no terminal, and as much address space as it
# may have. Runs in a process of its own that is nobody's child.
drain() {
  PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}
  if ! node; then
    leave_word "no Node beside $p_self and none on PATH"
    return
  fi
  if ! room; then
    leave_word "Node does not start in $((p_limit / 1024)) MiB of address space: set vsz_limit = 1T for this service, or see to it that popbsmtp drain runs"
    return
  fi
  for p_file in "$p_spool"/.start-*; do
    [[ $p_file == "$p_claim" ]] || /bin/rm -f -- "$p_file"
  done
  set --
  [[ ! -x /usr/bin/setsid ]] || set -- /usr/bin/setsid
  [[ $p_config == "/"* ]] || p_config=$PWD/$p_config
  [[ ! -e $p_config ]] || set -- "$@" "$p_node" "$p_self" --config "$p_config" drain --linger "$p_spool"
  [[ -e $p_config ]] || set -- "$@" "$p_node" "$p_self" drain --linger "$p_spool"
  cd /
  exec </dev/null >/dev/null 2>&1
  for p_file in /proc/self/fd/*; do
    p_file=${p_file##*[/]}
    ((p_file < 3)) || eval "exec $p_file>&-"
  done
  exec -c "$@"
}

if [[ -n $p_program ]]; then
  # one start every second or two, however many log in at once: it is for the one who creates this second's file
  p_claim=${p_file##*[/]}
  p_claim=${p_claim%??????.*}
  p_last=$p_spool/.start-$((p_claim - 1)) p_claim=$p_spool/.start-$p_claim
  if ! alive 2>/dev/null; then
    # not by EUID: that may be the environment's, and anything
    if [[ ! -O $p_spool && ! -O / ]]; then
      p_trouble="nobody drains $p_spool, and this user does not own it: run popbsmtp drain as its owner"
    else
      away
      set -C
      # printf, not ":": where that cannot open its file a bash in POSIX mode ends
      [[ ! -e $p_last ]] && { printf '' >"$p_claim"; } 2>/dev/null && (drain &)
      set +C
    fi
  fi
  if [[ -z $p_trouble ]] && ((p_wait)); then
    p_fifo=$p_spool/.ack/$(($$ % 64))
    if [[ -p $p_fifo ]]; then
      await 9<>"$p_fifo"
    else
      # the first drain ever makes the FIFOs
      p_sleep='/bin/sleep 0.01'
      await
    fi
  fi
  become "$@"
fi

# popbsmtp relay [--relayclient VALUE] [--wait MS] [--config FILE] PROGRAM [ARG]...
#
# becomes PROGRAM, qmail-smtpd for one, with RELAYCLIENT in its environment where the client may relay. Somebody waits to send mail,
# perhaps to this very host: whatever fails, they may not relay, and that is all. Looking up is for another process, which can be
# killed when it takes too long, whatever it is that hangs.

# Sets p_daemon to a port of the daemon's, HOST/PORT, and p_protocol to what is spoken there; p_directory to relay-ctrl's, where
# that is a store. This is not all that TOML can say; what is not recognized here, Node finds.
places() {
  local p_line p_section= p_key= p_driver= p_path=
  local p_port="[\"'](127[.][0-9.]+|\\[(::1)\\]):([0-9]+)[\"']"
  while read -r p_line || [[ -n $p_line ]]; do
    case $p_line in
      '#'*) continue ;;
      '['*)
        p_section=${p_line%%]*}
        p_section=${p_section##*[}
        p_key= p_driver= p_path=/var/spool/relay-ctrl/allow
        ;;
      [a-z]*=*)
        p_key=${p_line%%[!a-z]*}
        ;;
    esac
    case $p_section.$p_key in
      serve.policy | serve.socketmap)
        [[ $p_line =~ $p_port ]] || continue
        # of the two this one can say that the store is away
        [[ -n $p_daemon && $p_protocol == socketmap ]] || p_protocol=$p_key p_daemon=${BASH_REMATCH[2]:-${BASH_REMATCH[1]}}/${BASH_REMATCH[3]}
        ;;
      store.driver | store.path)
        [[ $p_line == *=*[\"\']*[\"\']* ]] || continue
        p_line=${p_line#*[\"\']}
        printf -v "p_$p_key" %s "${p_line%%[\"\']*}"
        [[ $p_driver != relay-ctrl ]] || p_directory=$p_path
        ;;
    esac
  done <"$p_config"
}

# Asks the daemon at p_daemon about p_address.
question() {
  exec 3<>"/dev/tcp/$p_daemon" || return
  if [[ $p_protocol == policy ]]; then
    printf 'request=smtpd_access_policy\nclient_address=%s\n\n' "$p_address" >&3
    IFS= read -r p_answer <&3
  else
    p_answer="relay $p_address"
    printf '%d:%s,' "${#p_answer}" "$p_answer" >&3
    IFS= read -r -d , p_answer <&3
  fi
  case $p_answer in
    action=OK | 5:OK\ OK) printf 'OK\0' ;;
    action=DUNNO | 9:NOTFOUND\ ) printf 'NO\0' ;;
    *:TEMP\ ?*) printf '%s\0' "${p_answer#*:TEMP }" ;;
  esac
}

# Has Node ask: the daemon at its other sockets, or the store.
consult() {
  PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}
  if ! node; then
    printf 'no Node beside %s and none on PATH\0' "$p_self"
  elif ! room; then
    printf 'Node does not start in %d MiB of address space\0' $((p_limit / 1024))
  elif [[ $p_config == /etc/popbsmtp/popbsmtp.toml ]]; then
    exec -c "$p_node" "$p_self" relay --ask "$p_address"
  else
    exec -c "$p_node" "$p_self" --config "$p_config" relay --ask "$p_address"
  fi
}

# Sets p_answer to what the process says that writes to standard input. That is gone when this returns.
answer() {
  local p_process=$!
  IFS= read -r -d '' -t "$p_patience" p_answer
  (($? <= 128)) || p_answer="no answer within $p_wait ms"
  kill -9 "$p_process"
  wait "$p_process"
}

# May p_address relay? Sets p_trouble where nobody can tell.
authorized() {
  local p_answer= p_daemon= p_protocol= p_patience
  printf -v p_patience '%d.%03d' $((p_wait / 1000)) $((p_wait % 1000))
  places
  [[ -z $p_daemon ]] || answer < <(question </dev/null)
  [[ -n $p_answer ]] || answer < <(consult </dev/null)
  case ${p_answer:=Node ended without an answer} in
    OK) return 0 ;;
    NO) return 1 ;;
  esac
  p_trouble="no relay, since nobody can tell whether $p_address may: ${p_answer//[^[:print:]]/?}"
  return 1
}

# Puts the strings that relay-ctrl-allow, or a drain, has written about p_address into p_set, as relay-ctrl-check does; but only those
# that these write.
strings() {
  local p_string p_file=$p_directory/$p_address p_count=0
  [[ -n $p_directory && -f $p_file && ! -L $p_file ]] || return
  while ((p_count++ < 8)) && IFS= read -r -d '' -n 4096 p_string; do
    case $p_string in USER=* | DOMAIN=*) p_set+=("$p_string") ;; esac
  done <"$p_file"
}

if [[ ${1-} == relay ]]; then
  p_relayclient=${RELAY_CTRL_RELAYCLIENT-} p_wait=1000 p_export= p_directory=
  while (($# > 1)); do
    shift
    case $1 in
      --relayclient | --wait | --config)
        (($# > 1)) || break
        printf -v "p_${1:2}" %s "$2"
        shift
        ;;
      --relayclient=* | --wait=* | --config=*)
        p_option=${1%%=*}
        printf -v "p_${p_option:2}" %s "${1#*=}"
        ;;
      -h | --help | --ask) break ;;
      --)
        shift
        p_program=${1-}
        break
        ;;
      -*) p_complaint="$1: no such option, passed over; see popbsmtp --help" ;;
      *)
        p_program=$1
        break
        ;;
    esac
  done
  if [[ -n $p_program ]]; then
    case $p_wait in
      [1-9] | [1-9][0-9] | [1-9][0-9][0-9] | [1-9][0-9][0-9][0-9]) ;;
      *) p_complaint="--wait $p_wait: expected milliseconds, 1 to 9999; waiting 1000" p_wait=1000 ;;
    esac
    if [[ -z ${RELAYCLIENT+set} ]]; then
      p_text=${TCPREMOTEIP-} p_quad=${TCPREMOTEIP#::ffff:}
      ipv4 "$p_quad" && p_address=$p_quad || ipv6 "$p_text"
      if [[ -z $p_address ]]; then
        p_trouble="no relay, since TCPREMOTEIP holds no IP address"
      elif authorized 2>/dev/null; then
        p_set=("RELAYCLIENT=$p_relayclient")
        strings 2>/dev/null
      fi
    fi
    become "$@"
  fi
fi

# the daemon stays, and is to be small: see also src/start.ts. One arena (mallopt(3)) will do for what Node does outside its heap.
p_flags=()
if [[ ${1-} == serve ]]; then
  export MALLOC_ARENA_MAX=1
  p_flags=(--max-semi-space-size=1)
fi
node && exec "$p_node" "${p_flags[@]}" "$p_self" "${p_arguments[@]}"
printf 'popbsmtp: needs Node 24.15 or later: none beside %s and none on PATH\n' "$0" >&2
exit 78
*/
