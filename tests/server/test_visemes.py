"""Phones of any language become one of fifteen mouth shapes."""

import pytest

from inference_server.speech.visemes import CLOSED, VISEMES, of_arpabet, of_ipa


def names(shapes) -> list[str]:
    return [VISEMES[shape] for shape in shapes]


@pytest.mark.parametrize("phone", ["p", "b", "m", "pʰ", "bʲ", "mː"])
def test_lips_meet_for_p_b_m_of_any_language(phone):
    assert of_ipa(phone) == (CLOSED,)


@pytest.mark.parametrize(
    ("phone", "shapes"),
    [("f", ["FV"]), ("θ", ["TH"]), ("l", ["L"]), ("ʃ", ["SH"]), ("tʃ", ["SH"]),
     ("ts", ["TDN", "SZ"]), ("aɪ", ["A", "I"]), ("oː", ["O"]), ("ɑ̃", ["A"]), ("y", ["U"]),
     ("ˈiː", ["I"]), ("?", ["silence"])],
)  # fmt: skip
def test_ipa(phone, shapes):
    assert names(of_ipa(phone)) == shapes


@pytest.mark.parametrize(
    ("phone", "shapes"),
    [("AY", ["A", "I"]), ("AY1", ["A", "I"]), ("M", ["PBM"]), ("V", ["FV"]), ("DH", ["TH"]),
     ("CH", ["SH"]),
     ("SIL", ["silence"]), ("+NSN+", ["silence"]), ("OW0", ["O", "U"])],
)  # fmt: skip
def test_arpabet(phone, shapes):
    assert names(of_arpabet(phone)) == shapes


def test_no_vowel_is_silent():
    for phone in ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "UH"):
        assert of_arpabet(phone)[0] != 0
