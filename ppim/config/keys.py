"""Every key that can be configured: one row each. A new key is one new row here; what a row may say: `row.key`.

Above a row stands what it means, `#: English | Chinese`; one text where both are the same. These texts are its cells in
docs/{en,cn}/training.md, whose tables tools/generate_key_tables.py writes: run it after a change here.
Keys stand by sections, in the order in which configurations are saved.
"""
from __future__ import annotations

from ppim.config.row import Key, key

KEYS: dict[str, Key] = {
    #: files to start from, relative to this one | 以哪些文件为基础，路径相对于本文件
    "BASE": key([""], of=str),
    #: what is learnt: `classify` (one class a photo) or `segment` (one a pixel, see [Segmentation](segmentation.md)) |
    #: 学习什么：`classify`（每张照片一个类别）或 `segment`（每个像素一个类别，见[语义分割](segmentation.md)）
    "TASK": key("classify", choices=("classify", "segment")),

    #: training samples per process and forward pass | 每个进程每次前向的训练样本数
    "DATA.BATCH_SIZE": key(8, least=1),
    #: evaluation samples per process | 每个进程每批的评估样本数
    "DATA.BATCH_SIZE_EVAL": key(8, least=1),
    #: root with `train/` and `val/` (or `test/`), or with `{train,val}_list.txt`, or one split's folder of class
    #: folders, or of tar shards |
    #: 根目录，内有 `train/` 和 `val/`（或 `test/`），或 `{train,val}_list.txt`；也可以直接是某个划分的目录，
    #: 内含各类别的子目录，或 tar 分片
    "DATA.DATA_PATH": key("data/ILSVRC2012"),
    #: where the data path has no validation images: set aside this share of the training images, each by its own name;
    #: 0: that is an error |
    #: 数据路径中没有验证图像时：按各自的文件名从训练图像中留出这一比例；0 表示报错
    "DATA.VAL_SHARE": key(0.0, least=0, most=0.9),
    #: pixels that the model sees: the side of a square, or `[height, width]`, which patches must fill; see
    #: [Image size](#image-size) |
    #: 模型看到的像素：正方形的边长，或 `[height, width]`（高、宽），须能被 patch 整除；见[图像大小](#图像大小)
    "DATA.IMAGE_SIZE": key(224, least=1, pair=True),
    #: evaluation: resized until it covers `IMAGE_SIZE` / `CROP_PCT`, rounded down (of a square: short side to that),
    #: then a centre crop |
    #: 评估：缩放到刚好覆盖 `IMAGE_SIZE` / `CROP_PCT`（向下取整；正方形即短边缩放到该值），再做中心裁剪
    "DATA.CROP_PCT": key(0.9, least=0.01, most=1),
    #: what is done about the orientation that a camera has noted: `apply` turns photos upright, `ignore` takes them as
    #: they are stored, as the published accuracies do and so the recipes; see [photos](#photos) |
    #: 如何处理相机记录的方向：`apply` 把照片转正；`ignore` 按存储的样子使用，已公布的准确率如此得来，配方也如此；
    #: 见[照片](#照片)
    "DATA.EXIF": key("apply", choices=("apply", "ignore")),
    #: a training photo that cannot be read: `raise` ends the run, `skip` replaces it by another one and says so, see
    #: [photos](#photos) |
    #: 遇到读不了的训练照片：`raise` 结束训练；`skip` 用另一张代替并说明，见[照片](#照片)
    "DATA.ON_BAD": key("raise", choices=("raise", "skip")),
    #: loader processes per training process; 0 loads in the training process itself |
    #: 每个训练进程的数据加载进程数；0 表示在训练进程内加载
    "DATA.NUM_WORKERS": key(4, least=0),
    #: seconds in which a loader must get on to the next photo, and another process must show that it lives; then the
    #: run ends, saved; 0: any | 加载器读完一张照片、其他进程显示仍在运行的时限（秒），超过则保存后结束；0 表示不限
    "DATA.TIMEOUT": key(600, least=0),
    #: mean of pixel values in [0, 1], per channel | 像素值（[0, 1]）的逐通道均值
    "DATA.IMAGENET_MEAN": key([0.485, 0.456, 0.406], of=float, length=3, least=0, most=1),
    #: the same, standard deviation | 同上，标准差
    "DATA.IMAGENET_STD": key([0.229, 0.224, 0.225], of=float, length=3, above=0, most=1),
    #: evaluation resize: `bilinear`, `bicubic` | 评估时的缩放：`bilinear`、`bicubic`
    "DATA.INTERPOLATION": key("bicubic", choices=("bilinear", "bicubic")),
    #: training crop resize: `bilinear`, `bicubic`, `random` (one of the two) |
    #: 训练裁剪时的缩放：`bilinear`、`bicubic`、`random`（随机取其一）
    "DATA.TRAIN_INTERPOLATION": key("random", choices=("bilinear", "bicubic", "random")),
    #: `crop-first`: RandAugment on the crop; `released`: on the whole photo, crop last, as in LV-ViT's recipes |
    #: `crop-first`：对裁剪后的图做 RandAugment；`released`：对整张照片做，最后裁剪，LV-ViT 的配方即如此
    "DATA.AUG_ORDER": key("crop-first", choices=("crop-first", "released")),
    #: random crop: share of the photo's area | 随机裁剪：占照片面积的比例
    "DATA.CROP_SCALE": key([0.08, 1.0], of=float, length=2, above=0, rising=True),
    #: random crop: width / height | 随机裁剪：宽 / 高
    "DATA.CROP_RATIO": key([0.75, 4 / 3], of=float, length=2, above=0, rising=True),
    #: probability of a horizontal flip | 水平翻转的概率
    "DATA.HFLIP": key(0.5, least=0, most=1),
    #: different views of a photo in the same epoch (DeiT: 3); the epoch's length stays |
    #: 同一轮里一张照片出现几个不同视图（DeiT：3）；每轮长度不变
    "DATA.REPEATED_AUG": key(1, least=1),
    #: what an epoch shows: `all` photos once, or as many photos, `balanced`: every class equally often, see
    #: [Uneven classes](#uneven-classes) |
    #: 每轮展示什么：`all` 每张照片一次；`balanced` 同样多的照片，但各类别次数相同，见[类别不均衡](#类别不均衡)
    "DATA.SAMPLING": key("all", choices=("all", "balanced")),

    #: family: `LV-ViT`, `VOLO`, `T2T-ViT`, `DeiT`, `ViT`, `paddle_vision` |
    #: 模型族：`LV-ViT`、`VOLO`、`T2T-ViT`、`DeiT`、`ViT`、`paddle_vision`
    "MODEL.TYPE": key("LV-ViT"),
    #: the model, any name of `ppim.list_models()`; or a name of your own, with `MODEL.TYPE` and all that the family
    #: needs of `MODEL.TRANS` |
    #: 模型，`ppim.list_models()` 中的任一名称；也可以自己取名，
    #: 此时须给出 `MODEL.TYPE` 和该模型族所需的全部 `MODEL.TRANS`
    "MODEL.NAME": key("lvvit_s"),
    #: checkpoint to go on from, as `--resume` | 从哪个检查点继续，同 `--resume`
    "MODEL.RESUME": key(None, or_=str),
    #: weights to start from or to evaluate, as `--load` | 作为起点或待评估的权重，同 `--load`
    "MODEL.PRETRAINED": key(None, or_=str),
    #: training starts the heads of `MODEL.PRETRAINED` afresh: `never`, `auto` (for other classes, by their names
    #: or their number, as `--finetune`), `always` (as `--new-heads`) |
    #: 训练开始时是否重新初始化 `MODEL.PRETRAINED` 的分类头：`never`、
    #: `auto`（类别的名称或数目不同时，同 `--finetune`）、`always`（同 `--new-heads`）
    "MODEL.NEW_HEADS": key("never", choices=("never", "auto", "always")),
    #: rows of the heads; None: one for each class of the training images, as many as weights that are evaluated have,
    #: without either as `MODEL.NAME` has it, 1000 for published models |
    #: 分类头的行数；None：训练图像有几个类别就有几行，评估时与权重一致，两者都没有时与 `MODEL.NAME` 一致，
    #: 已发布的模型为 1000
    "MODEL.NUM_CLASSES": key(None, or_=int, least=1),
    #: what the rows of the heads are called, as `--classes`: a file with one name a line, or `imagenet`; None: the
    #: sorted names of the class folders, and what weights say of themselves, see [Classes](#classes) |
    #: 分类头各行对应的类别名，同 `--classes`：每行一个名称的文件，或 `imagenet`；None：按名称排序的类别目录，
    #: 以及权重自带的说明，见[类别](#类别)
    "MODEL.CLASSES": key(None, or_=str),
    #: dropout of embeddings, projections and MLPs | 嵌入、投影和 MLP 的 dropout
    "MODEL.DROPOUT": key(0.0, least=0, most=0.999),
    #: dropout of attention weights | 注意力权重的 dropout
    "MODEL.ATTENTION_DROPOUT": key(0.0, least=0, most=0.999),
    #: stochastic depth rate of the last block, linear from 0 at the first |
    #: 最后一个 block 的 stochastic depth 概率，从第一个 block 的 0 线性增加
    "MODEL.DROPPATH": key(0.1, least=0, most=0.999),
    #: `batch`: statistics of the local batch; `frozen`: running statistics, also in training |
    #: `batch`：用本进程当前批次的统计量；`frozen`：训练时也用滑动统计量
    "MODEL.STEM_BN": key("batch", choices=("batch", "frozen")),
    #: DeiT: a distillation token with a head of its own, see [Distillation](#distillation); None: as `MODEL.NAME` has
    #: it |
    #: DeiT：带有自己的头的蒸馏 token，见[蒸馏](#蒸馏)；None：与 `MODEL.NAME` 一致
    "MODEL.DISTILLED": key(None, or_=bool),
    #: T2T-ViT, DeiT and ViT: a head on every token, which token labels need (LV-ViT and VOLO always have one) |
    #: T2T-ViT、DeiT 与 ViT：每个 token 上的分类头，token 标签需要它（LV-ViT 与 VOLO 始终有）
    "MODEL.DENSE_HEAD": key(False),
    #: add 0.5 x maximum over tokens to the class logits: `auto` (if the token head was trained), `always`, `never` |
    #: 是否在类别 logits 上加 0.5 x 各 token 的最大值：`auto`（token 头训练过才加）、`always`、`never`
    "MODEL.EVAL_TOKENS": key("auto", choices=("auto", "always", "never"),
                             also={"on": "always", "true": "always", "off": "never", "false": "never"}),
    #: T2T-ViT's tokens-to-token module: `performer`, `transformer`; None, here and below: as `MODEL.NAME` has it |
    #: T2T-ViT 的 tokens-to-token 模块：`performer`、`transformer`；None（此处及以下各项）：与 `MODEL.NAME` 一致
    "MODEL.TRANS.TOKEN_TYPE": key(None, or_=str, choices=("performer", "transformer")),
    #: LV-ViT, DeiT and ViT: pixels, divides `DATA.IMAGE_SIZE` | LV-ViT、DeiT 与 ViT：像素，须整除 `DATA.IMAGE_SIZE`
    "MODEL.TRANS.PATCH_SIZE": key(None, or_=int, least=1),
    #: width, a multiple of `MODEL.TRANS.NUM_HEADS` | 宽度，须是 `MODEL.TRANS.NUM_HEADS` 的倍数
    "MODEL.TRANS.EMBED_DIM": key(None, or_=int, least=1),
    #: blocks | block 数
    "MODEL.TRANS.DEPTH": key(None, or_=int, least=1),
    #: attention heads | 注意力头数
    "MODEL.TRANS.NUM_HEADS": key(None, or_=int, least=1),
    #: hidden width of the MLP per embedding width | MLP 隐层宽度与嵌入宽度之比
    "MODEL.TRANS.MLP_RATIO": key(None, or_=float, above=0),
    #: bias of queries, keys and values | query、key、value 是否带偏置
    "MODEL.TRANS.QKV_BIAS": key(None, or_=bool),
    #: attention scale; head width ** -0.5 in every named model | 注意力的缩放系数；有名称的模型都是头宽度 ** -0.5
    "MODEL.TRANS.QK_SCALE": key(None, or_=float, above=0),
    #: LV-ViT: each residual branch is divided by it | LV-ViT：每个残差分支都除以它
    "MODEL.TRANS.SKIP_LAM": key(None, or_=float, above=0),
    #: LV-ViT and VOLO: channels of the convolutional stem | LV-ViT 与 VOLO：卷积 stem 的通道数
    "MODEL.TRANS.STEM_CHANNELS": key(None, or_=int, least=1),
    #: VOLO, in place of `DEPTH`: blocks of outlook attention, then of the three parts of the second stage |
    #: VOLO，代替 `DEPTH`：outlook attention 的 block 数，随后是第二阶段三个部分的 block 数
    "MODEL.TRANS.LAYERS": key(None, or_=list, of=int, length=4, least=1),
    #: VOLO: heads of outlook attention, which has half the width | VOLO：outlook attention 的头数，其宽度为一半
    "MODEL.TRANS.OUTLOOK_HEADS": key(None, or_=int, least=1),
    #: ViT: factors, learnt, for the channels of every branch | ViT：每个分支各通道的可学习系数
    "MODEL.TRANS.LAYER_SCALE": key(None, or_=bool),
    #: ViT: tokens besides the class token, which nobody reads | ViT：类别 token 之外、无人读取的 token 数
    "MODEL.TRANS.REGISTERS": key(None, or_=int, least=0),
    #: ViT: whether the class token has a position of its own | ViT：类别 token 是否有自己的位置嵌入
    "MODEL.TRANS.CLASS_POSITION": key(None, or_=bool),

    #: epochs without the cool-down | 轮数，不含 cool-down
    "TRAIN.NUM_EPOCHS": key(300, least=1),
    #: linear warm-up; must be less than `TRAIN.NUM_EPOCHS` | 线性预热；须小于 `TRAIN.NUM_EPOCHS`
    "TRAIN.WARMUP_EPOCHS": key(5, least=0),
    #: epochs at `TRAIN.END_LR` after `TRAIN.NUM_EPOCHS` | `TRAIN.NUM_EPOCHS` 之后以 `TRAIN.END_LR` 再训练的轮数
    "TRAIN.COOLDOWN_EPOCHS": key(0, least=0),
    #: stop after this many optimizer steps (0: never); the schedule is not shortened |
    #: 优化器走完这么多步就停（0：不限）；学习率曲线不随之缩短
    "TRAIN.MAX_STEPS": key(0, least=0),
    #: end after so many evaluations in a row without a better best (0: never), see [Early ends](#early-ends) |
    #: 连续多少次评估没有更好的结果就结束（0：不限），见[提前结束](#提前结束)
    "TRAIN.EARLY_STOP": key(0, least=0),
    #: end after the step in which so many hours of training are over, of all starts of the run together (0: never);
    #: the schedule is not shortened, see [Early ends](#early-ends) |
    #: 训练时间（各次启动合计）达到这么多小时后，在当前一步结束时停止（0：不限）；学习率曲线不随之缩短，
    #: 见[提前结束](#提前结束)
    "TRAIN.MAX_HOURS": key(0.0, least=0),
    #: not applied to biases, norms, class token and position embedding; of segmenters to all parameters |
    #: 不作用于偏置、归一化层、类别 token 和位置嵌入；分割模型则作用于全部参数
    "TRAIN.WEIGHT_DECAY": key(0.05, least=0),
    #: highest rate, at a global batch of `TRAIN.LINEAR_SCALED_LR` samples |
    #: 最高学习率，对应的全局批大小为 `TRAIN.LINEAR_SCALED_LR` 个样本
    "TRAIN.BASE_LR": key(1.6e-3, least=0),
    #: the batch `TRAIN.BASE_LR` is meant for; None: it is used as it is |
    #: `TRAIN.BASE_LR` 所对应的全局批大小；None：原样使用
    "TRAIN.LINEAR_SCALED_LR": key(None, or_=int, least=1),
    #: layer-wise: the rate of layer i is multiplied with this to the power of (blocks + 1 - i), where what makes the
    #: tokens is layer 0, then come the blocks, and the last norm and the heads have the full rate; 1: off, see
    #: [Fine-tuning](#fine-tuning) |
    #: 逐层衰减：第 i 层的学习率乘以它的（block 数 + 1 - i）次方；生成 token 的部分为第 0 层，之后是各 block，
    #: 最后的归一化与分类头用完整的学习率；1：关闭，见[微调](#微调)
    "TRAIN.LAYER_DECAY": key(1.0, least=0.01, most=1),
    #: what stays as it is: `none`, `embedding` (all that makes the tokens), a number (the embedding and so many of the
    #: first blocks), `backbone` (all but the heads), see [Fine-tuning](#fine-tuning) |
    #: 保持不变的部分：`none`、`embedding`（生成 token 的全部）、一个数字（embedding 和前若干个 block）、
    #: `backbone`（分类头以外的全部），见[微调](#微调)
    "TRAIN.FREEZE": key("none", also={"none": "none", "0": "none"}),
    #: which rates follow the batch: `all`, `base` (`TRAIN.BASE_LR` alone, as in DeiT) |
    #: 哪些学习率随批大小缩放：`all`、`base`（只有 `TRAIN.BASE_LR`，与 DeiT 相同）
    "TRAIN.SCALED_RATES": key("all", choices=("all", "base")),
    #: rate at the first step | 第一步的学习率
    "TRAIN.WARMUP_START_LR": key(1e-6, least=0),
    #: rate at the end | 最后的学习率
    "TRAIN.END_LR": key(1e-5, least=0),
    #: largest global gradient norm; None: no clipping | 全局梯度范数的上限；None：不裁剪
    "TRAIN.GRAD_CLIP": key(None, or_=float, above=0),
    #: the run ends after so many steps in a row whose loss or gradients were not finite, see
    #: [Losses that are not finite](#losses-that-are-not-finite) |
    #: 连续多少步的损失或梯度不是有限值时停止运行，见[损失非有限](#损失非有限)
    "TRAIN.MAX_BAD_STEPS": key(8, least=1),
    #: forward passes per optimizer step; counts in the global batch | 每个优化器步的前向次数；计入全局批大小
    "TRAIN.ACCUM_ITER": key(1, least=1),
    #: less memory, more time: of each block only its input is kept, the backward pass computes the rest again, see
    #: [Large models](#large-models) |
    #: 省显存、费时间：每个 block 只保留输入，其余在反向传播时重新计算，见[大模型](#大模型)
    "TRAIN.RECOMPUTE": key(False),
    #: keep a running average of the weights | 是否维护权重的滑动平均
    "TRAIN.MODEL_EMA": key(True),
    #: its decay | 滑动平均的衰减系数
    "TRAIN.MODEL_EMA_DECAY": key(0.99992, least=0, most=1),
    #: `cosine`, `warmupcosine`, `constant`, `poly`; see [Learning rate](#learning-rate) |
    #: `cosine`、`warmupcosine`、`constant`、`poly`；见[学习率](#学习率)
    "TRAIN.LR_SCHEDULER.NAME": key("warmupcosine", choices=("cosine", "warmupcosine", "constant", "poly")),
    #: power of `poly` | `poly` 的幂次
    "TRAIN.LR_SCHEDULER.POWER": key(1.0, least=0),
    #: `AdamW`, `SGD` | `AdamW`、`SGD`
    "TRAIN.OPTIMIZER.NAME": key("AdamW", choices=("AdamW", "SGD")),
    #: AdamW
    "TRAIN.OPTIMIZER.EPS": key(1e-8, above=0),
    #: AdamW
    "TRAIN.OPTIMIZER.BETAS": key([0.9, 0.999], of=float, length=2, least=0, below=1),
    #: SGD
    "TRAIN.OPTIMIZER.MOMENTUM": key(0.9, least=0, below=1),
    #: beta(a, a) draws the share; 0: no mixup | 比例由 beta(a, a) 抽取；0：不用 mixup
    "TRAIN.MIXUP_ALPHA": key(0.8, least=0),
    #: beta(a, a) draws the share; 0: no cutmix | 比例由 beta(a, a) 抽取；0：不用 cutmix
    "TRAIN.CUTMIX_ALPHA": key(1.0, least=0),
    #: [least, most] share of a side, instead of `TRAIN.CUTMIX_ALPHA` |
    #: 框的边长占比 [最小, 最大]，代替 `TRAIN.CUTMIX_ALPHA`
    "TRAIN.CUTMIX_MINMAX": key(None, or_=list, of=float, length=2, above=0, below=1, rising=True),
    #: probability that pixels are mixed at all | 进行像素混合的概率
    "TRAIN.MIXUP_PROB": key(1.0, least=0, most=1),
    #: probability of cutmix where both are on | 两者都开启时选用 cutmix 的概率
    "TRAIN.MIXUP_SWITCH_PROB": key(0.5, least=0, most=1),
    #: `batch`: one draw for `MIX.GROUP` images; `pair`, `elem`: one for each pair, each image |
    #: `batch`：每 `MIX.GROUP` 张图抽一次；`pair`、`elem`：每对、每张图各抽一次
    "TRAIN.MIXUP_MODE": key("batch", choices=("batch", "pair", "elem")),
    #: label smoothing, of plain and of token labels | 标签平滑，普通标签和 token 标签都适用
    "TRAIN.SMOOTHING": key(0.1, least=0, most=1),
    #: used where `TRAIN.AUTO_AUGMENT` is off, as in timm | 只在关闭 `TRAIN.AUTO_AUGMENT` 时使用，与 timm 相同
    "TRAIN.COLOR_JITTER": key(0.4, least=0),
    #: RandAugment policy in timm's spelling; `""` for none | RandAugment 策略，timm 的写法；`""` 表示不用
    "TRAIN.AUTO_AUGMENT": key("rand-m9-mstd0.5-inc1",  # PaddleViT's files have True and False
                              also={"true": "rand-m9-mstd0.5-inc1", "false": "", "none": ""}),
    #: probability of random erasing | 随机擦除的概率
    "TRAIN.RANDOM_ERASE_PROB": key(0.25, least=0, most=1),
    #: `const` (the mean), `rand` (one colour), `pixel` (noise per pixel) |
    #: `const`（均值）、`rand`（一种颜色）、`pixel`（逐像素噪声）
    "TRAIN.RANDOM_ERASE_MODE": key("pixel", choices=("const", "rand", "pixel")),
    #: boxes at most | 最多擦除几块
    "TRAIN.RANDOM_ERASE_COUNT": key(1, least=1),

    #: folder of masks with `train/` and `val/`, PNGs under the names of the photos; `""`: ADE20K's layout in
    #: `DATA.DATA_PATH` | 掩码目录，内有 `train/` 和 `val/`，PNG 与照片同名；`""`：`DATA.DATA_PATH` 为 ADE20K 的布局
    "SEGMENT.MASKS": key(""),
    #: pixels of index 0: `ignore` them, as for ADE20K, or a `class` of their own, the first |
    #: 索引为 0 的像素：`ignore` 忽略（如 ADE20K），或 `class` 单独作为第一个类别
    "SEGMENT.GROUND": key("ignore", choices=("ignore", "class")),
    #: the four blocks that are tapped, 0 the first, the last among them; None: the last and those 3, 6 and 9 before
    #: it |
    #: 取特征的四个 block，0 为第一个，须含最后一个；None：最后一个，以及它之前第 3、6、9 个
    "SEGMENT.LAYERS": key(None, or_=list, of=int, length=4, least=0),
    #: channels of the heads | 分割头的通道数
    "SEGMENT.CHANNELS": key(256, least=1),
    #: channels of the last map of the pyramid | 金字塔最后一层的通道数
    "SEGMENT.TOP_CHANNELS": key(2048, least=1),
    #: probability that a channel is left out before the last layer of a head | 分割头最后一层之前丢弃一个通道的概率
    "SEGMENT.DROPOUT": key(0.1, least=0, most=0.999),
    #: weight of the auxiliary head's loss | 辅助头损失的权重
    "SEGMENT.AUX_WEIGHT": key(0.4, least=0),
    #: [long, short] sides in pixels that a photo is resized to fit into, in training times a random factor |
    #: 照片缩放后须放入的 [长边, 短边]，像素；训练时再乘以随机系数
    "SEGMENT.SCALE": key([2048, 512], of=int, length=2, least=1),
    #: training: [least, most] of that factor | 训练：该系数的 [最小, 最大]
    "SEGMENT.FACTORS": key([0.5, 2.0], of=float, length=2, above=0, rising=True),
    #: training: share of a crop that one class may have, if one of ten draws finds such a crop |
    #: 训练：裁剪中单个类别所占比例的上限（至多抽取十次，抽到为止；都抽不到时不受此限）
    "SEGMENT.MOST_OF_ONE": key(0.75, least=0.01, most=1),
    #: training: brightness, contrast, saturation and hue change | 训练：亮度、对比度、饱和度、色相随机变化
    "SEGMENT.DISTORT": key(True),
    #: evaluation: `slide` a window of `DATA.IMAGE_SIZE` over the photo, or look at the `whole` at once |
    #: 评估：`slide` 以 `DATA.IMAGE_SIZE` 为窗口滑动，或 `whole` 一次看整张照片
    "SEGMENT.MODE": key("slide", choices=("slide", "whole")),
    #: evaluation: pixels from window to window | 评估：相邻窗口相距的像素数
    "SEGMENT.STRIDE": key(341, least=1),

    #: teach with label maps | 用标签图训练
    "TOKEN_LABEL.ENABLE": key(False),
    #: folder of the training photos' maps, or the folder of the tar shards they lie in |
    #: 训练照片的标签图目录，或标签图所在的 tar 分片的目录
    "TOKEN_LABEL.PATH": key("data/label_top5_train_nfnet"),
    #: maps of the validation photos: evaluation then reports token accuracy as well |
    #: 验证照片的标签图；设置后评估时还会报告 token 准确率
    "TOKEN_LABEL.VAL_PATH": key(""),
    #: `released`: softmax of the interpolated scores; `probs`: the annotator's probabilities, needs maps with
    #: log-sum-exp |
    #: `released`：对插值后的分数做 softmax；`probs`：标注模型的概率，需要带 log-sum-exp 的标签图
    "TOKEN_LABEL.TARGET": key("released", choices=("released", "probs")),
    #: `exact`: labels follow the pixels; `released`: x and y of the crop exchanged, as published |
    #: `exact`：标签跟着像素走；`released`：对调裁剪框的 x 与 y，与官方代码相同
    "TOKEN_LABEL.GEOMETRY": key("exact", choices=("exact", "released"), also={"true": "exact"}),
    #: `rows-first` ([K, H, W]), `columns-first` ([K, W, H]); this and the next two are for maps without a card, see
    #: [how a map is to be read](token_labels.md#how-a-map-is-to-be-read) |
    #: `rows-first`（[K, H, W]）、`columns-first`（[K, W, H]）；此键与下面两个键用于没有说明卡的标签图，
    #: 见[标签图该怎样读](token_labels.md#标签图该怎样读)
    "TOKEN_LABEL.ORIENTATION": key("rows-first", choices=("rows-first", "columns-first")),
    #: what the maps show: `centre-crop`, the centre square of the photo; `whole`, all of it |
    #: 标签图的覆盖范围：`centre-crop` 照片中心的正方形，`whole` 整张照片
    "TOKEN_LABEL.FRAME": key("centre-crop", choices=("whole", "centre-crop")),
    #: side of that square per resized short side | 该正方形的边长与缩放后短边之比
    "TOKEN_LABEL.FRAME_CROP_PCT": key(1.0, least=0.01, most=1),
    #: target of tokens that show mostly fill: `uniform`, `ignore` (weight 0) |
    #: 以填充为主的 token 的目标：`uniform` 均匀分布，`ignore` 权重 0
    "TOKEN_LABEL.FILL": key("uniform", choices=("uniform", "ignore")),
    #: target of tokens of which the map says nothing, all classes of its cells having the same score: `uniform`,
    #: `ignore` (weight 0) |
    #: 标签图对某个 token 没有给出信息（其格子里所有类别分数相同）时该 token 的目标：`uniform` 均匀分布，`ignore` 权重 0
    "TOKEN_LABEL.BLANK": key("uniform", choices=("uniform", "ignore")),
    #: what tokens count in the token loss: `none`, all the same; `confidence`, as much as the annotator was sure there,
    #: which needs maps with log-sum-exp |
    #: 每个 token 在 token 损失中占多大权重：`none` 一律相同；`confidence` 取标注模型在该处的置信度，
    #: 需要带 log-sum-exp 的标签图
    "TOKEN_LABEL.WEIGHT": key("none", choices=("none", "confidence"), also={"none": "none"}),
    #: class target of a photo that is not mixed: `map`, what its map says of the view, as published; `label`, its own |
    #: 未混合照片的类别目标：`map` 取标签图对该视图的描述，与论文相同；`label` 取照片自身的标签
    "TOKEN_LABEL.CLASS_TARGET": key("map", choices=("map", "label")),
    #: for experiments, which token gets which target of its view: `right`, `shuffled`, `pooled` (the mean) |
    #: 供实验使用，视图中的目标交给哪个 token：`right` 原位，`shuffled` 打乱，`pooled` 取平均
    "TOKEN_LABEL.PLACE": key("right", choices=("right", "shuffled", "pooled")),
    #: for experiments: labels are taken from so many tokens away, in a direction drawn for each view |
    #: 供实验使用：标签取自相距这么多个 token 的位置，方向按视图随机
    "TOKEN_LABEL.DISPLACEMENT": key(0.0, least=0),

    #: weight of the class loss | 类别损失的权重
    "LOSS.CLASS_WEIGHT": key(1.0, least=0),
    #: what photos of rare classes count: `none`, all the same; `inverse` to the number of photos of their class;
    #: `effective`, to the effective number of Cui et al., see [Uneven classes](#uneven-classes) |
    #: 稀少类别的照片占多大权重：`none` 一律相同；`inverse` 与该类照片数成反比；
    #: `effective` 与 Cui 等人的有效样本数成反比，见[类别不均衡](#类别不均衡)
    "LOSS.CLASS_BALANCE": key("none", choices=("none", "inverse", "effective"), also={"none": "none"}),
    #: `effective`: beta, which for n photos of a class counts (1 - beta^n) / (1 - beta) |
    #: `effective`：beta，n 张照片计为 (1 - beta^n) / (1 - beta)
    "LOSS.BALANCE_BETA": key(0.999, least=0, most=0.999999),
    #: weight of the token loss; counts only with `TOKEN_LABEL.ENABLE` |
    #: token 损失的权重；只在 `TOKEN_LABEL.ENABLE` 时有效
    "LOSS.DENSE_WEIGHT": key(1.0, least=0),
    #: blend the photo's own label into the class target taken from the map, as the released option |
    #: 把照片自身的标签混入由标签图得到的类别目标，与官方代码的同名选项相同
    "LOSS.GROUND_TRUTH": key(False),

    #: MixToken: beta(a, a) draws the box; 0: off (LV-ViT: 1.0) | MixToken：框由 beta(a, a) 抽取；0：关闭（LV-ViT：1.0）
    "MIX.TOKEN_ALPHA": key(0.0, least=0),
    #: images of the global batch that share a draw where `TRAIN.MIXUP_MODE` is `batch`; even |
    #: `TRAIN.MIXUP_MODE` 为 `batch` 时，全局批次中共用一次抽取的图像数；偶数
    "MIX.GROUP": key(128, least=2),
    #: borders of cutmix boxes: `pixels`, or `tokens` (each token then shows one image) |
    #: cutmix 框的边界：`pixels`，或 `tokens`（这样每个 token 只含一张图）
    "MIX.CUTMIX_GRID": key("pixels", choices=("pixels", "tokens")),
    #: what shares the class target of a mixed picture: `area`, `attention` (TransMix), `alignment` (TL-Align); see
    #: [tl_align.md](tl_align.md) |
    #: 混合图像的类别目标按什么分配：`area`、`attention`（TransMix）、`alignment`（TL-Align）；见
    #: [tl_align.md](tl_align.md)
    "MIX.CLASS_SHARE": key("area", choices=("area", "attention", "alignment")),

    #: what the class learns from a teacher: `none`, `soft` (its distribution), `hard` (its best class) |
    #: 类别向教师学什么：`none`、`soft`（教师的分布）、`hard`（教师的最佳类别）
    "DISTILL.TYPE": key("none", choices=("none", "soft", "hard"), also={"none": "none"}),  # None is meant so, too
    #: recipe of the teacher: a yaml file, or the name of a published one | 教师的配方：yaml 文件，或已有配方的名称
    "DISTILL.TEACHER": key(""),
    #: file of the teacher's weights | 教师的权重文件
    "DISTILL.WEIGHTS": key(""),
    #: weight of the teacher's class loss, 0 to 1; the labels' has the rest |
    #: 教师的类别损失的权重，0 到 1；其余归标签的损失
    "DISTILL.ALPHA": key(0.5, least=0, most=1),
    #: `soft`: temperature | `soft`：温度
    "DISTILL.TAU": key(1.0, least=0.01),
    #: weight of a token loss against the teacher's tokens on the same crop; 0: none |
    #: 以教师在同一裁剪图上的各 token 为目标的 token 损失的权重；0：不用
    "DISTILL.DENSE_WEIGHT": key(0.0, least=0),
    #: classes of the teacher kept per token; the rest of its probability is spread evenly |
    #: 每个 token 保留教师的几个类别；其余概率均匀分配
    "DISTILL.TOP_K": key(5, least=1),

    #: as `--evaluate-only` | 同 `--evaluate-only`
    "EVAL.ONLY": key(False),
    #: `auto` (the running average where there is one), `raw`, `ema` | `auto`（有滑动平均就用它）、`raw`、`ema`
    "EVAL.WEIGHTS": key("auto", choices=("auto", "raw", "ema")),
    #: `ppim evaluate`, `ppim predict`, `ppim labels make` on a processor: `dygraph` (as in training, bit for bit),
    #: `inference` (paddle.inference with oneDNN, rounded otherwise), `auto` (for many photos the faster of the two;
    #: label maps are made by `dygraph`) |
    #: 在处理器上的 `ppim evaluate`、`ppim predict`、`ppim labels make`：`dygraph`（与训练时逐位相同）、
    #: `inference`（paddle.inference 加 oneDNN，舍入不同）、`auto`（照片多时取两者中较快的；标签图仍用 `dygraph`）
    "EVAL.ENGINE": key("dygraph", choices=("auto", "dygraph", "inference")),
    #: `ppim evaluate`, `ppim predict`: share of the patches that are left behind the last block, the most alike being
    #: merged on the way (see [Fewer tokens](using.md#fewer-tokens)); 1: all |
    #: `ppim evaluate`、`ppim predict`：最后一个 block 之后留下的 patch 比例，
    #: 途中合并最相似的（见[更少的 token](using.md#更少的-token)）；1：全部保留
    "EVAL.KEEP": key(1.0, least=0.01, most=1),
    #: of products, with `inference`: `float32`, or `bfloat16` on processors that have it (AVX512-BF16, AMX) |
    #: `inference` 的矩阵乘精度：`float32`，或在支持的处理器（AVX512-BF16、AMX）上用 `bfloat16`
    "EVAL.PRECISION": key("float32", choices=("float32", "bfloat16")),
    #: evaluation only, as `--report`: a folder for a report | 仅评估，同 `--report`：存放报告的目录
    "EVAL.REPORT": key(""),
    #: evaluation only, as `--dump`: a CSV file for every answer | 仅评估，同 `--dump`：记录每个回答的 CSV 文件
    "EVAL.DUMP": key(""),
    #: evaluation only, as `--real`: ImageNet's ReaL labels, `real.json` |
    #: 仅评估，同 `--real`：ImageNet 的 ReaL 标签 `real.json`
    "EVAL.REAL": key(""),
    #: evaluation only: classes that may be answered, `all` or those `shown` by the images (ImageNet-A, ImageNet-R) |
    #: 仅评估：可以回答的类别，`all`（全部）或 `shown`（图像中出现的；ImageNet-A、ImageNet-R）
    "EVAL.AMONG": key("all", choices=("all", "shown")),

    #: run folder; `""`: `output/<config name>` | 运行目录；`""`：`output/<配置名>`
    "SAVE": key(""),
    #: epochs between checkpoints | 每隔几轮存一次检查点
    "SAVE_FREQ": key(1, least=1),
    #: also every so many steps; 0: only by epochs | 另外每隔多少步存一次；0：只按轮
    "SAVE_STEPS": key(0, least=0),
    #: newest checkpoints kept, at least 2 | 保留最新的几个检查点，至少 2 个
    "KEEP_CHECKPOINTS": key(2, least=2),
    #: steps between log lines | 每隔多少步写一行日志
    "REPORT_FREQ": key(50, least=1),
    #: at every evaluation, how many validation photos are drawn with what their tokens say, and at the start as many
    #: training samples with what their tokens are taught, for [VisualDL](#logs); 0: none |
    #: 每次评估时画出多少张验证照片及其各 token 的判断，并在开始时画出同样多的训练样本及其 token 的目标，
    #: 供 [VisualDL](#日志) 显示；0：不画
    "PICTURES": key(0, least=0, most=32),
    #: epochs between evaluations | 每隔几轮评估一次
    "VALIDATE_FREQ": key(1, least=1),
    #: of initial weights, samples, mixes and dropout | 决定初始权重、样本、混合和 dropout
    "SEED": key(0, least=0, most=2**64 - 1),
    #: what a mistake does that raises nothing and that a [check](checks.md) is certain of: `stop` the run, or `tell`
    #: of it and go on |
    #: 对于不会报错、但[检查](checks.md)能够确定的错误：`stop` 停止运行，`tell` 只提示并继续
    "CHECKS": key("stop", choices=("stop", "tell")),
    #: [mixed precision](#mixed-precision): `auto` (on GPUs that gain by it), `always` (on any GPU), `never` |
    #: [混合精度](#混合精度)：`auto`（在能因此加速的 GPU 上开启）、`always`（在任何 GPU 上开启）、`never`
    "AMP": key("auto", choices=("auto", "always", "never"), also={"true": "always", "false": "never"}),
    #: `auto` (bfloat16 where supported), `bfloat16`, `float16` | `auto`（支持就用 bfloat16）、`bfloat16`、`float16`
    "AMP_DTYPE": key("auto", choices=("auto", "bfloat16", "float16")),
    #: on GPUs: slower kernels whose sums do not depend on chance, where Paddle has them |
    #: 仅 GPU：在 Paddle 提供的范围内，改用较慢、但求和结果不受随机因素影响的计算核
    "DETERMINISTIC": key(False),
}
