#!/bin/sh
# Finds the lab's etcd and Kubernetes programs, and when asked to other versions of both, controller-manager and
# scheduler, Prometheus, what only hosts of a control plane have or talosctl; builds what is missing, and prints one
# line `NAME PATH` for each on standard output (progress goes to standard error).
#
# Where it looks, in envtest's order:
#   1. $KUBEBUILDER_ASSETS/NAME, taken as it is;
#   2. NAME on PATH, if it is at least the minor version pinned below;
#   3. the cache, ${VEDETTE_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vedette-lab}, keyed by version;
#   4. a build from the pinned Go modules beside this file into that cache, once. `usual_minutes` below says how long
#      each takes.
# Other versions of etcd (--etcds) and of Kubernetes (--older-kubernetes), for the drills over versions, are named
# etcd-MAJOR.MINOR and kube-apiserver-MAJOR.MINOR. They come from the cache or are made: etcd 3.4 is unpacked from
# Debian's package (never installed, so its service never starts), the rest are built. One that cannot be had has no
# line, and its drill is skipped.
# What cannot be had is named in the last line: `skipped: no NAME: why`, and the exit code is 3.
#
# Usage: build.sh [--no-build] [--etcds] [--older-kubernetes] [--controllers] [--prometheus] [--hosts] [--talos]
set -eu

KUBERNETES=1.37.2
OLDER_KUBERNETES=1.36.3
ETCD=3.6.16
CRI_TOOLS=1.34.0
TALOS=1.11.1
# Its module is called v0.315.0.
PROMETHEUS=3.15.0
OTHER_ETCDS="3.5.35 3.7.3"

here=$(cd "$(dirname "$0")" && pwd)
cache=${VEDETTE_LAB_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/vedette-lab}
may_build=yes wants_prometheus=no wants_hosts=no wants_talos=no wants_etcds=no wants_controllers=no wants_older=no
for option in "$@"; do
    case $option in
    --no-build) may_build=no ;;
    --prometheus) wants_prometheus=yes ;;
    --etcds) wants_etcds=yes ;;
    --older-kubernetes) wants_older=yes ;;
    --controllers) wants_controllers=yes ;;
    --hosts) wants_hosts=yes ;;
    --talos) wants_talos=yes ;;
    *) echo "build.sh does not know $option; its head says what it knows" >&2; exit 2 ;;
    esac
done

say() { echo "lab: $*" >&2; }

skip() {
    echo "skipped: no $1: $2"
    exit 3
}

# The version a program prints, as MAJOR.MINOR.PATCH, or nothing.
version_of() {
    case $1 in
    kubectl) "$2" version --client 2>/dev/null ;;
    etcdctl | etcdutl) "$2" version 2>/dev/null ;;
    kubeadm) "$2" version --output=short 2>/dev/null ;;
    *) "$2" --version 2>/dev/null ;;
    esac | sed -n 's/.*[v ]\([0-9][0-9]*\.[0-9][0-9]*\.[0-9][0-9]*\).*/\1/p' | head -n 1
}

