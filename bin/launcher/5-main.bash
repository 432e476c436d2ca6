# Node does everything else. The daemon keeps running, and has to stay small (see also
# src/start.ts): one arena (mallopt(3)) is enough for Node's memory outside its heap.
p_flags=()
if [[ ${1-} == serve ]]; then
  export MALLOC_ARENA_MAX=1
  p_flags=(--max-semi-space-size=1)
fi
find_node && exec "$p_node" "${p_flags[@]}" "$p_self" "${p_words[@]}"
printf 'popbsmtp: needs Node 24.15 or later: none beside %s and none on PATH\n' "$0" >&2
exit 78
# shellcheck disable=SC2211,SC2287,SC2317
*/
