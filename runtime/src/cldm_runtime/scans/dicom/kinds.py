"""What an image shows of the complex signal: magnitude and phase-sensitive (PSIR) images of one scan have one geometry
and different contrast.

Vendors write it in three places, which are looked at in this order: words of Image Type that name a reconstruction
(PSIR, MAG, CR), the last such word of the series description (two series of one protocol end with _MAG and _PSIR), then
Complex Image Component or its letter in Image Type.
"""

import re
from collections.abc import Sequence

PSIR, MAGNITUDE, OTHER = "psir", "magnitude", "image"
_WORDS = {"PSIR": PSIR, "PHASESENSITIVE": PSIR, "CR": PSIR, "CR_IR": PSIR, "MAG": MAGNITUDE}
_DESCRIBED = re.compile(r"(?<![a-z])(?:(?P<psir>psir|phase[ _-]?sensitive)|(?P<magnitude>mag|magn|magnitude))(?![a-z])",
                        re.I)
_LETTERS = {"MAGNITUDE": MAGNITUDE, "M": MAGNITUDE, "M_IR": MAGNITUDE, "M_FFE": MAGNITUDE, "PHASE": "phase",
            "P": "phase", "PHASE MAP": "phase", "REAL": "real", "R": "real", "R_IR": "real", "IMAGINARY": "imaginary",
            "I": "imaginary"}
_FIRST_WORD = 2  # of Image Type; those before it say original or derived, primary or secondary


def kind_of(image_type: Sequence[str], component: str, description: str) -> str:
    """psir, magnitude, phase, real, imaginary, or "image" where nothing says so."""
    words = [word.strip().upper() for word in image_type[_FIRST_WORD:]]
    named = next((_WORDS[word] for word in words if word in _WORDS), "")
    described = [str(match.lastgroup) for match in _DESCRIBED.finditer(description)]
    letter = next((_LETTERS[word] for word in (component.strip().upper(), *words) if word in _LETTERS), "")
    return named or (described[-1] if described else "") or letter or OTHER