# at_least HAVE WANT: compares major and minor only.
at_least() {
    [ -n "$1" ] || return 1
    have_major=${1%%.*} have_rest=${1#*.} want_major=${2%%.*} want_rest=${2#*.}
    [ "$have_major" -gt "$want_major" ] ||
        { [ "$have_major" -eq "$want_major" ] && [ "${have_rest%%.*}" -ge "${want_rest%%.*}" ]; }
}

# Prints where NAME is without building anything; fails if it is nowhere.
found() {
    name=$1 pinned=$2 kept=$3
    if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$name" ]; then
        echo "$KUBEBUILDER_ASSETS/$name"
        return
    fi
    if [ -x "$kept/$name" ]; then
        on_path=$(command -v "$name" || true)
        if [ -n "$on_path" ] && at_least "$(version_of "$name" "$on_path")" "$pinned"; then
            echo "$on_path"
        else
            echo "$kept/$name"
        fi
        return
    fi
    on_path=$(command -v "$name") || return 1
    at_least "$(version_of "$name" "$on_path")" "$pinned" || return 1
    echo "$on_path"
}

# build FOLDER DIRECTORY NAME=PACKAGE... : builds all of a module's programs, then moves them into
# place at once, so that an interrupted build leaves nothing that looks finished.
build() {
    folder=$1 kept=$2
    shift 2
    command -v go >/dev/null || return 1
    mkdir -p "$cache"
    exec 9>"$cache/$folder.lock"
    if ! flock -n 9; then
        say "waiting for another build of $folder"
        flock 9
        [ -d "$kept" ] && return 0
    fi
    work=$(mktemp -d "$cache/$folder.XXXXXX")
    names= packages=
    for target in "$@"; do
        names="$names ${target%%=*}" packages="$packages ${target#*=}"
    done
    say "building$names of $folder into $kept, once: about $(usual_minutes "$folder$set") min on two cores"
    begun=$(date +%s)
    # All in one call: while one program is linked, on one core, the next is compiled on the other.
    # shellcheck disable=SC2086 # one word per package
    (cd "$here/$folder" && CGO_ENABLED=0 GOWORK=off nice go build -mod=readonly -trimpath \
        -buildvcs=false -tags "$tags" -ldflags "$ldflags" -o "$work/" $packages >&2) || {
        rm -rf "$work"
        return 1
    }
    # Go names a program after its package, without the version of a module whose root it is.
    for target in "$@"; do
        package=${target#*=}
        package=${package%/v[0-9]}
        [ "$work/${package##*/}" = "$work/${target%%=*}" ] || mv "$work/${package##*/}" "$work/${target%%=*}"
    done
    chmod 755 "$work"
    rm -rf "$kept"
    mv "$work" "$kept"
    say "built $folder in $(($(date +%s) - begun)) s"
}

# How long a build takes, modules already fetched.
usual_minutes() {
    case $1 in
    kubernetes | kubernetes-1.*) echo 4 ;;
    prometheus) echo 2 ;;
    talos) echo 9 ;;
    *) echo 1 ;;
    esac
}

# provide FOLDER PINNED NAME=PACKAGE... : what is kept beside a first set of FOLDER has $set in its name.
set=
provide() {
    folder=$1 pinned=$2
    shift 2
    kept=$cache/$folder-v$pinned$set
    for target in "$@"; do
        found "${target%%=*}" "$pinned" "$kept" >/dev/null && continue
        [ "$may_build" = yes ] || skip "${target%%=*}" "not in KUBEBUILDER_ASSETS, on PATH or in $cache"
        build "$folder" "$kept" "$@" || {
            command -v go >/dev/null ||
                skip "${target%%=*}" "not in KUBEBUILDER_ASSETS, on PATH or in $cache, and there is no Go to build it"
            skip "${target%%=*}" "the Go build of tests/lab/tools/$folder failed (its messages are above)"
        }
        break
    done
    for target in "$@"; do
        echo "${target%%=*} $(found "${target%%=*}" "$pinned" "$kept")"
    done
}

tags= ldflags="-s -w"
provide etcd "$ETCD" \
    etcd=go.etcd.io/etcd/server/v3 \
    etcdctl=go.etcd.io/etcd/etcdctl/v3 \
    etcdutl=go.etcd.io/etcd/etcdutl/v3

# unpack_debian KEPT: etcd out of the distribution's package, if that is 3.4.
unpack_debian() {
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/etcd-3.4.XXXXXX")
    (
        cd "$work"
        apt-get -q -o APT::Sandbox::User=root download etcd-server >&2 &&
            dpkg-deb -x etcd-server_*.deb package && mkdir kept && mv package/usr/bin/etcd kept/etcd &&
            at_least "$(version_of etcd kept/etcd)" 3.4 && ! at_least "$(version_of etcd kept/etcd)" 3.5 &&
            chmod 755 kept && rm -rf "$1" && mv kept "$1"
    ) || {
        rm -rf "$work"
        return 1
    }
    rm -rf "$work"
}

