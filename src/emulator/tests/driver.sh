#!/bin/bash
# Records how the emulator calls it. Stands in a world's directory under the names of all four binaries
# (and of gitlab-runner, the helper), and does what the world's on.<name> says.
dir=${0%/*}
case ${0##*/} in
gitlab-runner)
    echo "$*" >>"$dir/helper"
    exit ;;
motmot-run) name=$4 script=$3 ;;
*) name=${0##*motmot-} ;;
esac
echo "$name" >>"$dir/calls"
echo "$*" >"$dir/args.$name"
pwd >"$dir/cwd.$name"
cat "/proc/$$/environ" >"$dir/env.$name"
# shellcheck source=/dev/null # written by each test
[ ! -e "$dir/on.$name" ] || . "$dir/on.$name"
case ${0##*/} in
motmot-config) echo "{\"builds_dir\": \"$dir/builds\", \"cache_dir\": \"$dir/cache\"}" ;;
motmot-run)
    trap : TERM
    bash "$script"
    rc=$?
    [ "$rc" = 0 ] || { echo "$rc" >"$BUILD_EXIT_CODE_FILE"; exit 1; } ;;
esac
