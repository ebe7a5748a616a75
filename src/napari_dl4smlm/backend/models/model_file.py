"""One .safetensors file per model: the weights and, as JSON, all that using them takes."""

from __future__ import annotations

import hashlib
import json
import platform
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.torch
import torch
from pydantic import BaseModel, Field, JsonValue, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from napari_dl4smlm import __version__
from napari_dl4smlm.backend.acquisition.normalization import Normalization
from napari_dl4smlm.backend.atomic_file import atomic_file, check_folder
from napari_dl4smlm.backend.errors import InputError, ModelFileError
from napari_dl4smlm.backend.models.calibration import Calibration
from napari_dl4smlm.backend.models.device import select_device
from napari_dl4smlm.backend.models.frame_record import FrameRecord
from napari_dl4smlm.backend.models.registry import create_model

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork

SCHEMA_VERSION = 1

# the entries of the file's header, and the beginnings of the names of its tensors
_CARD = "napari_dl4smlm.card"
_PROGRESS = "napari_dl4smlm.training_progress"
_NETWORK = "network."
_TRAINING = "training."

_PICKLE = (
    "is a pickle or a zip archive, as .pkl, .pt and .pth files are. Such a file can carry code "
    "that runs as soon as it is read, so that it was not opened"
)
_FOREIGN_FILES = {
    b"PK\x03\x04": _PICKLE,
    **{b"\x80" + bytes([protocol]): _PICKLE for protocol in range(2, 6)},
    b"\x89HDF": "is an HDF5 file",
    b"\x89PNG": "is a PNG image",
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "is a TIFF image"),
}


class TeacherRecord(BaseModel, frozen=True, extra="forbid"):
    """Which model a network learned from.

    Attributes
    ----------
    file
        Its name, without the folder.
    architecture
        The network's name in ``MODELS``.
    weights_sha256
        Of its own card: what tells the model, whatever its file is called.
    trained_on
        Frames that trained it or its own teachers, since it hands on what it remembers of them.
    """

    file: str
    architecture: str
    weights_sha256: str
    trained_on: tuple[FrameRecord, ...] = ()


class ModelCard(BaseModel, frozen=True, extra="forbid", ser_json_inf_nan="constants"):
    """What has to be known about a network's weights to use them, and how they came to be.

    Attributes
    ----------
    schema_version
        Version of these fields.
    architecture
        The network's name in ``MODELS``.
    options
        The network's options other than the upsampling factor.
    upsampling_factor
        Fine pixels per camera pixel.
    pixel_size_nm
        Camera pixel of the training frames in the sample plane; ``None`` if it was not known.
    normalization
        How camera counts become network input.
    density_amplitude
        The network's output divided by it is emitters per fine pixel.
    blur_sigma_px
        Width in fine pixels of the Gaussian that density maps are blurred with before they are
        shown or summed, because the loss saw nothing finer.
    training
        The configuration that made the weights.
    teacher
        The model that the network learned from, beside the truth; ``None`` if it had none.
    history
        What was measured at the end of each epoch, in order.
    calibration
        Which peaks to trust, from the validation frames; ``None`` if their positions are unknown.
    package_versions, created, weights_sha256
        Filled by `save_model`: the versions of Python and the packages, the time in UTC (ISO
        8601), and the checksum of the weights.
    """

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)
    architecture: str
    options: dict[str, str | int | float | bool]
    upsampling_factor: int = Field(ge=1)
    pixel_size_nm: float | None = Field(gt=0, allow_inf_nan=False)
    normalization: Normalization
    density_amplitude: float = Field(gt=0, allow_inf_nan=False)
    blur_sigma_px: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    training: dict[str, JsonValue]
    teacher: TeacherRecord | None = None
    history: list[dict[str, JsonValue]]
    calibration: Calibration | None = None
    package_versions: dict[str, str] = {}
    created: str = ""
    weights_sha256: str = ""

    def trained_on(self) -> tuple[FrameRecord, ...]:
        """Return which frames of known movies trained the network and its teachers.

        Raises
        ------
        ModelFileError
            The frames in ``training`` are none.
        """
        try:
            own = FrameRecord.model_validate(self.training)
        except ValidationError as error:
            raise ModelFileError(
                "The model file does not tell which frames trained the model: "
                f"{error.errors()[0]['msg']}. Train it anew."
            ) from error
        taught = () if self.teacher is None else self.teacher.trained_on
        return taught if own.movie_fingerprint is None else (own, *taught)


@dataclass(frozen=True)
class TrainedModel:
    """A network ready to predict, in evaluation mode, with its card."""

    network: SuperResolutionNetwork
    card: ModelCard


