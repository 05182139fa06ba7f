#!/bin/sh
# Evaluate on one device (run_eval_multi.sh: on several).
#
#   sh run_eval.sh [CONFIG [DATA [WEIGHTS]]] [options of tools/train.py]
#
# CONFIG   a yaml file, or the name of a published recipe      ($CONFIG, else t2t_vit_7)
# DATA     the validation images, or the folder with val/      ($DATA, else what the recipe says)
# WEIGHTS  a file, suffix optional, or the folder of a run     ($WEIGHTS, else ./NAME, NAME being that of the recipe)
# $PYTHON is the interpreter. Example:  sh run_eval.sh t2t_vit_7 /data/imagenet/val ./t2t_vit_7
here=$(cd "$(dirname "$0")" && pwd) || exit
case ${1-} in -h | --help) sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac
case ${1--} in -*) config=${CONFIG:-t2t_vit_7} ;; *) config=$1; shift ;; esac
case ${1--} in -*) data=${DATA-} ;; *) data=$1; shift ;; esac
case ${1--} in -*) weights=${WEIGHTS:-./$(basename "$config" .yaml)} ;; *) weights=$1; shift ;; esac
exec "${PYTHON:-python}" "$here/${PPIM_PROGRAM:-main_single_gpu.py}" -c "$config" ${data:+--data-path "$data"} \
    --evaluate-only --load "$weights" "$@"
