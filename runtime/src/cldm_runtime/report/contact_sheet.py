"""A picture of what `prepare` understood: the first, middle and last sample of stacks, outlined, with their names.

It shows at a glance what no count does: a stack upside down, a patient mirrored, an outline next to its organ, slices
cut along the wrong axis.
"""

import numpy as np
from numpy.typing import NDArray

from ..domains.domain import Domain
from ..domains.labels import LabelMap, LabelSet
from ..files.png import png_bytes
from ..store import Dataset

MOST_STACKS = 12
_SCALE, _GAP, _LINE = 2, 4, 8  # enlargement; pixels between tiles; height of a line of text
_TOP = 255

# 3 x 5 pixels for each character, a row for each octal digit
_GLYPHS = {
    "0": "75557", "1": "26227", "2": "61247", "3": "61216", "4": "55711", "5": "74616", "6": "34757", "7": "71222",
    "8": "75757", "9": "75716", "A": "25755", "B": "65656", "C": "34443", "D": "65556", "E": "74647", "F": "74644",
    "G": "34553", "H": "55755", "I": "72227", "J": "11152", "K": "55655", "L": "44447", "M": "57755", "N": "65555",
    "O": "25552", "P": "65644", "Q": "25563", "R": "65655", "S": "34216", "T": "72222", "U": "55557", "V": "55552",
    "W": "55775", "X": "55255", "Y": "55222", "Z": "71247", "-": "00700", ".": "00002", "_": "00007",
}


def contact_sheet(dataset: Dataset, domain: Domain) -> bytes:
    """A PNG file: a row for each of at most MOST_STACKS stacks, spread over the cohort. A row shows the first, middle
    and last kept slice of a stack, or plane of a volume that holds labels, with number and end of the stack."""
    stacks = stacks_of(dataset)
    shown = np.unique(np.linspace(0, len(stacks) - 1, min(MOST_STACKS, len(stacks))).round().astype(int))
    rows = [np.concatenate(_tiles(dataset, domain, stacks[index]), axis=1) for index in shown]
    return png_bytes(np.concatenate(rows))


def stacks_of(dataset: Dataset) -> list[list[int]]:
    """The rows of each stack: neighbours of one patient whose slice numbers go on in one direction."""
    patients, slices = np.asarray(dataset.patients).tolist(), dataset.slices
    stacks: list[list[int]] = []
    for row, patient in enumerate(patients):
        stack = stacks[-1] if stacks else []
        if slices is not None and stack and patients[stack[0]] == patient and _goes_on(slices, stack, row):
            stack.append(row)
        else:
            stacks.append([row])
    return stacks


def _goes_on(slices: NDArray[np.int64], stack: list[int], row: int) -> bool:
    step = int(slices[row]) - int(slices[stack[-1]])
    return len(stack) == 1 or (step > 0) == (int(slices[stack[1]]) > int(slices[stack[0]]))


def _tiles(dataset: Dataset, domain: Domain, rows: list[int]) -> list[NDArray[np.uint8]]:
    """Three tiles (H, W, 3) of one stack."""
    if domain.axes == 3:
        image, labels = dataset.images(rows[0])[0], dataset.masks(rows[0])
        planes = np.flatnonzero(labels.any(axis=(1, 2))) if labels.any() else np.arange(len(labels))
        return [tile(image[plane], labels[plane], domain.labels, [_owner(dataset, rows[0]), f"PLANE {plane}"])
                for plane in planes[[0, len(planes) // 2, -1]]]
    return [tile(dataset.images(row)[0], dataset.masks(row), domain.labels,
                  [_owner(dataset, row), _place(dataset, domain, row)])
            for row in (rows[0], rows[len(rows) // 2], rows[-1])]


def _owner(dataset: Dataset, row: int) -> str:
    subset = "" if dataset.subset is None else str(dataset.subset[row])
    return f"{np.asarray(dataset.patients)[row]} {subset}"


def _place(dataset: Dataset, domain: Domain, row: int) -> str:
    """The slice's number in the file, and where between the ends of the stack it is taken to lie."""
    number = "" if dataset.slices is None else f"SLICE {dataset.slices[row]}"
    if domain.stack is None or dataset.mask_attributes is None:
        return number
    position = float(dataset.mask_attributes[row, dataset.attribute_names.index(domain.stack.attribute)])
    if not np.isfinite(position):
        return number
    end = domain.stack.ends[0] if position == 0 else domain.stack.ends[1] if position == 1 else f"{position:.2f}"
    return f"{number} {end}"


def tile(image: NDArray[np.float32], labels: LabelMap, names: LabelSet, lines: list[str]) -> NDArray[np.uint8]:
    """(H, W, 3): the enlarged slice with its outlines, and lines of text below."""
    grey = np.clip(image * _TOP, 0, _TOP).round().astype(np.uint8)
    large = np.repeat(np.repeat(np.stack([grey] * 3, axis=-1), _SCALE, 0), _SCALE, 1)
    values = np.repeat(np.repeat(labels, _SCALE, 0), _SCALE, 1)
    inner = _outline(values)
    large[inner] = np.array(names.colours, np.uint8)[values[inner]]
    height, width = values.shape
    tile = np.zeros((height + len(lines) * _LINE + _GAP, width + _GAP, 3), np.uint8)
    tile[:height, :width] = large
    for number, line in enumerate(lines):
        text = letters(line)[:, :width]
        tile[height + number * _LINE + 2:height + number * _LINE + 7, :text.shape[1]][text] = _TOP
    return tile


def _outline(values: LabelMap) -> NDArray[np.bool_]:
    """(H, W) the labelled pixels of which a neighbour has another label."""
    edge = np.zeros(values.shape, np.bool_)
    for axis in (0, 1):
        for step in (-1, 1):
            edge |= np.roll(values, step, axis) != values
    return edge & (values > 0)


def letters(text: str) -> NDArray[np.bool_]:
    """(5, 4 n) the pixels of a line of n characters; unknown ones are blank."""
    rows = [[int(digit) for digit in _GLYPHS.get(character, "00000")] for character in text.upper()]
    bits = [[[row >> 2 & 1, row >> 1 & 1, row & 1, 0] for row in glyph] for glyph in rows]
    return np.concatenate([np.array(glyph, np.bool_) for glyph in bits] or [np.zeros((5, 0), np.bool_)], axis=1)
