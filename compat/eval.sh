#!/bin/sh
# Evaluate weights, whatever published model they are of.
#
#   sh eval.sh DATA CHECKPOINT [MODEL] [options of tools/train.py]
#
# DATA        the validation images, or the folder with val/
# CHECKPOINT  a file of weights, the folder of a run, or a folder of weights files: each is evaluated
# MODEL       its name, e.g. lvvit_s ($MODEL, else recognised by the weights)
# $PYTHON is the interpreter. Example:  CUDA_VISIBLE_DEVICES=0 sh eval.sh /data/imagenet/val lvvit_s-26M-384-84.4.tar
here=$(cd "$(dirname "$0")" && pwd) || exit
case ${1-} in -h | --help) sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac
if [ $# -lt 2 ]; then
    sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0" >&2
    exit 2
fi
data=$1 checkpoint=$2
shift 2
case ${1--} in -*) model=${MODEL-} ;; *) model=$1; shift ;; esac

evaluate() {
    weights=$1
    shift
    "${PYTHON:-python}" "$here/main_single_gpu.py" --evaluate-only --load "$weights" --data-path "$data" \
        ${model:+--model "$model"} "$@"
}

if [ ! -d "$checkpoint" ] || [ -d "$checkpoint/checkpoints" ] || [ -f "$checkpoint/MANIFEST" ]; then
    evaluate "$checkpoint" "$@"
    exit
fi
found=0 failed=0
for file in "$checkpoint"/*.pdparams "$checkpoint"/*.safetensors "$checkpoint"/*.pth "$checkpoint"/*.pt \
    "$checkpoint"/*.tar "$checkpoint"/*.pd; do
    [ -f "$file" ] || continue
    found=1
    echo "$file"
    evaluate "$file" "$@" || failed=1
done
if [ $found = 0 ]; then
    echo "error: no weights in $checkpoint (looked for .pdparams .safetensors .pth .pt .tar .pd)" >&2
    exit 1
fi
exit $failed
