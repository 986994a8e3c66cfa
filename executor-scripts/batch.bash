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
#              output      what the script writes
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
# shell that the runner's script runs in, and that one, itself a child of the login shell, would not survive the signal.
for name in HUP INT QUIT USR1 USR2 ALRM; do
    # shellcheck disable=SC2064 # the name now, not later
    trap "motmot_forward $name" "$name"
done

# Waits so long, without starting a program each time: on a node where many jobs wait, that would be all that it does. Nobody
# ever writes into 48. Where it is missing, the program it is.
{ exec 48<> <(:); } 2>/dev/null || true
motmot_nap() {
    read -r -t "$1" -u 48
    [ $? -gt 128 ] || sleep "$1"
} 2>/dev/null

motmot_signal() {
    [ -z "$script" ] || kill -"$1" -- "-$script" 2>/dev/null || true
}

motmot_forward() {
    [ -n "$script" ] || return 0
    local file line fields pid parents=() middle=()
    # Its grandchildren, from proc(5): state and parent follow the last parenthesis. A node need not have pkill.
    for file in /proc/[0-9]*/stat; do
        line=
        IFS= read -r line 2>/dev/null <"$file" || continue
        read -r -a fields <<<"${line##*) }"
        parents[${line%% *}]=${fields[1]-0}
    done
    for pid in "${!parents[@]}"; do
        [ "${parents[pid]}" != "$script" ] || middle[pid]=yes
    done
    for pid in "${!parents[@]}"; do
        [ -z "${middle[${parents[pid]}]-}" ] || kill -"$1" "$pid" 2>/dev/null || true
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
    motmot_tell "$run/record" "end-of-script=$1" "bytes=$2" "spilled=$spilled" "terminated=$terminated"
}

# A script opens its streams again by their names (`echo warning > /dev/stderr`). On a file that would cut off what is there
# already, so it writes into a pipe, which a copier empties into the file. Descriptors: 45 the pipe, 47 the file.
motmot_open_output() {
    spilled=no
    exec 47>>"$run/output" || return 1
    # Both ends at once, and no name that anybody could take away. Then one description for each end.
    # shellcheck disable=SC2094
    exec 44<> <(:) && exec 45>/proc/self/fd/44 46</proc/self/fd/44 || return 1
    set -m
    motmot_copy 44<&- 45>&- 48<&- &
    copier=$!
    set +m
    exec 44<&- 46<&-
}

# Its own process group. It ends with the last writer, or when it is told (TTOU) that the script has ended: what the script
# has left behind may hold the pipe for ever.
motmot_copy() {
    # The scheduler tells all processes of the job when it ends one, and the script may still have last words.
    trap '' HUP INT QUIT TERM USR1 USR2 ALRM PIPE URG TTIN
    local ended=no lost=0 status cat
    trap 'ended=yes' TTOU
    while :; do
        cat <&46 >&47 2>/dev/null &
        cat=$!
        while :; do
            wait "$cat"
            status=$?
            kill -0 "$cat" 2>/dev/null || break
            [ "$ended" = no ] || motmot_empty "$cat"
        done
        wait "$cat"
        status=$?
        [ "$status" != 0 ] || return "$lost"
        if [ "$ended" = yes ]; then
            read -r -t 0 -u 46 || return "$lost"
        elif [ "$status" = 1 ]; then
            # It could not write: a quota is used up, perhaps for a while. The script goes on, as it would on a plain file.
            lost=1
        fi
    done
}

# $1: a cat that reads from 46. From now on an empty pipe is an end for it: the flag belongs to what the two have in common,
# and a read that waits already looks at it when it is begun again. It has written all that it has read until then.
motmot_empty() {
    dd iflag=nonblock count=0 status=none <&46 2>/dev/null
    kill -STOP "$1" 2>/dev/null && kill -CONT "$1" 2>/dev/null
}

