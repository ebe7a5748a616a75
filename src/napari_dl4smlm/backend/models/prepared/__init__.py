"""Trained networks in the form that is fastest to run."""

from napari_dl4smlm.backend.models.prepared.network import (
    Precision,
    PreparedNetwork,
    available_precisions,
    prepare,
)

__all__ = ["Precision", "PreparedNetwork", "available_precisions", "prepare"]
