#!/bin/bash
# The work of a job that follows a hostile one in the same project.
#   bash successor.sh ID
set -u

cd "$(dirname "$0")" || exit
{
    if [ -e "/cache/npm/poison-$1" ]; then echo "poison-cache open"; else echo "poison-cache blocked Absent"; fi
    if [ ! -d /cache ]; then
        echo "links-in-cache blocked Absent"
    elif [ "$(stat -c '%u %A' /etc)" = '0 drwxr-xr-x' ] && [ ! -L /cache/npm ] && [ ! -L /cache/cargo ]; then
        echo "links-in-cache blocked by the runner"
    else
        echo "links-in-cache open"
    fi
} >report.txt
