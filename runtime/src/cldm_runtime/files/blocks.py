"""How many samples are in memory at a time. A volume is as large as hundreds of slices."""

BLOCK_BYTES = 64 * 2**20
MOST_SAMPLES = 256  # larger blocks are not faster
_VALUE_BYTES = 4  # of a float32


def samples_in_block(values: int) -> int:
    """How many samples of `values` numbers each are read or computed together. At least 1, and a power of two, so that
    smaller batches divide it. No result depends on it."""
    most = min(MOST_SAMPLES, BLOCK_BYTES // (_VALUE_BYTES * max(1, values)))
    return 1 << (max(1, most).bit_length() - 1)
