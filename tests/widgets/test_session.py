"""What the widgets of a viewer share."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest

pytest.importorskip("napari")

from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy

from napari_dl4smlm.widgets.session import Session, TrainingSource


def refuse(seed):
    raise AssertionError("nothing is opened before a training")


SOURCE = TrainingSource(
    open=refuse,
    config=None,
    movie_layer_name="movie",
    summary="20 frames · 64 × 64 · 100 nm · ×8",
    upsampling_factor=8,
    pixel_size_nm=100.0,
)


def test_all_widgets_of_a_viewer_share_one_session():
    viewer = ViewerModel()

    assert Session.of(viewer) is Session.of(viewer)


def test_the_proxy_that_napari_gives_to_each_widget_leads_to_the_session_of_its_viewer():
    viewer = ViewerModel()

    sessions = {Session.of(PublicOnlyProxy(viewer)), Session.of(PublicOnlyProxy(viewer))}

    assert sessions == {Session.of(viewer)}


def test_two_viewers_have_nothing_in_common():
    viewers = ViewerModel(), ViewerModel()
    Session.of(viewers[0]).model_path = Path("model.safetensors")

    assert Session.of(viewers[1]).model_path is None


def test_a_session_ends_with_its_viewer():
    viewer = ViewerModel()
    session = weakref.ref(Session.of(viewer))

    del viewer
    gc.collect()

    assert session() is None


def test_what_the_data_widget_chose_is_told_to_the_others():
    session, told = Session(), []
    session.data_changed.connect(told.append)

    session.data = SOURCE
    session.data = None

    assert told == [SOURCE, None]


def test_a_model_trained_anew_under_its_old_name_is_told_again():
    session, told = Session(), []
    session.model_changed.connect(told.append)

    session.model_path = Path("model.safetensors")
    session.model_path = Path("model.safetensors")

    assert told == 2 * [Path("model.safetensors")]


def test_who_is_told_finds_the_new_value_in_the_session_already():
    session, seen = Session(), []
    session.model_changed.connect(lambda: seen.append(session.model_path))

    session.model_path = Path("model.safetensors")

    assert seen == [Path("model.safetensors")]
