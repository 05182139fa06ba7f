"""What do the rows of a head mean? Names of classes, of weights and of a run, and whether images and maps share them.

The word that counts is the card of the weights (`ppim.weights.card`), because it goes where they go; a run writes its
own to all of them, to its checkpoints, and to classes.txt for people.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from ppim.data.classes import are_numbers, by_number, check_numbers, difference, imagenet_classes, match, read_names
from ppim.data.images import ImageList
from ppim.engine.checkpoint import Checkpoint
from ppim.token_labels.card import card_place, load_card
from ppim.weights.card import names_in, read_card
from ppim.weights.recognise import head_classes

ROWS = 1000  # of a model built without data: ImageNet's, as all published ones


def class_names_of(weights: str | Path) -> tuple[str, ...] | None:
    """The names of the classes of a weights file, a run folder or a checkpoint, in the order of their logits.

    Weights of ours say so on their card, which may lack the names of last rows that no image ever taught. A head of
    1,000 rows without a card, as in all published files, is taken for ImageNet's; its names are WordNet ids, see
    `ppim.data.classes.in_words`. None: not known.

    Raises:
        FileNotFoundError: no such weights. ValueError: they, or their card, are damaged.
    """
    card = read_card(weights)
    if card is None:
        return imagenet_classes() if head_classes(weights) == ROWS else None
    return names_in(card) or None


def with_rows(config: CfgNode, rows: int) -> CfgNode:
    """The configuration with MODEL.NUM_CLASSES set to `rows` where it was left open."""
    if config.MODEL.NUM_CLASSES is not None:
        return config
    settled = config.clone()
    settled.defrost()
    settled.MODEL.NUM_CLASSES = rows
    settled.freeze()
    return settled


def meant_by(weights: str, images: ImageList, rows: int, listed: str | None = None) -> ImageList:
    """Images to evaluate weights on, labelled with the rows of their head.

    Args:
        rows: of the head.
        listed: MODEL.CLASSES, for weights that do not know the names of their classes.

    Of a head with ImageNet's classes, folders called by numbers mean its rows (ImageNet-V2).

    Raises:
        ValueError: images of a class the weights do not know; or nobody knows what the rows mean.
    """
    names, whose = known_names(weights, images.names, rows), weights
    if listed:
        given, theirs = read_names(listed), names
        differ = difference({"the list": given, "the weights": theirs}) if theirs else ""
        if differ or len(given) != rows:
            raise ValueError(f"{listed} names {len(given)} classes, the head of {weights} has {rows}; "
                             f"{differ or 'wanted one name for each'}")
        names, whose = given, listed
    if are_numbers(images.names) and (names or _of_published(weights, rows)) == imagenet_classes():
        names, images = imagenet_classes(), by_number(images)
    if names:
        return match(images, names, whose)
    if images.numbered:
        check_numbers(images, rows, whose)
    elif len(images.classes) != rows:
        raise ValueError(
            f"{images.root} has {len(images.classes)} classes, {weights} {rows}, and which of them is which is not "
            "known: give --classes FILE, a list of the names of all classes in the order of the weights, or list the "
            "images with numbers in val_list.txt")
    return images


def _of_published(weights: str, rows: int) -> tuple[str, ...]:
    """ImageNet's names for 1,000 rows without a card, as all published files have them; else ()."""
    return imagenet_classes() if rows == ROWS and read_card(weights) is None else ()


def of_run(config: CfgNode, images: ImageList, checkpoint: Checkpoint | None) -> ImageList:
    """Training images, labelled with places among the classes of the run: the list's of MODEL.CLASSES, those of the
    run that goes on, or their own.

    Raises:
        ValueError: other classes than those listed, or than the run had before.
    """
    if config.MODEL.CLASSES:
        images = match(images, read_names(config.MODEL.CLASSES), config.MODEL.CLASSES)
    before = names_in(checkpoint.state.card) if checkpoint else ()
    if not before or images.numbered:
        return images
    differ = difference({"the images": sorted(images.names), "the run's checkpoints": sorted(before)})
    if differ:
        raise ValueError(f"{images.root} has {len(images.classes)} classes, the run to go on with {len(before)}: "
                         f"{differ}; put the folders back, or start another run from its weights with "
                         "--load WEIGHTS --new-heads")
    return match(images, before, "the run")


