#!/bin/sh
# tf_config.sh COMMAND...: says to COMMAND which processes train together (TF_CONFIG), from what the machines know.
#   WORKERS   "host:port host:port ...": the same list, in the same order, for every process
#   RANK      which of them this is; without it, the index of a Kubernetes job or of a Slurm task
set -eu
rank=${RANK:-${JOB_COMPLETION_INDEX:-${SLURM_PROCID:?"RANK: expected the number of this process in WORKERS"}}}
list=
for each in ${WORKERS:?"WORKERS: expected host:port of every process"}; do
    list="$list${list:+, }\"$each\""
done
TF_CONFIG="{\"cluster\": {\"worker\": [$list]}, \"task\": {\"type\": \"worker\", \"index\": $rank}}"
export TF_CONFIG
exec "$@"
