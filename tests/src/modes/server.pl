# Answers every connection with the marker of the image that it is in. With a name as argument, tells
# whether it is known instead.
use strict;
use IO::Socket::INET;

if (my $name = shift) {
    print defined(gethostbyname($name)) ? "known\n" : "unknown\n";
    exit;
}

open(my $file, '<', '/marker') or die $!;
chomp(my $marker = <$file>);
my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) {
    while (my $line = <$client>) { last if $line =~ /^\r?$/ }
    print $client "HTTP/1.0 200 OK\r\n\r\n$marker";
    close $client;
}
