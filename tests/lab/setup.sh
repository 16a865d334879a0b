#!/bin/sh
# Installs the Debian packages the lab runs on, as far as they are missing. Safe to run again.
#
# Usage: setup.sh [--demo]. With --demo only what a lab for a person needs, without what only tests call: less than half.
#
# As root it installs with apt-get and keeps the packages' services (Postfix, HAProxy) from starting:
# the lab runs its own copies in its own network namespaces. Without root it names what is missing,
# says how to install it, and exits with 1.
set -eu

case ${1:-} in
"" | --demo) ;;
*) echo "setup.sh knows --demo, not $1" >&2; exit 2 ;;
esac

# program:package; a C compiler because aws-lc and SQLite are C.
needs="cc:build-essential haproxy:haproxy postfix:postfix nft:nftables ip:iproute2 ping:iputils-ping unshare:util-linux
nsenter:util-linux setpriv:util-linux mount:mount flock:util-linux tinyproxy:tinyproxy-bin"
if [ "${1:-}" != --demo ]; then
    # Chromium and npm (for axe-core and the components that draw the boards) for the status page and the boards.
    needs="$needs chromium:chromium npm:npm dnsmasq:dnsmasq-base faketime:faketime curl:curl strace:strace"
    # Only as root: a machine that systemd boots.
    [ "$(id -u)" -ne 0 ] || needs="$needs mmdebstrap:mmdebstrap systemd-nspawn:systemd-container"
fi
# Only without root: newuidmap lets the lab map more than one user, which Postfix needs.
[ "$(id -u)" -eq 0 ] || needs="$needs newuidmap:uidmap"

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
missing=
for need in $needs; do
    command -v "${need%%:*}" >/dev/null || missing="$missing ${need#*:}"
done
missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
if [ -z "${missing% }" ]; then
    echo "lab: every Debian package is there"
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "lab: missing Debian packages: $missing" >&2
    echo "lab: install them with: sudo apt-get install --no-install-recommends $missing" >&2
    exit 1
fi
command -v apt-get >/dev/null || {
    echo "lab: missing programs of the packages $missing, and this is no Debian (no apt-get)" >&2
    exit 1
}

# policy-rc.d is asked before any service of a package starts; 101 forbids it. One that is already
# there belongs to the machine and stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi

export DEBIAN_FRONTEND=noninteractive
# "No configuration": Postfix's files under /etc/postfix stay as they are; the lab has its own.
if ! command -v postfix >/dev/null; then
    echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
fi
# shellcheck disable=SC2086 # one word per package
apt-get install -y -q --no-install-recommends $missing ||
    { apt-get update -q && apt-get install -y -q --no-install-recommends $missing; }
# What this run installed shall not start at the next boot either.
if command -v systemctl >/dev/null; then
    for service in haproxy postfix; do
        case " $missing " in *" $service "*) systemctl disable "$service" >/dev/null 2>&1 || true ;; esac
    done
fi
