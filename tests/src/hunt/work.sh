#!/bin/bash
# The work of a job that is hunted through: what a worker does by day, and what
# one with bad intentions reads, by itself or through the engine that it was given.
#   bash work.sh MODE NAME
set -u

mode=$1 name=$2

# The text in the memory of every agent-runner that can be seen.
# shellcheck disable=SC2016
readonly READER='
opendir my $processes, "/proc" or die;
for my $dir (map { "/proc/$_" } grep { /^[0-9]/ } readdir $processes) {
    open my $comm, "<", "$dir/comm" or next;
    <$comm> =~ /^agent-runner/ or next;
    open my $maps, "<", "$dir/maps" or next;
    open my $memory, "<", "$dir/mem" or next;
    while (<$maps>) {
        my ($begin, $end) = /^([0-9a-f]+)-([0-9a-f]+) rw/ or next;
        ($begin, $end) = (hex $begin, hex $end);
        next if $end - $begin > 1 << 26;
        sysseek $memory, $begin, 0 or next;
        sysread $memory, my $bytes, $end - $begin or next;
        print "$1\n" while $bytes =~ /([\x20-\x7e]{16,})/g;
    }
}'

# An image of programs that are here: no registry is needed.
import_image() {
    local programs=(/bin/sh /bin/sleep /usr/bin/perl) libraries
    mapfile -t libraries < <(ldd "${programs[@]}" | grep -o '/lib[^ ]*' | sort -u)
    tar --create --dereference --hard-dereference --absolute-names "${programs[@]}" "${libraries[@]}" |
        docker import - "$name" >/dev/null
}

printf 'the work is done\n' >result.txt
git add result.txt && git commit --quiet --message "Add a result"
reader=(perl -e "$READER")
if [ "$mode" != none ]; then
    import_image
    docker run --detach --name "$name" --env GREETING=hello "$name" sleep 600 >/dev/null
    reader=(docker run --rm --cap-add SYS_PTRACE --pid host --log-driver none "$name" "${reader[@]}")
fi
"${reader[@]}" >"/dev/shm/$name"
touch held
until [ -e go ]; do sleep 0.1; done
rm -f held go "/dev/shm/$name"
if [ "$mode" != none ]; then
    docker rm --force "$name" >/dev/null
    docker rmi "$name" >/dev/null
fi
echo "done in mode $mode"
