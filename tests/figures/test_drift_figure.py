import numpy as np

from napari_dl4smlm.backend.figures.drift import draw_drift


def test_both_axes_of_the_drift_are_drawn_against_the_frame():
    y_nm, x_nm = np.array([0.0, 1.0, 4.0]), np.array([0.0, -2.0, -3.0])
    (ax,) = draw_drift(5, y_nm, x_nm).axes
    curves = {line.get_label(): line for line in ax.lines}
    assert curves.keys() == {"x", "y"}
    assert curves["y"].get_xdata().tolist() == [5, 6, 7]
    assert curves["y"].get_ydata().tolist() == y_nm.tolist()
    assert curves["x"].get_ydata().tolist() == x_nm.tolist()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("frame", "drift (nm)")
