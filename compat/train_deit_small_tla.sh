#!/bin/sh
# Train DeiT-S with token-label alignment on several devices: run_train_multi.sh with that recipe.
#
#   sh train_deit_small_tla.sh [DATA] [options of tools/train.py]
#
# DATA    the folder with train/ and val/                   ($DATA, else what the recipe says)
# $GPUS   which, e.g. GPUS=0,1,2,3    (else $CUDA_VISIBLE_DEVICES, else all there are)
here=$(cd "$(dirname "$0")" && pwd) || exit
case ${1-} in -h | --help) sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac
exec sh "$here/run_train_multi.sh" deit_small_tla "$@"
