"""A result with names that would break a page that does not escape them."""

from __future__ import annotations

import html.parser
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.localizations.density_map import render_density_map
from napari_dl4smlm.backend.localizations.table import Localizations
from napari_dl4smlm.backend.models.model_file import ModelCard, save_model
from napari_dl4smlm.backend.models.registry import create_model

HOSTILE = """<script>alert('1')</script> & "it's" $x$ é"""

_VOID = {"br", "col", "img", "meta"}


@dataclass
class Page:
    """What a parser found in a page."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""
    faults: list[str] = field(default_factory=list)

    def of(self, name: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of a name."""
        return [attributes for tag, attributes in self.tags if tag == name]


class _Parser(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.tags.append((tag, dict(attrs)))
        if len(dict(attrs)) < len(attrs):
            self.page.faults.append(f"an attribute twice in <{tag}>")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.page.faults.append(f"</{tag}> closes another element")

    def handle_data(self, data: str) -> None:
        self.page.text += data


@pytest.fixture(scope="session")
def parse() -> Callable[[Path], Page]:
    """Read a page, and note all elements that are not closed in order."""

    def parse(path: Path) -> Page:
        parser = _Parser()
        parser.feed(path.read_text(encoding="utf-8"))
        parser.close()
        parser.page.faults += [f"<{tag}> is never closed" for tag in parser.open]
        return parser.page

    return parse


@pytest.fixture(scope="session")
def hostile() -> str:
    """Return a name that is HTML, a formula and no ASCII."""
    return HOSTILE


@pytest.fixture(scope="session")
def truth() -> Localizations:
    """Some emitters in each of twenty frames of 24 x 24 px."""
    generator = np.random.default_rng(0)
    return Localizations(
        np.repeat(np.arange(20), 4),
        *generator.uniform(300, 2100, (2, 80)),
        photons=generator.uniform(500, 1000, 80),
    )


@pytest.fixture(scope="session")
def movie(truth):
    """The emitters as wide spots on a background."""
    frames = [
        render_density_map(
            truth.positions_nm()[truth.frame == number],
            height=24,
            width=24,
            pixel_size_nm=100.0,
            upsampling_factor=1,
            sigma_px=1.3,
        )
        for number in range(20)
    ]
    counts = np.random.default_rng(0).poisson(100 + 1000 * np.stack(frames)).astype(np.uint16)
    return open_frames(counts, pixel_size_nm=100.0)


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    """Saves a small network that was never trained."""
    folder = tmp_path_factory.mktemp("models")

    def save(name: str, factor: int) -> Path:
        torch.manual_seed(sum(name.encode()))
        network = create_model("fid_storm", upsampling_factor=factor, blocks=1, channels=4)
        card = ModelCard.model_validate(
            {
                "architecture": "fid_storm",
                "options": network.options,
                "upsampling_factor": factor,
                "pixel_size_nm": 100.0,
                "normalization": Normalization(offset=100, scale=200, background=0, brightest=1),
                "density_amplitude": 1.0,
                "training": {"movie": HOSTILE, "training_frames": [1, 2]},
                "history": [{"epoch": 1}],
            }
        )
        path = folder / name
        save_model(path, network, card)
        return path

    return save
