#!/bin/bash
# The work of a job of another project that runs beside a hostile one, and has to be
# delivered unharmed.
#   bash neighbour.sh ID ADDRESS FLAGS
# shellcheck disable=SC2016
set -u

cd "$(dirname "$0")" || exit
touch /cache/npm/of-the-neighbour 2>/dev/null
perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(Listen => 9, LocalAddr => $ARGV[1], LocalPort => 8000, ReuseAddr => 1)
    or die; while (my $c = $s->accept) { sysread $c, my $request, 4096;
    print $c "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nneighbour"; close $c }' \
    "neighbour-held-$1" "$2" &
server=$!
printf 'unharmed\n' >neighbour.txt
touch "$3/held"
until [ -e "$3/go" ]; do sleep 0.1; done
kill "$server"
