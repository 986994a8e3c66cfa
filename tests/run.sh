#!/usr/bin/env bash
# Runs all tests. As root it first installs what they need; as an ordinary user it skips what needs root, by name.
set -euo pipefail
cd "$(dirname "$0")/.."

needed=(git openssl setpriv setcap useradd pgrep perl ps)
missing=()
for program in "${needed[@]}"; do
    command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || [ -x "/sbin/$program" ] || missing+=("$program")
done
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "These programs are missing: ${missing[*]}; ask an administrator for them, or run this script as root." >&2
        exit 1
    elif command -v apt-get >/dev/null; then
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
            git openssl util-linux libcap2-bin passwd procps perl-base
    elif command -v dnf >/dev/null; then
        dnf install -qy git-core openssl util-linux libcap shadow-utils procps-ng perl-interpreter
    else
        echo "These programs are missing: ${missing[*]}; install them first." >&2
        exit 1
    fi
fi
export PATH="$PATH:/usr/sbin:/sbin"

cargo test --locked "$@"
