"""Deep learning for single-molecule localization microscopy, in napari and outside it."""

__version__ = "0.1.0"
