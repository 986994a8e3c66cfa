#!/usr/bin/env bash
# Runs all tests. As root it first installs what they need; what cannot be had (root itself, Slurm) skips the tests that
# need it; their names and how many they are come last.
set -euo pipefail
cd "$(dirname "$0")/.."

# Which of these programs are missing.
missing() {
    local program
    for program; do
        command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || [ -x "/sbin/$program" ] || echo "$program"
    done
}

# Installs packages of Debian without starting their daemons: the tests start their own.
apt_install() {
    local policy=/usr/sbin/policy-rc.d done=0
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" || done=$?
    if [ -n "$(trap -p EXIT)" ]; then
        rm -f "$policy"
        trap - EXIT
    fi
    return "$done"
}

needed=(git ssh-keygen ssh-agent openssl setpriv setcap useradd pgrep perl ps)
mapfile -t absent < <(missing "${needed[@]}")
if [ ${#absent[@]} -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "These programs are missing: ${absent[*]}; ask an administrator for them, or run this script as root." >&2
        exit 1
    elif command -v apt-get >/dev/null; then
        apt_install git openssh-client openssl util-linux libcap2-bin passwd procps perl-base
    elif command -v dnf >/dev/null; then
        dnf install -qy git-core openssh-clients openssl util-linux libcap shadow-utils procps-ng perl-interpreter
    else
        echo "These programs are missing: ${absent[*]}; install them first." >&2
        exit 1
    fi
fi

# For what rootless containers leave, and for the rotation of logs. Without them their tests are skipped.
mapfile -t absent < <(missing newuidmap newgidmap fusermount logrotate)
if [ ${#absent[@]} -gt 0 ] && [ "$(id -u)" -eq 0 ]; then
    if command -v apt-get >/dev/null; then
        apt_install uidmap fuse3 logrotate || true
    elif command -v dnf >/dev/null; then
        dnf install -qy shadow-utils fuse3 logrotate || true
    fi
fi

# For private clusters. They need root, so an ordinary user has no use for these.
cluster=(slurmctld slurmd slurmdbd munged sbatch scontrol mariadbd bindfs)
mapfile -t absent < <(missing "${cluster[@]}")
if [ ${#absent[@]} -gt 0 ] && [ "$(id -u)" -eq 0 ]; then
    if command -v apt-get >/dev/null; then
        apt_install slurm-wlm slurmdbd munge mariadb-server bindfs faketime || true
    elif command -v dnf >/dev/null; then
        # From EPEL, where that is set up.
        dnf install -qy slurm slurm-slurmctld slurm-slurmd slurm-slurmdbd munge mariadb-server || true
        dnf install -qy bindfs || true
    fi
    mapfile -t absent < <(missing "${cluster[@]}")
    [ ${#absent[@]} -eq 0 ] || echo "Tests that need Slurm are skipped; missing: ${absent[*]}." >&2
fi

# Lmod and Environment Modules. They exclude each other, and would be part of every login on this machine: so they are only
# unpacked, and look for their own files where that is.
modules=/var/cache/motmot-tests
unpack_modules() {
    local package lib temp
    apt_install lua5.3 lua-posix lua-filesystem lua-json lua-term tcl less procps || return 1
    temp=$(mktemp -d) || return 1
    for package in lmod environment-modules; do
        (cd "$temp" && apt-get download -q "$package" && dpkg -x "$package"_*.deb "$package") || return 1
        lib=$modules/$package
        grep -rlIE '/usr/(share|lib)/|/etc/' "$temp/$package" | xargs sed -i -E \
            -e "s#(^|[^a-zA-Z0-9_.])(/usr/share/(lmod|modules)|/usr/lib/([a-z0-9_]+-linux-gnu/)?(lmod|modulecmd|libtclenvmodules)|/etc/(lmod|environment-modules))#\\1$lib\\2#g"
    done
    install -d -m 0755 "$modules" && cp -a "$temp"/{lmod,environment-modules} "$modules" && chmod -R go+rX "$modules"
    rm -rf "$temp"
}
if [ ! -d "$modules/environment-modules" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    unpack_modules || echo "Tests that need Lmod and Environment Modules are skipped." >&2
fi

# A kernel as a program, for tests of control groups of version 2. Debian alone has it.
if ! command -v linux.uml >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    apt_install user-mode-linux || true
fi
export PATH="$PATH:/usr/sbin:/sbin"

# What was skipped is said behind everything, and not somewhere between a thousand lines.
skipped=$(mktemp)
status=0
MOTMOT_TESTS_SKIPPED="$skipped" cargo test --locked "$@" || status=$?
if [ -s "$skipped" ]; then
    echo
    cat "$skipped"
fi
rm -f "$skipped"
exit "$status"
