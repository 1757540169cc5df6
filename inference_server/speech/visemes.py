"""Sixteen mouth shapes, and how phones of any language map onto them."""

from __future__ import annotations

import unicodedata

VISEMES = (
    "silence", "PBM", "FV", "TH", "TDN", "KGH", "SH", "SZ", "R", "A", "E", "I", "O", "U", "schwa",
    "L",
)  # fmt: skip
CLOSED = VISEMES.index("PBM")

_IPA = {
    "PBM": "pbmɓʙɱ",
    "FV": "fvʋɸβ",
    "TH": "θð",
    "TDN": "tdnɾʈɖɳɬɮɗȵȶȡ",
    "L": "lɫɭ",
    "KGH": "kgɡŋhxɣqχʁħʕɦɲcɟçʝɠʔɰʎ",
    "SH": "ʃʒɕʑʂʐ",
    "SZ": "sz",
    "R": "rɹʀɻɽɚɝ",
    "A": "aɑæʌɐɶ",
    "E": "eɛɘɜ",
    "I": "iɪjɨ",
    "O": "oɔɒøœɤ",
    "U": "uʊwyʏʉɯɥ",
    "schwa": "əɵ",
}
_OF_SYMBOL = {symbol: VISEMES.index(name) for name, symbols in _IPA.items() for symbol in symbols}

_ARPABET = {
    "A": "AA AE AH AY AW", "E": "EH EY", "I": "IY IH Y", "O": "AO OW OY", "U": "UW UH W",
    "R": "ER R", "PBM": "P B M", "FV": "F V", "TH": "TH DH", "TDN": "T D N", "L": "L",
    "KGH": "K G NG HH", "SH": "SH ZH CH JH", "SZ": "S Z", "schwa": "AX", "silence": "SIL PAU",
}  # fmt: skip
_OF_ARPABET = {
    phone: VISEMES.index(name) for name, phones in _ARPABET.items() for phone in phones.split()
}
_SECOND_HALF = {"AY": "I", "AW": "U", "EY": "I", "OW": "U", "OY": "I"}  # diphthongs end here


def of_ipa(phone: str) -> tuple[int, ...]:
    """Visemes of one IPA phone, one or two: affricates and diphthongs change on the way.

    An unknown symbol counts as silence; stress, length and tone marks are ignored.
    """
    plain = unicodedata.normalize("NFD", phone)
    shapes = [_OF_SYMBOL[symbol] for symbol in plain if symbol in _OF_SYMBOL]
    distinct = [shape for i, shape in enumerate(shapes) if i == 0 or shape != shapes[i - 1]]
    if distinct[:2] == [VISEMES.index("TDN"), VISEMES.index("SH")]:
        distinct = [VISEMES.index("SH")]
    return tuple(distinct[:2]) or (0,)


def of_arpabet(phone: str) -> tuple[int, ...]:
    """Visemes of one ARPAbet phone as pocketsphinx and flite write it; noises count as silence."""
    plain = phone.strip("+0123456789").upper()
    first = _OF_ARPABET.get(plain, 0)
    second = _SECOND_HALF.get(plain)
    return (first,) if second is None else (first, VISEMES.index(second))
