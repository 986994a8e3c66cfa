# shellcheck shell=bash
# Put in front of the probe for a job with the keyword `run:`, which GitLab Runner hands to this executor as a script of one
# command: `step-runner ci`. Without the program that is a plain "command not found", long after the sources were fetched.
# $motmot_elsewhere: the batch scheduler whose nodes run the script.

if ! command -v step-runner >/dev/null; then
    printf 'motmot: %s\n' \
        "************************************************************************" \
        "WARNING: this job has 'run:', which needs the program step-runner, and that is not on the PATH of this account's jobs${motmot_elsewhere:+ on this machine; its script runs in $motmot_elsewhere, on a node that may have it}." \
        "What to do: ask the site to install step-runner, or put it on the PATH in ~/.bash_profile; or write 'script:' in place of 'run:'." \
        "************************************************************************" >&2
fi
