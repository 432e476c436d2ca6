#!/bin/bash -p
# shellcheck disable=SC2034,SC2125
p_javascript=''/*
# popbsmtp [--config FILE] [--wait MS | --no-wait] [--no-drain] [--service S] [--export NAME]
#     PROGRAM [ARG]...
#
# Records the login that the environment describes, and executes PROGRAM. bash does that alone,
# without a fork: only a shell's exec keeps descriptors and the process id; bash, unlike dash, keeps
# variables whose names are not identifiers; and bash starts within Dovecot's limit of 256 MiB of
# address space, where Node cannot. A user waits for this program to read their mail: any failure is
# reported in one line on stderr, and the exec follows.
#
# This page is what nearly every login needs, and nothing else. Parsing takes most of the time;
# functions and `case` cost most, comments nothing. 2-unusual.bash handles the other cases. The
# names of all variables begin with p_.

# The options, up to PROGRAM: the first word that contains a "/", or the word after "--"
p_config=/etc/popbsmtp/popbsmtp.toml p_spool=/var/spool/popbsmtp p_wait=200 p_starts_drain=1 p_service= p_export= p_relay= p_complaint=
p_relayclient=${RELAY_CTRL_RELAYCLIENT-} p_words=("$@")
while [[ ${1-} == -?* && $1 != -- || ${1-} == relay ]]; do
  p_option=${1%%=*} p_value=${1#*=}
  case $p_option in
    --no-wait) p_wait=0 ;;
    --no-drain) p_starts_drain= ;;
    --config | --wait | --service | --export | --relayclient)
      if [[ $1 != *=* ]]; then
        (($# > 1)) || break
        p_value=$2
        shift
      fi
      printf -v "p_${p_option:2}" %s "$p_value"
      ;;
    relay) p_relay=1 p_wait=1000 ;;
    --ask) break ;;
    *) p_complaint="$1: unknown option, ignored; see popbsmtp --help" ;;
  esac
  shift
done
p_program=
[[ ${1-} != *"/"* ]] || p_program=$1
[[ ${1-} != -- ]] || { shift && p_program=${1-}; }

# The spool's path: a line of its own at the top of the configuration, above any section
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

# bash has variables of its own that hide, drop or change those of the environment; if one of them
# is set, the exec needs more care
p_environ=() p_special=
[[ ! -r /proc/self/environ ]] || mapfile -d '' -t p_environ </proc/self/environ
printf -v p_joined ^%s "${p_environ[@]}"
case $p_joined in
  *^BASH* | *^COMP_* | *^DIRSTACK=* | *^EPOCH* | *^FUNCNAME=* | *^GROUPS=* | *^HISTCMD=* | *^IFS=* | *^LINENO=* | *^OPT* | \
    *^PIPESTATUS=* | *^PPID=* | *^PS4=* | *^RANDOM=* | *^REPLY=* | *^SECONDS=* | *^SHELLOPTS=* | *^SRANDOM=* | *^p_* | \
    *^PWD=* | *^OLDPWD=* | *^SHLVL=* | ^) p_special=1 ;;
esac

# The login. Only the characters of the address are checked here; the drain finds its canonical
# spelling
p_address=${IP:-${TCPREMOTEIP-}} p_user=${USER-}
p_plain=${p_address#::ffff:}
[[ $p_plain == *[:%]* ]] || p_address=$p_plain
p_service=${p_service:-${p_program##*[/]}} p_file= p_written= p_alive= p_waited=0
if [[ $p_program && $p_address == *[.:]* && -O $p_spool && -z $p_relay$p_special$p_export$p_complaint\
${DUMP_CAPABILITY+1}${AUTHENTICATED+1}${AUTHUSER+1}${DOMAIN-}${p_wait//[0-9]}${p_wait:4}${p_address//[0-9A-Fa-f.:]}${p_address:45} ]]
then
  # neither a full file system nor a file size limit may end this process
  trap '' XFSZ
  # the time of the login in microseconds, and the process id, are a unique name
  set -C
  p_file=$p_spool/${EPOCHREALTIME/[!0-9]/}.$$
  {
    printf '1\0%s\0%s\0%s\0\n' "$p_address" "${p_service:0:32}" "${p_user:0:1024}" >"$p_file" && p_written=1
    # .drain is a link to /proc/PID/fd/N, where the drain keeps .lock open while it is alive
    if [[ $p_written && $p_spool/.drain -ef $p_spool/.lock ]]; then
      p_alive=1
      # The drain removes the file when the login is committed, or writes to .away why it cannot
      # commit. It also writes a line into one of the FIFOs in .ack, chosen by process id, so that a
      # look every 10 ms is enough. Reading from a FIFO that this process has also open for writing
      # is a sleep without a child process, and counting sleeps is a clock that cannot be set. A
      # line counts as one millisecond, since a local user may be able to write any number of them.
      [[ $p_wait == 0 ]] || while [[ -e $p_file && ! -s $p_spool/.away ]] && ((p_waited < p_wait)); do
        read -rt 0.01 -u 9
        ((p_waited += $? ? 10 : 1))
      done 9<>"$p_spool/.ack/$(($$ % 64))"
    fi
  } 2>/dev/null
  if [[ $p_alive && ( $p_wait == 0 || ! -e $p_file ) && ! -s $p_spool/.notice ]]; then
    trap - XFSZ
    # neither was in the environment; exec decrements SHLVL and exports it, but not an element of an
    # array
    unset PWD SHLVL
    declare -n SHLVL='p_environ[0]'
    exec "$@"
  fi
fi
