#!/usr/bin/env bash
# Trains on GPUs of a Slurm cluster, one process for each.
#
#   sbatch --nodes=2 launch/slurm.sh --config=configs/scenes.py --workdir=RUN
#
# To be started from the repository, on a disk that all nodes see. What stands before the script's
# name goes to Slurm, what stands behind it to launch/main.py. A job that Slurm stops and queues
# again goes on from the last checkpoint.
#SBATCH --job-name=classmix_jax
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out
set -euo pipefail

# JAX takes the GPU of its process's number on the node, so that every process must see them all.
exec srun --kill-on-bad-exit=1 --gpu-bind=none "${PYTHON:-.venv/bin/python}" launch/main.py "$@"
