#!/bin/sh
# Train on one device (run_train_multi.sh: on several).
#
#   sh run_train.sh [CONFIG [DATA]] [options of tools/train.py]
#
# CONFIG  a yaml file, or the name of a published recipe    ($CONFIG, else t2t_vit_7)
# DATA    the folder with train/ and val/                   ($DATA, else what the recipe says)
# $PYTHON is the interpreter. Example:  sh run_train.sh t2t_vit_14 /data/imagenet -o DATA.BATCH_SIZE 32
here=$(cd "$(dirname "$0")" && pwd) || exit
case ${1-} in -h | --help) sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac
case ${1--} in -*) config=${CONFIG:-t2t_vit_7} ;; *) config=$1; shift ;; esac
case ${1--} in -*) data=${DATA-} ;; *) data=$1; shift ;; esac
exec "${PYTHON:-python}" "$here/${PPIM_PROGRAM:-main_single_gpu.py}" -c "$config" ${data:+--data-path "$data"} "$@"
