#!/bin/sh
# The first process of the machine: a container without --privileged has its control
# groups read-only, and systemd wants to write there.
while read -r _ folder kind options _; do
    case "$kind $options" in
    cgroup*\ ro | cgroup*\ ro,*) mount -o remount,bind,rw "$folder" ;;
    esac
done </proc/mounts
# As on a machine: without it the credentials of a service stay where its user cannot see them.
mount --make-rshared /
exec /sbin/init
