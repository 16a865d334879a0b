#!/bin/sh
# Builds the smallest Debian that boots systemd, once, and prints its folder on standard output
# (progress goes to standard error). `drills/service.rs` boots it and never writes to it.
#
# It comes from the machine's own package sources and is kept in the cache of build.sh, by release,
# architecture and list of packages. What cannot be had is named: `skipped: why`, and the exit code is 3.
#
# Usage: root.sh [--no-build]
set -eu

# procps has the kill of ExecReload=. The rest is what a host of vedette or of a control plane has, for the commands that
# mails tell people to run there.
PACKAGES=systemd,systemd-sysv,dbus,libnss-systemd,procps
PACKAGES=$PACKAGES,sudo,openssh-server,openssh-client,iproute2,nftables,iputils-ping,iputils-tracepath
PACKAGES=$PACKAGES,bind9-dnsutils,systemd-resolved,curl,haproxy,containerd
# Whoever wants them starts them.
IDLE="ssh systemd-resolved haproxy containerd"

cache=${VEDETTE_LAB_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/vedette-lab}

skip() {
    echo "skipped: $1"
    exit 3
}

[ "$(id -u)" -eq 0 ] || skip "systemd-nspawn needs root"
for program in mmdebstrap systemd-nspawn; do
    command -v $program >/dev/null || skip "no $program: run tests/lab/setup.sh"
done

. /etc/os-release
release=${VERSION_CODENAME:-}
[ "${ID:-}" = debian ] && [ -n "$release" ] || skip "this is no Debian, so there are no package sources to build from"
key=$(printf %s "$PACKAGES" | cksum | cut -d' ' -f1)
root=$cache/root-$release-$(dpkg --print-architecture)-$key
if [ -d "$root" ]; then
    echo "$root"
    exit
fi
[ "${1:-}" = --no-build ] && skip "the machine's root has not been built"

for sources in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/debian.list; do
    [ -s "$sources" ] && grep -q "^deb\|^Types:" "$sources" && break
    sources=
done
[ -n "$sources" ] || skip "no package sources of Debian below /etc/apt"

mkdir -p "$cache"
exec 9>"$cache/root.lock"
flock 9
if [ ! -d "$root" ]; then
    echo "lab: building a Debian root into $root (once; a minute)" >&2
    work=$(mktemp -d "$cache/root.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    # A proxy that this machine's apt needs, the other one needs as well.
    apt-config dump Acquire::http::Proxy Acquire::https::Proxy >"$work/apt.conf" 2>/dev/null || true
    mmdebstrap --quiet --variant=minbase --include="$PACKAGES" --aptopt="$work/apt.conf" \
        --aptopt='Acquire::Languages "none"' --dpkgopt='path-exclude=/usr/share/doc/*' --format=directory \
        --customize-hook="chroot \"\$1\" systemctl disable --quiet $IDLE" \
        "$release" "$work/root" "$sources" >&2 || skip "mmdebstrap failed"
    chmod 755 "$work/root"
    mv "$work/root" "$root"
fi
echo "$root"
