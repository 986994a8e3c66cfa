# shellcheck shell=bash
# shellcheck disable=SC2154 # the lines before this text set motmot_dir, motmot_job, motmot_restarts and motmot_node
# The batch script: runs on the first node of a job, as the job's account. The scheduler spools it, so it holds nothing
# secret; what it needs it finds in $motmot_dir, which the worker on the login node has made:
#
#   settings   assignments, to be read by this shell. Its owner can change it, and so have this shell do what he likes: what is
#              to hold against him (no_new_privs) is in the line of the interpreter, which the scheduler keeps
#   launcher   what runs between a login profile and a script
#   next       the name of the run that shall be next (a directory beside it)
#   RUN/       script      the script
#              started     written here: it begins now
#              output      written by the script
#              claim       marked here: the script has begun once
#              arrived     marked by the launcher: the login profile is through
#              record      written here, by rename: it has ended, and how
#
# Files that somebody waits for are there from the beginning, empty, and are replaced by rename: a network file system
# notices that soon, but may take a minute to notice a new name.

set -u
umask 077
terminated=no
script=
# Handled, not ignored: what is ignored here would be ignored in the script, too. The scheduler tells all processes of the
# job when it ends one; this shell has to outlive the script and say how it ended.
trap 'terminated=yes' TERM
# From the login node: end the script that runs, and go on. The first word may be said twice, should nobody have heard it.
urgent=no
trap 'urgent=yes; motmot_signal TERM' URG
trap 'urgent=yes; motmot_signal KILL' TTIN
# What the author has asked the scheduler for (--signal=B:...) is meant for the script. Its own lines run in a child of the
# shell that the runner's script begins in, and that one would not survive the signal.
for name in HUP INT QUIT USR1 USR2 ALRM; do
    # shellcheck disable=SC2064 # the name now, not later
    trap "motmot_forward $name" "$name"
done

motmot_signal() {
    [ -z "$script" ] || kill -"$1" -- "-$script" 2>/dev/null || true
}

motmot_forward() {
    [ -n "$script" ] || return 0
    local file line fields
    # Its children, from proc(5): state and parent follow the last parenthesis. A node need not have pkill.
    for file in /proc/[0-9]*/stat; do
        line=
        IFS= read -r line 2>/dev/null <"$file" || continue
        read -r -a fields <<<"${line##*) }"
        if [ "${fields[1]-}" = "$script" ]; then
            kill -"$1" "$(basename "${file%/stat}")" 2>/dev/null || true
        fi
    done
}

# $1: file, the rest: lines. Over room that the worker has reserved: the quota may be used up by now.
motmot_tell() {
    local file=$1 try
    shift
    for try in 1 2 3 4 5 6 7 8 9 10; do
        if printf '%s\n' "$@" "restarts=$motmot_restarts" "node=$motmot_node" end 1<>"$file.new" &&
            mv -f -- "$file.new" "$file"; then
            return 0
        fi
        echo "motmot: cannot write $file (try $try)"
        sleep 1
    done
    return 1
}

# $1: a file of one byte, in which a dot is a mark. It is there from the beginning: on a full disk a file can be made, and
# nothing be written to it.
motmot_is_marked() {
    local mark=
    IFS= read -r -n 1 mark 2>/dev/null <"$run/$1" || true
    [ "$mark" = . ]
}

# $1: how the script ended, $2: bytes of output
motmot_record() {
    motmot_tell "$run/record" "end-of-script=$1" "bytes=$2" "terminated=$terminated"
}

# The token is written when the scheduler has said that this job runs; the script does not start without.
motmot_await_token() {
    local first tries=0
    while :; do
        first=
        # Opened anew each time: that is when a network file system looks whether a file has changed.
        IFS= read -r first 2>/dev/null <"$motmot_token_file" || true
        [ -z "$first" ] || return 0
        tries=$((tries + 1))
        [ "$tries" -le "$motmot_token_tries" ] || return 1
        [ "$terminated" = no ] && [ "$urgent" = no ] || return 1
        if [ "$tries" -le 20 ]; then sleep 0.05; else sleep 0.25; fi
    done
}

# Whether the child is still a copy of this shell. Until it executes the shell of the script it may keep a signal to itself.
motmot_is_copy() {
    local own=() its=()
    mapfile -d '' -t own <"/proc/$$/cmdline"
    mapfile -d '' -t its <"/proc/$script/cmdline"
    [ "${#its[@]}" -gt 0 ] && [ "${own[*]}" = "${its[*]}" ]
} 2>/dev/null

