# shellcheck shell=bash
# Run by the prepare stage as the job's account, in the job's own environment: is there what the runner's scripts need?
#
# The runner guards its calls of these programs: without them caches and artifacts are skipped, and the job stays green.

if ! command -v git >/dev/null; then
    echo "motmot: warning: 'git' is not on the PATH of this account's jobs; the sources of the project cannot be fetched" >&2
fi
if ! command -v gitlab-runner >/dev/null; then
    echo "motmot: warning: 'gitlab-runner' is not on the PATH of this account's jobs; GitLab Runner will skip caches and artifacts without failing the job" >&2
fi
exit 0