def starts_new_heads(config: CfgNode, images: ImageList) -> bool:
    """MODEL.NEW_HEADS; `auto` asks whether the file's classes are others, by number, and by name where names are known.
    """
    model = config.MODEL
    if model.NEW_HEADS != "auto":
        return model.NEW_HEADS == "always"
    if head_classes(model.PRETRAINED) != model.NUM_CLASSES:
        return True
    theirs = known_names(model.PRETRAINED, images.names)
    return bool(theirs and images.names and difference({"the images": images.names, "the weights": theirs}))


def check_same(weights: str, images: ImageList, instead: str) -> None:
    """Raise ValueError where weights that are to be used head and all are known to be of other classes.

    Args:
        instead: what to do then.
    """
    theirs = known_names(weights, images.names)
    differ = difference({"the images": images.names, "the weights": theirs}) if theirs and images.names else ""
    if differ:
        raise ValueError(f"{images.root} has {len(images.classes)} classes, {weights} {len(theirs)}, and not the same: "
                         f"{differ}; {instead}")


def check_maps(folder: str, images: ImageList, rows: int) -> None:
    """Raise ValueError where the card of label maps says that their ids mean other classes than those of the images."""
    card = load_card(folder) or {}
    names, count = card.get("classes"), card.get("num_classes", rows)
    both = bool(names and images.names)
    differ = difference({"the images": images.names, "the maps": names}) if both else ""
    if differ or (count != rows and not both):
        raise ValueError(
            f"{card_place(folder)} is of maps of {count} classes, the model has {rows} ({images.root})"
            f"{': ' * bool(differ)}{differ}; their ids would mean other classes: take maps by an annotator of the same "
            "classes, or, where the images are some of its classes, name all of them with --classes FILE "
            "(-o MODEL.CLASSES FILE)")


def card_of(config: CfgNode, images: ImageList) -> dict[str, Any]:
    """What the weights of a run say of themselves, see `ppim.weights.card`."""
    data = config.DATA
    said = {key: value for key, value in config.MODEL.TRANS.items() if value is not None}
    return {
        "form": 1,
        "model": config.MODEL.NAME,
        **({"trans": said} if said else {}),
        "num_classes": config.MODEL.NUM_CLASSES,
        "classes": list(images.names),
        "image_size": data.IMAGE_SIZE,
        "crop_pct": data.CROP_PCT,
        "interpolation": data.INTERPOLATION,
        "mean": list(data.IMAGENET_MEAN),
        "std": list(data.IMAGENET_STD),
        "exif": data.EXIF,
    }


def keys_of(card: Mapping[str, Any]) -> list[str]:
    """What a card says of how photos are to be shown, as keys and values are typed after -o."""
    keys = {"image_size": "DATA.IMAGE_SIZE", "crop_pct": "DATA.CROP_PCT", "interpolation": "DATA.INTERPOLATION",
            "mean": "DATA.IMAGENET_MEAN", "std": "DATA.IMAGENET_STD", "exif": "DATA.EXIF"}
    return [word for name, key in keys.items() if name in card for word in (key, str(card[name]))]


def trans_of(card: Mapping[str, Any]) -> list[str]:
    """What a card says of the model's size besides its name, as keys and values are typed after -o.

    Numbers of heads and the like leave no trace in the shapes of weights, which fit another network as well then.
    """
    said = card.get("trans")
    changes = said if isinstance(said, dict) else {}
    return [word for key, value in changes.items() for word in (f"MODEL.TRANS.{key}", str(value))]


def known_names(weights: str, folders: Collection[str], rows: int | None = None) -> tuple[str, ...]:
    """The names on the card of weights; without a card ImageNet's, where the head has 1,000 rows and `folders` of the
    images bear such names; () where neither.

    Args:
        rows: of their head, where it has been seen.

    Raises:
        ValueError: the card is not of these weights.
    """
    card = read_card(weights)
    if card is None:
        is_imagenet = (head_classes(weights) if rows is None else rows) == ROWS
        return imagenet_classes() if is_imagenet and not set(imagenet_classes()).isdisjoint(folders) else ()
    if rows is not None and card["num_classes"] != rows:
        raise ValueError(f"the card of {weights} is of other weights: it has {card['num_classes']} classes, their head "
                         f"{rows}; remove it, or put their own beside them")
    return names_in(card)
