#!/bin/bash
# sbatch deploy/training/slurm.sh: two machines train one model. The run folder lies where the first one can write.
#SBATCH --job-name=fieldnets-training
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
set -euo pipefail
WORKERS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/$/:2222/' | tr '\n' ' ')
export WORKERS
srun --kill-on-bad-exit=1 deploy/training/tf_config.sh .venv/bin/sentiment train --data reviews.csv --run-dir runs/sentiment --resume
