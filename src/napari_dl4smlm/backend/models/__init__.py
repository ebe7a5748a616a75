"""The networks, the devices they run on, and the files that hold them."""

from napari_dl4smlm.backend.models.network import SuperResolutionNetwork
from napari_dl4smlm.backend.models.registry import MODELS, create_model

__all__ = ["MODELS", "SuperResolutionNetwork", "create_model"]
