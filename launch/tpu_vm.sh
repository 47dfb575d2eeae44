#!/usr/bin/env bash
# Trains on a TPU VM of Google Cloud, or on a pod, with the Google Cloud CLI.
#
#   export TPU=classmix ZONE=us-central2-b
#   launch/tpu_vm.sh create v4-32 tpu-ubuntu2204-base      # type, and version of the software
#   launch/tpu_vm.sh install                               # this repository, to all hosts
#   launch/tpu_vm.sh train --config=configs/cityscapes.py --config.data.root=DIR --workdir=RUN
#   launch/tpu_vm.sh delete
#
# On a pod, DIR and RUN must be on a disk that all hosts share, for example Filestore.
# The same `train` command continues from the last checkpoint.
set -euo pipefail
: "${TPU:?is the name of the TPU VM}" "${ZONE:?is the zone of Google Cloud}"

tpu() {
  gcloud compute tpus tpu-vm "$1" "$TPU" --zone="$ZONE" "${@:2}"
}

everywhere() {
  tpu ssh --worker=all --command="$1"
}

case "${1:-}" in
  create)
    tpu create --accelerator-type="$2" --version="$3"
    ;;
  install)
    archive=$(mktemp)
    trap 'rm -f "$archive"' EXIT
    git archive --format=tar.gz --output="$archive" HEAD
    gcloud compute tpus tpu-vm scp "$archive" "$TPU:classmix_jax.tar.gz" --zone="$ZONE" --worker=all
    everywhere 'set -e; mkdir -p classmix_jax; tar -xzf classmix_jax.tar.gz -C classmix_jax;
      cd classmix_jax; python3 -m venv .venv; .venv/bin/pip install --quiet -e ".[tpu]"'
    ;;
  train)
    shift
    everywhere "cd classmix_jax; .venv/bin/python launch/main.py --coordinator=cluster ${*@Q}"
    ;;
  delete)
    tpu delete --quiet
    ;;
  *)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
