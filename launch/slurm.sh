#!/usr/bin/env bash
# Trains on GPUs of a Slurm cluster, one process for each.
#
#   sbatch --nodes=2 launch/slurm.sh --config=configs/scenes.py --workdir=RUN
#
# Start it in the repository, on a disk that all nodes share. Arguments before the script's name are
# Slurm's, those after it are passed to launch/main.py. A job that Slurm stops and requeues continues
# from its last checkpoint.
#SBATCH --job-name=classmix_jax
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out
set -euo pipefail

# JAX uses the GPU with the local number of its process, so every process must see all GPUs.
exec srun --kill-on-bad-exit=1 --gpu-bind=none "${PYTHON:-.venv/bin/python}" launch/main.py "$@"