def save_model(
    path: str | os.PathLike[str],
    network: SuperResolutionNetwork,
    card: ModelCard,
    *,
    training_state: Mapping[str, Tensor] | None = None,
    training_progress: Mapping[str, JsonValue] | None = None,
) -> ModelCard:
    """Write a network and its card to one file, which replaces an older one only when complete.

    Parameters
    ----------
    path
        The file to write, usually called ``*.safetensors``. Its folder has to exist.
    network
        On any device, in any mode; neither is changed.
    card
        Describes the network; what `save_model` fills is replaced.
    training_state
        The optimizer's tensors, for a training that may go on later.
    training_progress
        What else that takes, such as the epoch reached.

    Returns
    -------
    ModelCard
        The card as written.

    Raises
    ------
    InputError
        The file cannot be written; an older one is as it was.
    ValueError
        The card describes another network.
    """
    described = (card.architecture, card.options, card.upsampling_factor)
    if described != (network.name, network.options, network.upsampling_factor):
        raise ValueError(f"the card describes {described}, the network is {network.name!r}")
    path = Path(path)
    check_folder(path.parent)
    weights = _snapshot(network.state_dict())
    card = card.model_copy(
        update={
            "package_versions": _package_versions(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "weights_sha256": _sha256(weights),
        }
    )
    metadata = {_CARD: card.model_dump_json()}
    tensors = _with_prefix(_NETWORK, weights)
    if training_state is not None or training_progress is not None:
        metadata[_PROGRESS] = json.dumps(dict(training_progress or {}))
        tensors |= _with_prefix(_TRAINING, _snapshot(training_state or {}))
    _write(path, safetensors.torch.save(tensors, metadata), card)
    return card


def load_model(path: str | os.PathLike[str], *, device: torch.device | str = "cpu") -> TrainedModel:
    """Read a network that `save_model` wrote.

    Parameters
    ----------
    path
        The file to read.
    device
        Where to put the network; a name as in `select_device`.

    Returns
    -------
    TrainedModel
        Its output equals that of the network saved, bit for bit on the same device.

    Raises
    ------
    ModelFileError
        The file is missing, damaged or from another program, or its weights do not fit the network.
    DeviceError
        The device cannot be used.
    """
    device = select_device(str(device))
    with _open(path) as file:
        card = _parse_card(path, file.metadata())
        weights = _read_tensors(file, _NETWORK)
    if _sha256(weights) != card.weights_sha256:
        raise ModelFileError(
            f"The weights in {path} are not those that were saved: the file was damaged on disk "
            "or on its way. Copy it again from where it came."
        )
    network = _build_network(path, card)
    _check_fit(path, card, network, weights)
    network.load_state_dict(weights)
    return TrainedModel(network.to(device).eval(), card)


def load_training_state(
    path: str | os.PathLike[str],
) -> tuple[dict[str, Tensor], dict[str, JsonValue]]:
    """Read the state of an unfinished training.

    Parameters
    ----------
    path
        A file written by `save_model`.

    Returns
    -------
    training_state, training_progress
        As they were given to `save_model`; the tensors are on the CPU.

    Raises
    ------
    InputError
        The file cannot be read, or it holds a model alone.
    """
    with _open(path) as file:
        metadata = file.metadata()
        _parse_card(path, metadata)
        if _PROGRESS not in metadata:
            raise InputError(
                f"{path} holds a model, but not the state of its training, so that the training "
                "cannot be resumed from it. Choose the last model of a training."
            )
        tensors = _read_tensors(file, _TRAINING)
    try:
        progress = TypeAdapter(dict[str, JsonValue]).validate_json(metadata[_PROGRESS])
    except ValidationError as error:
        raise _damaged(path, _first_problem(error)) from error
    return tensors, progress


def read_card(path: str | os.PathLike[str]) -> ModelCard:
    """Read what a model file says about its network, without the weights.

    Parameters
    ----------
    path
        The file to read.

    Raises
    ------
    ModelFileError
        The file is missing, damaged or from another program.
    """
    with _open(path) as file:
        return _parse_card(path, file.metadata())


def _write(path: Path, contents: bytes, card: ModelCard) -> None:
    try:
        with atomic_file(path) as temporary:
            # not safetensors' own save_file, whose files only their owner can read
            temporary.write_bytes(contents)
            if read_card(temporary).weights_sha256 != card.weights_sha256:
                raise OSError("it does not read back as it was written")
    except (OSError, ModelFileError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{path} could not be written ({reason}). If there was a file of that name, it is as "
            "it was. Make room on the disk, or choose another folder."
        ) from error


@contextmanager
def _open(path: str | os.PathLike[str]) -> Iterator[Any]:
    path = Path(path)
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder. Choose a .safetensors file in it.")
    try:
        with path.open("rb") as file:
            _check_beginning(path, file.read(9))
        # yielded as Any, since safetensors does not say its types
        with _in_utf8(path) as readable, safe_open(readable, framework="pt") as opened:
            yield opened
    except FileNotFoundError:
        raise ModelFileError(f"There is no file {path}. Check its name and folder.") from None
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror}).") from error
    except SafetensorError as error:
        raise _damaged(path, str(error)) from error


