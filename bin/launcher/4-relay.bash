# popbsmtp relay [--relayclient VALUE] [--wait MS] [--config FILE] PROGRAM [ARG]...
#
# Executes PROGRAM, for example qmail-smtpd, with RELAYCLIENT in its environment if the client may
# relay. A client is waiting to send mail, perhaps to this host: after any failure it may not relay,
# but PROGRAM runs. Another process does the lookup, and can be killed when it takes too long.

# Moves the next quoted string of p_line to p_value. Fails at a comment, or if there is none.
next_string() {
  [[ $p_line =~ ^[^\"\'#]*(\"[^\"]*\"|\'[^\']*\')(.*)$ ]] || return
  p_value=${BASH_REMATCH[1]:1:-1} p_line=${BASH_REMATCH[2]}
}

# Sets p_daemon to a port of the daemon, HOST/PORT, and p_protocol to its protocol; p_relay_ctrl to
# relay-ctrl's directory, if that is a store. This understands a part of TOML; Node finds the rest.
find_daemon() {
  local p_line p_value p_section= p_key= p_driver= p_path=
  while read -r p_line || [[ -n $p_line ]]; do
    case $p_line in
      '['*)
        p_section=${p_line%%]*}
        p_section=${p_section##*[}
        p_key= p_driver= p_path=/var/spool/relay-ctrl/allow
        continue
        ;;
      [a-z]*=*) p_key=${p_line%%[!a-z]*} ;;
    esac
    while next_string; do
      case $p_section.$p_key in
        serve.policy | serve.socketmap)
          [[ $p_value =~ ^(127[.][0-9.]+|\[(::1)\]):([0-9]+)$ ]] || continue
          # of the two, only the socketmap can report that the store is away
          [[ -n $p_daemon && $p_protocol == socketmap ]] || p_protocol=$p_key p_daemon=${BASH_REMATCH[2]:-${BASH_REMATCH[1]}}/${BASH_REMATCH[3]}
          ;;
        store.driver) p_driver=$p_value ;;
        store.path) p_path=$p_value ;;
      esac
      [[ $p_driver != relay-ctrl ]] || p_relay_ctrl=$p_path
    done
  done <"$p_config"
}

# Asks the daemon at p_daemon about p_address.
ask_daemon() {
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

# Lets Node ask the daemon at its other sockets, or the store.
ask_node() {
  PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}
  if ! find_node; then
    printf 'no Node beside %s and none on PATH\0' "$p_self"
  elif ! make_room; then
    printf 'Node does not start in %d MiB of memory\0' $((p_limit / 1024))
  elif [[ $p_config == /etc/popbsmtp/popbsmtp.toml ]]; then
    exec -c "$p_node" "$p_self" relay --ask "$p_address"
  else
    exec -c "$p_node" "$p_self" --config "$p_config" relay --ask "$p_address"
  fi
}

# Sets p_answer to the output of the process that writes to standard input, and ends that process.
take_answer() {
  local p_process=$!
  IFS= read -r -d '' -t "$p_patience" p_answer
  (($? <= 128)) || p_answer="no answer within $p_wait ms"
  kill -9 "$p_process"
  wait "$p_process"
}

# Whether p_address may relay. Sets p_trouble if that is unknown.
may_relay() {
  local p_answer= p_daemon= p_protocol= p_patience
  printf -v p_patience '%d.%03d' $((p_wait / 1000)) $((p_wait % 1000))
  find_daemon
  [[ -z $p_daemon ]] || take_answer < <(ask_daemon </dev/null)
  [[ -n $p_answer ]] || take_answer < <(ask_node </dev/null)
  case ${p_answer:=Node ended without an answer} in
    OK) return 0 ;;
    NO) return 1 ;;
  esac
  p_trouble="no relay, since nobody can tell whether $p_address may: ${p_answer//[^[:print:]]/?}"
  return 1
}

# Adds the strings that relay-ctrl-allow, or a drain, has written about p_address to p_set, as
# relay-ctrl-check does, but only the variables that these two write.
add_strings() {
  local p_string p_file=$p_relay_ctrl/$p_address p_count=0
  [[ -n $p_relay_ctrl && -f $p_file && ! -L $p_file ]] || return
  while ((p_count++ < 8)) && IFS= read -r -d '' -n 4096 p_string; do
    case $p_string in USER=* | DOMAIN=*) p_set+=("$p_string") ;; esac
  done < <(/bin/dd if="$p_file" iflag=nofollow,nonblock bs=8192 count=1)
}

p_octet='(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])'
if [[ -n $p_relay && -n ${1-} && $1 != -* ]]; then
  trap '' PIPE XFSZ
  p_program=$1 p_export= p_relay_ctrl= p_address=${TCPREMOTEIP-}
  p_plain=${p_address#::ffff:}
  [[ $p_plain == *[:%]* ]] || p_address=$p_plain
  if [[ $p_wait != [1-9]*([0-9]) || ${#p_wait} -gt 4 ]]; then
    p_complaint="--wait $p_wait: expected milliseconds, 1 to 9999; waiting 1000" p_wait=1000
  fi
  if [[ -z ${RELAYCLIENT+set} ]]; then
    if ! looks_like_address || [[ $p_address != *:* && ! $p_address =~ ^$p_octet([.]$p_octet){3}$ ]]; then
      p_trouble="no relay, since TCPREMOTEIP holds no IP address"
    elif may_relay 2>/dev/null; then
      p_set=("RELAYCLIENT=$p_relayclient")
      add_strings 2>/dev/null
    fi
  fi
  become "$@"
fi