# $@: options of the shell. The script gets a process group of its own, so that signals reach all of it.
motmot_start() {
    cd "${HOME:-/}" 2>/dev/null || cd /
    printf ' ' 1<>"$run/arrived"
    set -m
    "$motmot_shell" "$@" -c "$(<"$motmot_dir/launcher")" motmot-launcher "$motmot_shell" \
        40<"$run/script" 41<>"$run/arrived" 42>&45 43>&45 45>&- </dev/null >/dev/null 2>&1 &
    script=$!
    set +m
    while motmot_is_copy; do sleep 0.01; done
    # Said while nobody was there to hear it: from the login node, or by the scheduler, which tells the processes that it
    # has found when it ends a job, and not those that come later.
    if [ "$urgent" = yes ] || [ "$terminated" = yes ]; then
        motmot_signal TERM
    fi
    cd /
    local alive=yes
    while [ "$alive" = yes ]; do
        # A signal ends `wait`, not the script. What bash says about signals is for nobody's log.
        { wait "$script"; } 2>/dev/null
        kill -0 "$script" 2>/dev/null || alive=no
    done
    { wait "$script"; } 2>/dev/null
    status=$?
}

# Runs what is in $run.
motmot_run() {
    status=1
    urgent=no
    script=
    # The job came back after its script had come to an end of its own.
    if [[ $(cat -- "$run/record" 2>/dev/null) == *$'\nterminated=no\n'* ]]; then
        status=0
        return
    fi
    if motmot_is_marked claim && [ "$motmot_again" = never ]; then
        motmot_record ran-before 0
        return
    fi
    # Without it nobody could tell later that the script has run.
    if ! printf . 1<>"$run/claim"; then
        motmot_record no-output 0
        return
    fi
    # A token of the time before the scheduler started this job once more.
    if [ "$motmot_restarts" != 0 ] && [ -n "$motmot_token_file" ]; then
        rm -f -- "$motmot_token_file"
        : >"$motmot_token_file"
    fi
    if ! exec 45>>"$run/output"; then
        motmot_record no-output 0
        return
    fi
    motmot_tell "$run/started" "job=$motmot_job"
    if [ -n "$motmot_token_file" ] && ! motmot_await_token; then
        exec 45>&-
        motmot_record no-token 0
        return
    fi
    if [ "$urgent" = yes ] || [ "$terminated" = yes ]; then
        exec 45>&-
        motmot_record 143 0
        return
    fi
    export MOTMOT_TMPDIR="$motmot_tmpdir"
    if [ -n "$motmot_token_file" ]; then
        export MOTMOT_TOKEN_VARIABLE="$motmot_token_variable" MOTMOT_TOKEN_FILE="$motmot_token_file"
    fi
    if [ "$motmot_login" = yes ]; then
        motmot_start -l
        # A profile that ends the shell must not decide over the job.
        motmot_is_marked arrived || [ "$terminated" = yes ] || [ "$urgent" = yes ] || motmot_start --noprofile --norc
    else
        motmot_start --noprofile --norc
    fi
    # What the script has left behind in its process group.
    kill -KILL -- "-$script" 2>/dev/null || true
    script=
    # By descriptor: whatever has become of the name, this is the file that the script has written to.
    local bytes
    bytes=$(stat -L -c %s /proc/self/fd/45) || bytes=0
    exec 45>&-
    motmot_record "$status" "$bytes"
}

cd /
# shellcheck source=/dev/null
if ! . "$motmot_dir/settings"; then
    echo "motmot: $motmot_dir is not there on $motmot_node; is it on a file system that all nodes share, and was the CI job cleaned up meanwhile?"
    exit 1
fi
done=
while :; do
    next=
    IFS= read -r next 2>/dev/null <"$motmot_dir/next" || true
    case $next in
    "" | "$done")
        # Between two scripts of a job; or the job is being cleaned up.
        [ -d "$motmot_dir" ] && [ "$terminated" = no ] || exit 0
        sleep 0.2
        ;;
    *)
        run=$motmot_dir/$next
        motmot_run
        done=$next
        [ "$motmot_many" = yes ] && [ "$terminated" = no ] || exit "$status"
        ;;
    esac
done
