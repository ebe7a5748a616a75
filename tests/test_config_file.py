"""Configs that people write by hand."""

from __future__ import annotations

from napari_dl4smlm.backend.config_file import read_config, write_config


def test_a_range_needs_no_quotes(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("frames: 10:20\ndensity: 1:30.5\nothers: [1:20, -5, 0x10, 2.5, 1e3, .inf]\n")
    values = read_config(path)
    # as YAML 1.1 has it, 10:20 were 620
    assert values["frames"] == "10:20"
    assert values["density"] == "1:30.5"
    assert values["others"] == ["1:20", -5, 16, 2.5, "1e3", float("inf")]
    write_config(tmp_path / "again.yaml", values)
    assert read_config(tmp_path / "again.yaml") == values
