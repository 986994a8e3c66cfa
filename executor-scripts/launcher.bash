# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is used by the command line, and by what it evaluates
# Runs between the login profile and the job's script, in the shell that read the profile, as the job's account. The command
# line of that shell is
#
#   bash -l -c '\eval "$MOTMOT_LAUNCHER"; \eval "$motmot_rest"' /bin/bash
#
# which is this text, and then the script in a child of the same shell: it finds what a person finds after logging in, with
# functions, aliases and options, and yet its end is not that of a login shell. No ~/.bash_logout runs and takes over its exit
# status, and no trap of the profile does.
#
# Descriptors: 40 the script, 41 the mark that the profile is over, 42 and 43 the job log. Standard input is /dev/null, so
# that a profile that reads cannot eat the script, and the profile's own output is not the job's. Whatever a profile does to
# keep this text from its end, the mark is then not there, and the script runs without the profile.

# A function named like one of the shell's own special commands, which POSIX forbids, would decide over the script: `exit`,
# for example. So would an alias for one of these, or for a word of the shell's grammar. Whoever has hidden `unset` or
# `builtin`, too, has hidden it from himself.
\builtin unset -f : . break builtin continue eval exec exit export readonly return set shift source trap unset 2>/dev/null
\builtin unalias : . break builtin continue eval exec exit export readonly return set shift source trap unset \
    '!' '{' '}' '[[' case 'do' 'done' elif else 'esac' 'fi' for function if in select 'then' time until while 2>/dev/null ||
    \builtin true
# Variables of ours that cannot be set keep this text from its end.
\builtin unset -v motmot_options motmot_token motmot_script motmot_rest motmot_status motmot_terminated motmot_score || \exit 1
# No script of the runner's works in a restricted shell.
case $- in *r*) \exit 1 ;; esac
# The runner's script sets what it needs, and is not written for the first two; the others would print all its variables.
# That aliases are not expanded here is for the time being.
motmot_options=:$BASHOPTS:
\set +eu +xv
\builtin shopt -u expand_aliases extdebug
\trap - DEBUG ERR RETURN EXIT HUP INT QUIT ILL TRAP ABRT BUS FPE USR1 SEGV USR2 PIPE ALRM TERM CHLD CONT TSTP TTIN TTOU URG \
    XCPU XFSZ VTALRM PROF WINCH IO PWR SYS

# A profile may have set its own; the job's own goes when the job goes.
\export TMPDIR="$MOTMOT_TMPDIR" || \exit 1
# Many a profile sets PATH from nothing, Debian's for one.
if \builtin [ -n "${MOTMOT_PATH_PREPEND-}" ]; then
    \export PATH="$MOTMOT_PATH_PREPEND${PATH:+:$PATH}" || \exit 1
fi

if \builtin [ -n "${MOTMOT_TOKEN_VARIABLE-}" ]; then
    # From the file, not from the environment of this shell: what the profile started has no business with the token.
    motmot_token=
    IFS='' \builtin read -r motmot_token <"$MOTMOT_TOKEN_FILE"
    if \builtin [ -z "$motmot_token" ]; then
        \builtin echo "motmot: the token of this stage is gone from $MOTMOT_TOKEN_FILE; does the login profile empty this directory?" >&43
        \exit 1
    fi
    \export "$MOTMOT_TOKEN_VARIABLE=$motmot_token" "${MOTMOT_TOKEN_VARIABLE}_FILE=$MOTMOT_TOKEN_FILE" || \exit 1
    \unset motmot_token
fi

# Its lines count from 1, as if it were a program's file. What cannot be read to its end is not begun.
motmot_script="\\unset motmot_options motmot_rest motmot_script; $(</dev/fd/40)" || \exit 1
# shellcheck disable=SC2016 # evaluated later
motmot_rest='(\eval "$motmot_script") >&42 2>&43 42>&- 43>&-
motmot_status=$?
# Asked to end, and so not done, whatever the script made of it.
case $motmot_status$motmot_terminated in 0yes) motmot_status=143 ;; esac
# `exit` would run ~/.bash_logout.
motmot_end() { \return "$motmot_status"; }
motmot_end'
\unset MOTMOT_LAUNCHER MOTMOT_TMPDIR MOTMOT_PATH_PREPEND MOTMOT_TOKEN_VARIABLE MOTMOT_TOKEN_FILE BASH_EXECUTION_STRING

# A runner that is not root cannot take back for its jobs that the lack of memory shall hit others first; each job can.
{ IFS='' \builtin read -r motmot_score </proc/self/oom_score_adj && \builtin [ "$motmot_score" -lt 0 ] && \builtin echo 0 >/proc/self/oom_score_adj; } 2>/dev/null
\unset motmot_score

# From here on the end of this process is the end of the script.
motmot_terminated=no
\builtin printf . >&41 || \exit 1
\exec 40<&- 41>&-
case $motmot_options in *:expand_aliases:*) \builtin shopt -s expand_aliases ;; esac
# This shell outlives the script, which alone answers: what is caught here is not caught in a child. Between this line and the
# script's begin it is too late for another answer. (This line stays the last: the wrapper on a node knows by its last word that
# it has read all of this.)
\trap 'motmot_terminated=yes motmot_script="\\exit 143"' TERM
