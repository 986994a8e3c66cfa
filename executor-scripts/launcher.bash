# shellcheck shell=bash
# Runs between the login profile and the job's script, in the shell that read the profile, as the job's account.
#
# Descriptors: 40 the script, 41 the mark that the profile is over, 42 and 43 the job log. Standard input is /dev/null, so
# that a profile that reads cannot eat the script, and the profile's own output is not the job's.
#
# $1: bash

# A profile may have set its own; the job's own goes when the job goes.
export TMPDIR="$MOTMOT_TMPDIR"

if [ -n "${MOTMOT_TOKEN_VARIABLE-}" ]; then
    # From the file, not from the environment of this shell: what the profile started has no business with the token.
    motmot_token=
    IFS= read -r motmot_token <"$MOTMOT_TOKEN_FILE" || true
    if [ -z "$motmot_token" ]; then
        echo "motmot: the token of this stage is gone from $MOTMOT_TOKEN_FILE; does the login profile empty this directory?" >&43
        exit 1
    fi
    export "$MOTMOT_TOKEN_VARIABLE=$motmot_token" "${MOTMOT_TOKEN_VARIABLE}_FILE=$MOTMOT_TOKEN_FILE"
    unset motmot_token
fi
unset MOTMOT_TMPDIR MOTMOT_TOKEN_VARIABLE MOTMOT_TOKEN_FILE

# A runner that is not root cannot take back for its jobs that the lack of memory shall hit others first; each job can.
{ read -r motmot_score </proc/self/oom_score_adj && [ "$motmot_score" -lt 0 ] && echo 0 >/proc/self/oom_score_adj; } 2>/dev/null || true
unset motmot_score

# From here on the end of this process is the end of the script.
printf . >&41

# A new program rather than this shell: a login shell would run ~/.bash_logout at its end and take over its exit status,
# and options that the profile has set (set -e, traps) would hold for the script.
exec "$1" --noprofile --norc <&40 >&42 2>&43 40<&- 41>&- 42>&- 43>&-
