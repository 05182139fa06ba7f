#!/bin/sh
# Evaluate on several devices: arguments and environment of run_eval.sh, and
#
# $GPUS   which, e.g. GPUS=0,1,2,3    (else $CUDA_VISIBLE_DEVICES, else all there are)
# $NPROC  without GPUs: the number of processes (2)
# Example:  GPUS=0,1,2,3 sh run_eval_multi.sh t2t_vit_7 /data/imagenet
here=$(cd "$(dirname "$0")" && pwd) || exit
case ${1-} in -h | --help) sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exec sh "$here/run_eval.sh" --help ;; esac
PPIM_PROGRAM=main_multi_gpu.py exec sh "$here/run_eval.sh" "$@"
