"""Everything that decides a training run: checked once, saved with the model, the same for all.

The command line, YAML files and the forms of the plugin are derived from these models; a default
stands here and nowhere else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from napari_dl4smlm.backend.simulation.config import SimulationConfig
from napari_dl4smlm.backend.training.model_paths import check_teacher_stays

UpsamplingFactor = Annotated[Literal[1, 2, 4, 8], BeforeValidator(int)]
"""Fine pixels per camera pixel; text from a form or a command line is welcome."""

# of the random numbers of PyTorch
_LARGEST_SEED = 2**63 - 1

DEFAULT_UPSAMPLING_FACTOR: Literal[8] = 8
"""Where neither the user nor a pair of images says another."""


class DataConfig(BaseModel):
    """Where the training frames and their truth come from.

    A movie with a table of positions, a pair of image stacks or folders, or a simulation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    movie: Path | None = Field(
        None, title="Movie", description="TIFF, .npy or folder of TIFFs with the raw frames"
    )
    localizations: Path | None = Field(
        None, title="Positions", description="ThunderSTORM CSV with the true positions in the movie"
    )
    pairs: tuple[Path, Path] | None = Field(
        None,
        title="Pairs",
        description="raw frames and true density maps: two stacks, or two folders paired by name",
    )
    simulation: SimulationConfig | None = Field(
        None, title="Simulation", description="what fresh patches are simulated of"
    )
    pixel_size_nm: float | None = Field(
        None,
        gt=0,
        title="Pixel size",
        description="camera pixel in nm; by default read from the movie's metadata",
    )
    upsampling_factor: UpsamplingFactor | None = Field(
        None,
        title="Upsampling",
        description="fine pixels per camera pixel; by default "
        f"{DEFAULT_UPSAMPLING_FACTOR}, or inferred from the pairs",
    )
    frames: str | None = Field(
        None, title="Frames", description="frames to use, A:B from 0 with B excluded; default all"
    )
    validation_frames: str | None = Field(
        None,
        title="Validation frames",
        description="frames kept for validation, A:B; default: drawn at random",
    )
    validation_fraction: float = Field(
        0.2,
        gt=0,
        lt=1,
        title="Validation fraction",
        description="share of the frames drawn for validation",
    )
    simulated_validation_frames: int = Field(
        24,
        ge=1,
        title="Validation frames",
        description="frames that are simulated once and kept for validation",
    )

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        if self.simulation is not None:
            self._check_simulation_alone()
            return self
        if self.pairs is not None and (self.movie or self.localizations):
            raise ValueError("give either a pair of images or a movie with localizations, not both")
        if self.pairs is None and (self.movie is None or self.localizations is None):
            missing = "localizations" if self.movie else "a movie"
            if self.movie is None and self.localizations is None:
                missing = "a movie with localizations, or a pair of images"
            raise ValueError(f"training needs {missing}, or a simulation")
        return self

    def _check_simulation_alone(self) -> None:
        for name in ("movie", "localizations", "pairs", "frames", "validation_frames"):
            if getattr(self, name) is not None:
                raise ValueError(f"a simulation has no {name}; give one or the other")
        if self.pixel_size_nm is not None:
            raise ValueError("the simulation has a pixel size of its own: simulation.pixel_size_nm")


