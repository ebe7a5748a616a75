"""How large networks are and which layers they have, found out off the GUI thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_dl4smlm.backend.models.layers import Layer


class NetworkChoice(NamedTuple):
    """A network by its name in ``MODELS`` and its options."""

    name: str
    options: Mapping[str, int | float | str | bool]


class Outline(NamedTuple):
    """What is known of a network before it is built.

    Attributes
    ----------
    parameters
        Numbers that are learned.
    operations
        Multiply-accumulate operations for one frame.
    layers
        By name, as in `network_layers`.
    hint_layer
        The one that gives or takes hints by default.
    """

    parameters: int
    operations: int
    layers: dict[str, Layer]
    hint_layer: str


class Pair(NamedTuple):
    """A teacher and a student, as far as they are known."""

    teacher: Outline | None
    student: Outline | None


def outline_pair(
    teacher: NetworkChoice | None,
    student: NetworkChoice | None,
    upsampling_factor: int,
    frame_px: tuple[int, int],
) -> Iterator[Pair]:
    """Yield, once, what is known of a teacher and a student.

    Parameters
    ----------
    teacher, student
        The networks; ``None`` where none was chosen, or with options that it cannot have.
    upsampling_factor
        Of both.
    frame_px
        Height and width of the frame that the operations are counted for.

    Raises
    ------
    InputError
        A network cannot have its options.
    """
    yield Pair(
        *(
            None if choice is None else _outline(choice, upsampling_factor, frame_px)
            for choice in (teacher, student)
        )
    )


def _outline(choice: NetworkChoice, upsampling_factor: int, frame_px: tuple[int, int]) -> Outline:
    # they import torch
    from napari_dl4smlm.backend.models.layers import network_layers
    from napari_dl4smlm.backend.models.registry import (
        operations_per_frame,
        outline_model,
        parameter_count,
    )

    network = outline_model(choice.name, upsampling_factor=upsampling_factor, **choice.options)
    return Outline(
        parameter_count(network),
        operations_per_frame(network, *frame_px),
        network_layers(network),
        network.hint_layer,
    )
