# A small machine: systemd as its first process, a Docker Engine, and what an operator has
# on a machine. What the package under test depends on is there, so that it is all that
# is installed. rpm is Debian's: no distribution that lives by it is needed.
FROM debian:bookworm-slim
# The first file has Debian's packages start no service when they are installed, the
# second one has them leave out manual pages and documentation.
RUN rm -f /usr/sbin/policy-rc.d /etc/dpkg/dpkg.cfg.d/docker \
    && apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl dbus docker.io git iptables \
        openssh-client openssh-server procps rpm sudo systemd systemd-sysv \
    && rm -rf /var/lib/apt/lists/*
COPY boot /sbin/boot
STOPSIGNAL SIGRTMIN+3
CMD ["/sbin/boot"]