class TrainingConfig(BaseModel):
    """Which network is trained, with which loss, where and for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    model: str = Field("fid_storm", title="Model", description="architecture of the network")
    model_options: dict[str, str | int | float | bool] = Field(
        default_factory=dict, title="Model options", description="such as blocks=5 for fid_storm"
    )
    loss: str = Field("l1l2", title="Loss", description="what training minimises")
    lambda_: float | None = Field(
        None,
        alias="lambda",
        title="λ",
        description="lower is sparser, higher keeps more signal; default: the loss's own",
    )
    foreground_weight: float | None = Field(
        None,
        ge=1,
        allow_inf_nan=False,
        title="Foreground weight",
        description="weight of pixels near emitters in the weighted losses; default: background "
        "over foreground pixels, at most 100",
    )
    device: str = Field("auto", title="Device", description="auto, cpu, cuda, cuda:1, mps")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        title="Precision",
        description="auto: bfloat16 where the device computes in it, else float32",
    )
    epochs: int = Field(20, ge=1, title="Epochs", description="passes over the training patches")
    patches_per_epoch: int = Field(
        1024, ge=1, title="Patches", description="random patches in one epoch"
    )
    batch_size: int = Field(16, ge=1, title="Batch", description="patches in one step")
    patch_size: int = Field(
        32, ge=8, title="Patch size", description="side of a patch in camera pixels"
    )
    min_emitters: int = Field(
        1, ge=0, title="Emitters", description="fewest emitters in a training patch"
    )
    augment: bool = Field(
        True, title="Augment", description="turn and mirror the patches at random"
    )
    learning_rate: float = Field(
        1e-3, gt=0, le=1, title="Learning rate", description="of Adam, the highest"
    )
    schedule: Literal["plateau", "cosine"] = Field(
        "plateau",
        title="Schedule",
        description="how the learning rate falls: when the validation loss no longer does, or "
        "along a cosine that ends with the last epoch or the time limit, for a short training",
    )
    plateau_patience: int = Field(
        3,
        ge=0,
        title="Plateau",
        description="epochs without a better validation loss before the learning rate falls",
    )
    plateau_factor: float = Field(
        0.3, gt=0, lt=1, title="Plateau factor", description="by which the learning rate falls"
    )
    early_stopping: int | None = Field(
        15,
        ge=1,
        title="Early stopping",
        description="epochs without a better validation loss before training ends",
    )
    max_minutes: float | None = Field(
        None, gt=0, title="Time limit", description="minutes after which training ends"
    )
    seed: int = Field(
        0, ge=0, le=_LARGEST_SEED, title="Seed", description="same seed, same data, same model"
    )

    @field_validator("model_options")
    @classmethod
    def _upsampling_elsewhere(
        cls, options: dict[str, str | int | float | bool]
    ) -> dict[str, str | int | float | bool]:
        if "upsampling_factor" in options:
            raise ValueError(
                "upsampling_factor belongs to the data: give it as --upsampling "
                "(data.upsampling_factor)"
            )
        return options


class DistillationConfig(BaseModel):
    """How a network, the student, learns from another one that is trained already."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    teacher: Path = Field(title="Teacher", description="model file of the network to learn from")
    stages: Literal["hint,transfer", "transfer", "hint"] = Field(
        "hint,transfer",
        title="Stages",
        description="hint: layers of the student learn to put out what layers of the teacher do; "
        "transfer: its density maps learn from those of the teacher and from the truth",
    )
    hints: dict[str, str] = Field(
        default_factory=dict,
        title="Hints",
        description="layers of the teacher and the layers of the student that they guide; by "
        "default one in the middle of each network",
    )
    hint_share: float = Field(
        0.25,
        gt=0,
        lt=1,
        title="Share of hints",
        description="share of the epochs, and of the time limit, that the hints take if transfer "
        "follows",
    )
    alpha: float = Field(
        0.5,
        ge=0,
        le=1,
        title="α",
        description="weight of the truth against the teacher in the transfer: 0 for the teacher "
        "alone, 1 for the truth alone",
    )
    attentive: bool = Field(
        True,
        title="Attentive",
        description="follow the teacher less in patches where it is wrong itself",
    )


class TrainingJob(BaseModel):
    """A whole training run as it is saved to and read from YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: DataConfig
    training: TrainingConfig = TrainingConfig()
    out: Path = Field(Path("model.safetensors"), description="file for the best model")

    def to_dict(self) -> dict[str, Any]:
        """Return what :meth:`model_validate` reads back, in plain JSON types."""
        return self.model_dump(mode="json", by_alias=True)


class DistillationJob(TrainingJob):
    """A whole distillation as it is saved to and read from YAML."""

    distillation: DistillationConfig
    out: Path = Field(Path("student.safetensors"), description="file for the best model")

    @field_validator("distillation")
    @classmethod
    def _keep_teacher(
        cls, distillation: DistillationConfig, info: ValidationInfo
    ) -> DistillationConfig:
        out = info.data.get("out")
        if out is not None and out.name:
            check_teacher_stays(out, distillation.teacher)
        return distillation
