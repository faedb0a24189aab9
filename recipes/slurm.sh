#!/usr/bin/env bash
# Train with Hornbook on several machines of a SLURM cluster:
#
#     sbatch recipes/slurm.sh recipes/tinyshakespeare.toml training.batch_size=64
#
# What follows the script's name goes to `hornbook pretrain` as it is: a recipe, then settings.
# Run directory, corpus and virtual environment must lie on a disk that all machines share.

#SBATCH --job-name=hornbook
#SBATCH --nodes=2                 # machines; training.batch_size must be a multiple of all GPUs
#SBATCH --ntasks-per-node=1       # one torchrun each, which starts a process for every GPU
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120         # two minutes before the end: the step is finished and saved
#SBATCH --requeue                 # after a machine has failed, or the cluster took it: start again
#SBATCH --open-mode=append        # ... and go on in the same log
#SBATCH --output=hornbook-%j.log

set -euo pipefail

# Where Hornbook is installed; sbatch hands over the environment, so an active one need not be named.
ENVIRONMENT=${ENVIRONMENT:-$SLURM_SUBMIT_DIR/.venv}
if [[ -f $ENVIRONMENT/bin/activate ]]; then
    source "$ENVIRONMENT/bin/activate"
fi
cd "$SLURM_SUBMIT_DIR"

# The first machine of the job is where all processes meet. Two jobs of one cluster may share a
# machine, so that the port follows from the job's number.
first_machine=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))

gpus=${SLURM_GPUS_ON_NODE:-8}
export OMP_NUM_THREADS=$((SLURM_CPUS_PER_TASK / gpus))  # of each process
export NCCL_DEBUG=${NCCL_DEBUG:-WARN}

# --max-restarts: a process that dies is started again, with all the others, and training goes on
# from the newest checkpoint. --kill-on-bad-exit: when even that fails, the whole job ends at once
# instead of holding the machines that are left.
srun --kill-on-bad-exit=1 torchrun \
    --nnodes "$SLURM_JOB_NUM_NODES" \
    --nproc-per-node "$gpus" \
    --rdzv-id "$SLURM_JOB_ID" \
    --rdzv-backend c10d \
    --rdzv-endpoint "$first_machine:$port" \
    --max-restarts 3 \
    -m hornbook pretrain "$@"
