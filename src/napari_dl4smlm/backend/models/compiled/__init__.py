"""Trained networks compiled as a whole: by OpenVINO, or into one graph of a GPU."""

from napari_dl4smlm.backend.models.compiled.cuda_graph import GraphedNetwork
from napari_dl4smlm.backend.models.compiled.network import (
    OpenVinoNetwork,
    check_openvino,
    is_openvino_installed,
    is_x86,
    openvino_precisions,
    openvino_version,
)

__all__ = [
    "GraphedNetwork",
    "OpenVinoNetwork",
    "check_openvino",
    "is_openvino_installed",
    "is_x86",
    "openvino_precisions",
    "openvino_version",
]