# All that the script has written is in the file when this returns.
motmot_close_output() {
    local try=0 size before=
    exec 45>&-
    while kill -0 "$copier" 2>/dev/null; do
        try=$((try + 1))
        # As a rule nothing is left behind, and then it is a matter of milliseconds.
        if [ "$try" -le 10 ]; then
            motmot_nap 0.002
            continue
        fi
        if [ "$try" -gt 15 ]; then
            kill -TTOU "$copier" 2>/dev/null || true
        fi
        if [ "$try" -le 210 ]; then
            motmot_nap 0.02
            continue
        fi
        # Something that the script has left writes faster than it is copied, and is not waited for. Or no disk takes what there is, and
        # then it is: a file system that many share may need its time.
        size=$(stat -L -c %s /proc/self/fd/47) || size=
        if [ -n "$before" ] && [ "$size" != "$before" ] || [ "$try" -gt 270 ]; then
            kill -KILL -- "-$copier" 2>/dev/null || true
        fi
        before=$size
        motmot_nap 1
    done
    # Killed, too: what it had read it may not have written.
    { wait "$copier"; } 2>/dev/null || spilled=yes
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
        if [ "$tries" -le 20 ]; then motmot_nap 0.05; else motmot_nap 0.25; fi
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
    # shellcheck disable=SC2016 # for the other shell
    MOTMOT_LAUNCHER=$launcher PATH=$motmot_path "$motmot_shell" "$@" \
        -c '\eval "$MOTMOT_LAUNCHER"; \eval "$motmot_rest"' "$motmot_shell" \
        40<"$run/script" 41<>"$run/arrived" 42>&45 43>&45 45>&- 47>&- 48<&- </dev/null >/dev/null 2>&1 &
    script=$!
    set +m
    while motmot_is_copy; do motmot_nap 0.01; done
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
    spilled=no
    # The job came back after its script had come to an end of its own.
    local record=
    IFS= read -r -d '' record 2>/dev/null <"$run/record" || true
    if [[ $record == *$'\nterminated=no\n'* ]]; then
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
    if ! motmot_open_output; then
        motmot_record no-output 0
        return
    fi
    motmot_tell "$run/started" "job=$motmot_job"
    if [ -n "$motmot_token_file" ] && ! motmot_await_token; then
        motmot_close_output
        motmot_record no-token 0
        return
    fi
    if [ "$urgent" = yes ] || [ "$terminated" = yes ]; then
        motmot_close_output
        motmot_record 143 0
        return
    fi
    # To its last word: without it the shell would answer for a script that it has not run.
    local launcher=
    IFS= read -r -d '' launcher 2>/dev/null <"$motmot_dir/launcher" || true
    if [[ $launcher != *' TERM'$'\n' ]]; then
        motmot_close_output
        motmot_record no-launcher 0
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
    motmot_close_output
    # By descriptor: whatever has become of the name, this is the file that the script's output is in.
    local bytes
    bytes=$(stat -L -c %s /proc/self/fd/47) || bytes=0
    exec 47>&-
    motmot_record "$status" "$bytes"
}

cd /
# shellcheck source=/dev/null
if ! . "$motmot_dir/settings"; then
    echo "motmot: $motmot_dir is not there on $motmot_node; is it on a file system that all nodes share, and was the CI job cleaned up meanwhile?"
    exit 1
fi
# The job's own, which the site may have chosen for anything but the programs that are needed here.
motmot_path=$PATH
PATH=/usr/local/bin:/usr/bin:/bin
done=
while :; do
    next=
    IFS= read -r next 2>/dev/null <"$motmot_dir/next" || true
    case $next in
    "" | "$done")
        # Between two scripts of a job; or the job is being cleaned up.
        [ -d "$motmot_dir" ] && [ "$terminated" = no ] || exit 0
        motmot_nap 0.2
        ;;
    *)
        run=$motmot_dir/$next
        motmot_run
        done=$next
        [ "$motmot_many" = yes ] && [ "$terminated" = no ] || exit "$status"
        ;;
    esac
done