@contextmanager
def _in_utf8(path: Path) -> Iterator[Path]:
    """Give a file a name that safetensors takes, though Linux has names that are no UTF-8."""
    if _is_utf8(str(path)):
        yield path
        return
    with TemporaryDirectory() as folder:
        link = Path(folder) / "model.safetensors"
        link.symlink_to(path.absolute())
        yield link


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_beginning(path: Path, beginning: bytes) -> None:
    # the length of the header and then the header, which is JSON; looked at before the marks of
    # other files, since a header of 640 bytes begins as a pickle does
    if beginning[8:] == b"{":
        return
    for mark, kind in _FOREIGN_FILES.items():
        if beginning.startswith(mark):
            raise ModelFileError(f"{path} {kind}. Choose a .safetensors file of this program.")
    if len(beginning) < 9:
        raise _damaged(path, f"it has {len(beginning)} bytes")
    raise ModelFileError(
        f"{path} does not begin as a .safetensors file does. Choose one that this program saved."
    )


class _Version(BaseModel):
    schema_version: int


def _parse_card(path: str | os.PathLike[str], metadata: Mapping[str, str] | None) -> ModelCard:
    text = (metadata or {}).get(_CARD)
    if text is None:
        raise ModelFileError(
            f"{path} holds weights saved by another program: what network they are of, and what "
            "it has to be fed, is not in it. Choose a file that this program saved."
        )
    try:
        # alone and first, since a newer version may have other fields
        version = _Version.model_validate_json(text).schema_version
        if version <= SCHEMA_VERSION:
            return ModelCard.model_validate_json(text)
    except ValidationError as error:
        raise _damaged(path, _first_problem(error)) from error
    raise ModelFileError(
        f"{path} was saved by a newer napari-dl4smlm: its card has version {version}, the newest "
        f"known here is {SCHEMA_VERSION}. Update with 'pip install --upgrade napari-dl4smlm'."
    )


def _read_tensors(file: Any, prefix: str) -> dict[str, Tensor]:
    # copied, since Windows does not let go of a file while tensors are mapped to it
    return {
        name.removeprefix(prefix): file.get_tensor(name).clone()
        for name in file.keys()  # noqa: SIM118 (not a dict)
        if name.startswith(prefix)
    }


def _build_network(path: str | os.PathLike[str], card: ModelCard) -> SuperResolutionNetwork:
    try:
        # a new network draws weights; reading a file must not change the random numbers to come
        with torch.random.fork_rng(devices=[]):
            return create_model(
                card.architecture, upsampling_factor=card.upsampling_factor, **card.options
            )
    except (InputError, TypeError) as error:
        raise ModelFileError(f"The network in {path} cannot be built. {error}") from error


def _check_fit(
    path: str | os.PathLike[str],
    card: ModelCard,
    network: SuperResolutionNetwork,
    weights: Mapping[str, Tensor],
) -> None:
    expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
    found = {name: tensor.shape for name, tensor in weights.items()}
    differing = sorted({name for name, _ in expected.items() ^ found.items()})
    if differing:
        version = card.package_versions.get("napari-dl4smlm", "unknown")
        raise ModelFileError(
            f"The weights in {path} do not fit the network {card.architecture!r}: "
            f"{len(differing)} of {len(expected)} tensors differ, the first is {differing[0]!r}. "
            f"The file was saved by version {version}, this is {__version__}; use that one."
        )


def _damaged(path: str | os.PathLike[str], problem: str) -> ModelFileError:
    return ModelFileError(
        f"{path} is damaged or incomplete ({problem}). Copy it again from where it came."
    )


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    return ": ".join([".".join(map(str, problem["loc"])) or "card", problem["msg"]])


def _snapshot(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # clones, since safetensors refuses tensors that share memory
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def _with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _sha256(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _package_versions() -> dict[str, str]:
    return {
        "napari-dl4smlm": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }
