"""`python -m napari_dl4smlm.cli`, which is `dl4smlm` where scripts are not on the path."""

from napari_dl4smlm.cli import main

main(prog_name="dl4smlm")