if [ "$wants_etcds" = yes ]; then
    old=$cache/etcd-3.4-debian
    if [ -x "$old/etcd" ] || { [ "$may_build" = yes ] && unpack_debian "$old"; }; then
        echo "etcd-3.4 $old/etcd"
    else
        say "no etcd 3.4: it is not in $cache, and Debian's etcd-server 3.4 cannot be had"
    fi
    for other in $OTHER_ETCDS; do
        name=etcd-${other%.*}
        kept=$cache/$name-v$other
        if [ -x "$kept/etcd" ] || { [ "$may_build" = yes ] && build "$name" "$kept" etcd=go.etcd.io/etcd/server/v3; }; then
            echo "$name $kept/etcd"
        else
            say "no $name: it is not in $cache, and could not be built"
        fi
    done
fi

# Sets the flags with which a version of Kubernetes knows what it is.
kubernetes_flags() {
    minor=${1#*.}
    version=k8s.io/component-base/version
    ldflags="-s -w -X $version.gitVersion=v$1 -X $version.gitMajor=${1%%.*} \
-X $version.gitMinor=${minor%%.*} -X $version.gitTreeState=clean"
}

kubernetes_flags "$KUBERNETES"
provide kubernetes "$KUBERNETES" \
    kube-apiserver=k8s.io/kubernetes/cmd/kube-apiserver \
    kubectl=k8s.io/kubernetes/cmd/kubectl
# The rest of a control plane, which few drills run and the demo does not wait for.
if [ "$wants_controllers" = yes ]; then
    set=-controllers
    provide kubernetes "$KUBERNETES" \
        kube-controller-manager=k8s.io/kubernetes/cmd/kube-controller-manager \
        kube-scheduler=k8s.io/kubernetes/cmd/kube-scheduler
fi
# What else is on its hosts, for the commands that people are told to run there.
if [ "$wants_hosts" = yes ]; then
    set=-hosts
    provide kubernetes "$KUBERNETES" \
        kubeadm=k8s.io/kubernetes/cmd/kubeadm \
        kubelet=k8s.io/kubernetes/cmd/kubelet
    set=
    ldflags="-s -w -X sigs.k8s.io/cri-tools/pkg/version.Version=v$CRI_TOOLS"
    provide cri-tools "$CRI_TOOLS" crictl=sigs.k8s.io/cri-tools/cmd/crictl
fi
set=

if [ "$wants_older" = yes ]; then
    older=${OLDER_KUBERNETES%.*}
    kept=$cache/kubernetes-$older-v$OLDER_KUBERNETES
    kubernetes_flags "$OLDER_KUBERNETES"
    if [ -x "$kept/kube-apiserver" ] || { [ "$may_build" = yes ] &&
        build "kubernetes-$older" "$kept" kube-apiserver=k8s.io/kubernetes/cmd/kube-apiserver; }; then
        echo "kube-apiserver-$older $kept/kube-apiserver"
    else
        say "no kube-apiserver $older: it is not in $cache, and could not be built"
    fi
fi

if [ "$wants_talos" = yes ]; then
    tag=github.com/siderolabs/talos/pkg/machinery/version.Tag
    ldflags="-s -w -X $tag=v$TALOS"
    provide talos "$TALOS" talosctl=github.com/siderolabs/talos/cmd/talosctl
fi

# Without the web pages, which need npm, and without every way to discover targets but files: less than half the
# build. The API is complete.
if [ "$wants_prometheus" = yes ]; then
    tags=remove_all_sd
    ldflags="-s -w -X github.com/prometheus/common/version.Version=$PROMETHEUS"
    provide prometheus "$PROMETHEUS" \
        prometheus=github.com/prometheus/prometheus/cmd/prometheus \
        promtool=github.com/prometheus/prometheus/cmd/promtool
fi
