#!/bin/bash
# The work of a hostile worker: tries one thing after the other, and notes in
# report.txt what came of it. Some of it is judged from outside.
#   bash probe.sh KEY=VALUE…
# The variables are the arguments.
# shellcheck disable=SC2154
set -u

cd "$(dirname "${BASH_SOURCE[0]}")" || exit
# shellcheck disable=SC2163
for assignment in "$@"; do export "$assignment"; done
# shellcheck source=/dev/null
for part in trying runner engine network host forge limits traps; do . "./$part.sh"; done

prepare_engine
for group in runner engine network host; do "try_the_$group" & done
wait
try_the_forge
try_the_limits
leave_traps
# The second line would pass for one of the log.
printf 'All tried.\nforged-by-text-%s\nMore.\n' "$id"
