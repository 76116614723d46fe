"""How many samples are held in memory at a time: a volume is as large as hundreds of slices."""

BLOCK_BYTES = 64 * 2**20
MOST_SAMPLES = 256  # beyond which larger blocks gain no time
_VALUE_BYTES = 4  # of a float32


def samples_in_block(values: int) -> int:
    """Samples of so many values each that are read or computed together: a power of two, so that smaller batches divide
    it, and at least one sample, however large. No result depends on it."""
    most = min(MOST_SAMPLES, BLOCK_BYTES // (_VALUE_BYTES * max(1, values)))
    return 1 << (max(1, most).bit_length() - 1)
