"""Layers as strips of one meta, which follow the shot. Runs inside bpy."""

from __future__ import annotations

import pytest

from .conftest import FIRST, N_FRAMES, Stage, addon

pytestmark = pytest.mark.blender


def test_layers_lie_in_a_meta_and_follow_render_edits(stage: Stage) -> None:
    shot = stage.animate()
    lay_out = stage.bpy.ops.animportrait.lay_out_layers
    assert not lay_out.poll()
    shot.animportrait.layers = True
    assert stage.bpy.ops.animportrait.animate() == {"FINISHED"}
    before = stage.grey(FIRST + 20)
    assert lay_out() == {"FINISHED"}
    strips = addon("strips")
    meta = next(strip for strip in stage.strips if strip.type == "META")
    assert strips.handles(meta) == strips.handles(stage.shot) and stage.shot.mute
    inside = sorted(strips.top_level(meta), key=lambda strip: strip.channel)
    assert [strips.shown_folder(strip).name for strip in inside] == ["background", "head"]
    assert {len(strip.elements) for strip in inside} == {N_FRAMES}
    assert stage.grey(FIRST + 20) == before
    assert not lay_out.poll()
    stage.key(stage.shot, "lip_open", 20, 1.0)
    stage.render_edits()
    assert stage.grey(FIRST + 20) == 220
    take = strips.shown_folder(stage.shot)
    assert {strips.shown_folder(strip).parent for strip in inside} == {take}
