#!/bin/bash
# The work of a job that fills the disk.
set -u

dd if=/dev/zero of="$TMPDIR/full" bs=1M count=2000 status=none
# Whoever watches the disk has time to see it.
sleep 25
rm -f "$TMPDIR/full"
echo filled >"$(dirname "$0")/filled"
