"""Which label maps does a run take, and how are they read? By their card's word, else by the configuration's."""
from __future__ import annotations

from pathlib import Path

from yacs.config import CfgNode

from ppim.data.images import ImageList
from ppim.engine.classes import check_maps
from ppim.token_labels.card import Reading, card_place, read_card
from ppim.token_labels.maps import stem_of
from ppim.token_labels.store import Maps, first_shared, how_to_find, open_maps


def map_reading(config: CfgNode, recipe: CfgNode, path: str) -> tuple[Reading, str]:
    """How the maps in `path` are to be read, and by whose word: their card's, or, without one, the configuration's.

    Raises:
        ValueError: the card is damaged; the configuration departs from its recipe to say what the card denies; or the
            maps are of photos read in another way than this run reads them.
    """
    labels, exif = config.TOKEN_LABEL, config.DATA.EXIF
    crop_pct = labels.FRAME_CROP_PCT if labels.FRAME == "centre-crop" else 1.0
    stated, card = Reading(labels.FRAME, crop_pct, labels.ORIENTATION, exif=exif), read_card(path)
    if card is None:
        return stated, "the configuration"
    if card.exif != exif:
        raise ValueError(
            f"{card_place(path)} says that its maps are of photos read with DATA.EXIF {card.exif}, this run has "
            f"DATA.EXIF {exif}: labels would lie beside what they mean; set -o DATA.EXIF {card.exif}, or make the maps "
            "again"
        )
    keys = {"frame": "FRAME", "crop_pct": "FRAME_CROP_PCT", "orientation": "ORIENTATION"}
    denied = {keys[name]: said for name, said in card._asdict().items()
              if name in keys and said != getattr(stated, name)}
    for key, said in denied.items():
        if labels[key] != recipe.TOKEN_LABEL[key]:
            raise ValueError(
                f"TOKEN_LABEL.{key} is set to {labels[key]}, but {card_place(path)} says {said} ({card}); leave the "
                "key out, a card counts more than a recipe, or correct the card where it is wrong"
            )
    ours = ", ".join(f"{key} {labels[key]}" for key in denied)
    where = "there" if card_place(path).parent == Path(path) else "in the folder above"
    return card, f"{card_place(path).name} {where}" + (f", against {ours} in the recipe" if ours else "")


def label_maps(config: CfgNode, recipe: CfgNode, images: ImageList, path: str) -> Maps:
    """The label maps of `images`; every one must be there before training starts, not at hour nine.

    Args:
        recipe: the configuration before changes on the command line, see `map_reading`.
    """
    labels = config.TOKEN_LABEL
    if not Path(path).is_dir():
        trains = labels.ENABLE and path == labels.PATH
        key, without = ("PATH", "train with plain labels: -o TOKEN_LABEL.ENABLE False") if trains else (
            "VAL_PATH", "evaluate without them: -o TOKEN_LABEL.VAL_PATH ''")
        raise FileNotFoundError(
            f"no folder of label maps at {path}; set TOKEN_LABEL.{key} to it, make one with `ppim labels make`, "
            f"or {without}"
        )
    reading, source = map_reading(config, recipe, path)
    check_maps(path, images, config.MODEL.NUM_CLASSES)
    maps = open_maps(path, config.MODEL.NUM_CLASSES, reading, source)
    asking = _asking_for_log_z(config) if path == labels.PATH else ""
    if asking and reading.log_z is False:
        raise _no_log_z(card_place(path), asking)
    if images.stems and images.stems == maps.digest:  # every image has its map, and none shares one with another
        missing, shared = [], None
    else:
        # a manifest has a digest only where no two images share a stem
        missing, shared = maps.missing(images.paths), None if images.stems else first_shared(images.paths)
    if shared:
        raise ValueError(
            f"{shared[0]} and {shared[1]} of {images.root} would share one label map in {path}; rename one of them and "
            "its map, or remove it"
        )
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(images)} images have no label map in {path}, the first is {missing[0]}; "
            f"{how_to_find(path, images.root, missing[0])}"
        )
    if asking and maps.read(images.paths[0], (1, 1)).log_z is None:
        raise _no_log_z(Path(path) / maps.place(stem_of(images.paths[0])), asking)
    return maps


def _asking_for_log_z(config: CfgNode) -> str:
    """The key that wants maps with log-sum-exp; '' where none does."""
    labels = config.TOKEN_LABEL
    return "TARGET" if labels.TARGET == "probs" else "WEIGHT" if labels.WEIGHT == "confidence" else ""


def _no_log_z(source, asking: str) -> ValueError:
    value, instead = {"TARGET": ("probs", "released"), "WEIGHT": ("confidence", "none")}[asking]
    return ValueError(
        f"{source}: no log-sum-exp, which TOKEN_LABEL.{asking} {value} needs; take maps written by "
        f"`ppim labels make`, or TOKEN_LABEL.{asking} {instead}"
    )
