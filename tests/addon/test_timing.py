"""Exact time: hand-computed fractions. Needs no bpy."""

from __future__ import annotations

import struct
from fractions import Fraction

import pytest

from .conftest import pure

timing = pure("timing")
Span = timing.Span


def as_blender_keeps_it(value: float) -> float:
    return struct.unpack("<f", struct.pack("<f", value))[0]


@pytest.mark.parametrize(
    ("fps", "base", "wanted"),
    [
        (24, 1.001, Fraction(24000, 1001)),
        (24, 1.0, Fraction(24)),
        (25, 1.0, Fraction(25)),
        (30, 1.001, Fraction(30000, 1001)),
        (30, 1.0, Fraction(30)),
        (50, 1.0, Fraction(50)),
        (60, 1.001, Fraction(60000, 1001)),
        (60, 1.0, Fraction(60)),
        (2997, 100.0, Fraction(2997, 100)),
        (1, 2.0, Fraction(1, 2)),
        (24, 1.001001, Fraction(2997, 125)),
    ],
)
def test_frame_rates_survive_blenders_float32(fps: int, base: float, wanted: Fraction) -> None:
    assert timing.scene_fps(fps, as_blender_keeps_it(base)) == wanted


@pytest.mark.parametrize("value", [0.1, 1 / 3, 12345.678, 0.0, 3.0, -2.25])
def test_an_exact_fraction_is_the_same_float32(value: float) -> None:
    kept = as_blender_keeps_it(value)
    assert as_blender_keeps_it(float(timing.exact(kept))) == kept


def test_an_hour_at_29_97_does_not_drift() -> None:
    fps = timing.scene_fps(30, as_blender_keeps_it(1.001))
    assert timing.seconds(107_892, fps) == Fraction(107_892 * 1001, 30_000)


def test_an_untrimmed_sound() -> None:
    found = timing.sound_range(11.0, 72.0, Span(11, 83), Fraction(24))
    assert found == timing.SoundRange(Fraction(0), Fraction(3), Span(11, 83))


def test_a_sound_trimmed_on_both_sides() -> None:
    found = timing.sound_range(11.0, 72.0, Span(23, 77), Fraction(24))
    assert (found.start_s, found.duration_s) == (Fraction(1, 2), Fraction(9, 4))


def test_a_trim_at_an_ntsc_rate_is_a_fraction() -> None:
    found = timing.sound_range(1.0, 100.0, Span(8, 90), Fraction(24000, 1001))
    assert found.start_s == Fraction(7007, 24000)


def test_a_sound_that_starts_between_two_frames() -> None:
    found = timing.sound_range(10.5, 72.0, Span(11, 83), Fraction(24))
    assert (found.start_s, found.frames) == (Fraction(1, 48), Span(11, 83))


def test_handles_wider_than_the_sound_speak_only_the_sound() -> None:
    found = timing.sound_range(20.0, 24.0, Span(10, 100), Fraction(24))
    assert (found.start_s, found.duration_s) == (Fraction(0), Fraction(1))
    assert found.frames == Span(20, 44)


def test_a_positive_sound_offset_plays_the_file_later() -> None:
    found = timing.sound_range(1.0, 48.0, Span(13, 49), Fraction(24), 0.25)
    assert found.start_s == Fraction(1, 4)


def test_handles_that_show_nothing() -> None:
    assert timing.sound_range(1.0, 10.0, Span(50, 60), Fraction(24)) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0 s"), (6.2, "7 s"), (59.0, "59 s"), (65.0, "1:05"), (3723.0, "1:02:03"), (-1, "0 s")],
)
def test_the_clock(seconds: float, words: str) -> None:
    assert timing.clock(seconds) == words


def test_spans() -> None:
    assert Span(3, 1).length == 0
    assert Span(1, 5).overlap(Span(4, 9)) == Span(4, 5)
