"""`ppim visualize`: which model is looked into, at which photos, and what is left in the folder?"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ppim.config import find_recipe, get_config
from ppim.data.classes import in_words, read_names, spelt
from ppim.data.photos import read_photo
from ppim.data.transforms import eval_view
from ppim.engine import build, classes
from ppim.engine.loaded import load_by, names_photos
from ppim.look import drawn, paint, viewer
from ppim.look.paint import Panel
from ppim.look.photo import Seen, View, see
from ppim.look.sample import panels, taught
from ppim.look.words import called, readable
from ppim.models import build_model
from ppim.models.base import TokenModel
from ppim.pages import save_page


class Subject(NamedTuple):
    """A model that is looked into."""

    model: TokenModel
    view: View  # how it is shown photos
    exif: str  # see `read_photo`
    names: tuple[str, ...]  # of its classes, the first of them; () where they are not known

    def name(self, number: int) -> str:
        """What to call a class for people."""
        return called(self.names, number)

    def number(self, text: str) -> int:
        """The class of this name or number.

        Raises:
            ValueError: there is none.
        """
        known = {spelt(word): number for number, name in reversed(list(enumerate(self.names)))
                 for word in (name, in_words(name))}
        if spelt(text) in known:
            return known[spelt(text)]
        if text.isdecimal() and int(text) < self.model.num_classes:
            return int(text)
        some = ", ".join(map(self.name, range(min(5, len(self.names)))))
        raise ValueError(f"--class {text}: no such class; wanted a name{f' ({some}, ...)' if some else ''} or a number "
                         f"0 .. {self.model.num_classes - 1}")


def load_subject(weights: str, path: str | None = None, overrides: Sequence[str] = ()) -> tuple[Subject, list[str]]:
    """The model of these weights, and lines to tell about it.

    Args:
        weights: a file, or the folder of a run.
        path: recipe; None: that of the weights.
        overrides: keys and values.
    """
    loaded, _, notes = load_by(path, weights, overrides)
    model, data, listed = loaded.model, loaded.config.DATA, loaded.config.MODEL.CLASSES
    model.eval()
    names = read_names(listed) if listed else classes.class_names_of(loaded.file) or ()
    view = View(eval_view(model.image_size, data.CROP_PCT, data.INTERPOLATION), data.IMAGENET_MEAN, data.IMAGENET_STD)
    return Subject(model, view, data.EXIF, tuple(names)), [*notes, str(loaded.report)]


def look_into(subject: Subject, photos: Sequence[str], output: Path, *, layers: Sequence[int] = (-1,),
              heads: Sequence[int] | None = None, asked: str | None = None, token: tuple[int, int] | None = None,
              say: Callable[[str], object] = print) -> None:
    """Write pictures of what goes on inside a model while it looks at photos: a folder for each, and index.html.

    Args:
        photos: image files.
        layers, heads: see `drawn.pictures`; no heads: all of them.
        asked: name or number of the class whose relevance is shown; None: the one the model says.
        token: see `ppim.look.photo.see`.
        say: told of every photo in a line.
    Raises:
        ValueError: a mistake of the user's, in a line that says what to do; or photos could not be read, which have
            been named: the others have been looked at.
    """
    numbers = [] if asked is None else [subject.number(asked)]
    looked: list[tuple[str, Seen]] = []
    for path, place in zip(photos, drawn.places(photos)):
        try:
            photo = read_photo(path, subject.exif)
        except (ValueError, OSError) as error:
            say(f"left out: {error}")
            continue
        seen = see(subject.model, photo, subject.view, asked=numbers, top=3, token=token)
        shown = seen._replace(relevance=dict(list(seen.relevance.items())[:1]))
        made = drawn.pictures(shown, layers, range(seen.attention.shape[1]) if heads is None else heads, subject.name)
        best = int(seen.probability.argmax())
        guess = f"{subject.name(best)}, {100 * seen.probability[best]:.0f} % sure"
        first = Panel(paint.outlined(seen.image, _corners(seen)), "what the model is shown")
        drawn.save(output / place, made, first, f"{readable(Path(path).name)}: {guess}")
        say(f"{path}: {guess}; {len(made)} pictures and sheet.png in {output / place}")
        looked.append((readable(place), seen))
    if looked:
        save_page(output / "index.html", viewer.document(looked, subject.name, token))
        say(f"to turn over by hand: {output / 'index.html'}")
    if len(looked) < len(photos):
        raise ValueError(f"{len(photos) - len(looked):,} of {len(photos):,} photos could not be read, they are named "
                         "above")


def look_at_samples(path: str, numbers: Sequence[int], epoch: int, output: Path, overrides: Sequence[str] = (),
                    say: Callable[[str], object] = print) -> None:
    """Write a picture of each of these training samples: its photo, its view, what its tokens are taught.

    Args:
        path: recipe, or the config.yaml of a run.
        numbers: places among the training photos.
        epoch: 0 the first.
    Raises:
        ValueError, FileNotFoundError: a mistake of the user's, in a line that says what to do.
    """
    recipe = str(find_recipe(path))
    config = get_config(recipe, overrides)
    names_photos(config, recipe)
    images = classes.of_run(config, build.train_images(config), None)
    config = classes.with_rows(config, len(images.classes))
    samples = build.train_samples(config, get_config(recipe), images, build_model(config).grid)
    beyond = [number for number in numbers if not 0 <= number < len(samples)]
    if beyond:
        raise ValueError(f"--sample wants numbers of training photos, 0 .. {len(samples) - 1}, got {beyond[0]}")
    output.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        shown = taught(samples, (epoch, number, 0), config.DATA.IMAGENET_MEAN, config.DATA.IMAGENET_STD)
        made = panels(shown, samples.grid, lambda place: called(images.names, place))
        file = output / f"sample{number}_epoch{epoch}.png"
        title = f"{readable(Path(images.paths[number]).name)}, epoch {epoch}"
        drawn.save_png(file, paint.sheet(title, made, side=320))
        say(f"{images.full_path(number)}: {file}")


def _corners(seen: Seen) -> list[tuple[float, float]]:
    x0, y0, x1, y1 = seen.window
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
